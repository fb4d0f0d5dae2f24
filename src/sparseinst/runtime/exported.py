"""What an exported file says about itself: all that prediction needs to know, and where the file came from."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from sparseinst.config.base import Settings
from sparseinst.config.model import ModelConfig
from sparseinst.errors import InputError, brief, listed, misfit, raised
from sparseinst.files import file_hash
from sparseinst.parsing import parse_json
from sparseinst.version import __version__

EXPORT_FORMAT = "sparseinst-export-2"
_READABLE = ("sparseinst-export-1", EXPORT_FORMAT)
"""Files of version 0.1 hold the same, but for settings that came later and whose defaults are what it did."""
INPUTS = ("images", "resized_hw")
OUTPUTS = ("scores", "labels", "masks", "gate")
ACTIVATION = "activation"
"""Name of the further output of a file that was exported with its activation maps."""

Precision = Literal["fp32", "fp16", "int8"]


class Provenance(Settings):
    """Where an exported file came from."""

    source: str | None = Field(None, description="name of the file that held the weights; None for weights in memory")
    sha256: str | None = Field(None, description="SHA-256 of that file")
    version: str = Field(description="version of this package that wrote the file")
    date: str = Field(description="when it was written, ISO 8601 in UTC")

    @classmethod
    def of(cls, weights: Path | None) -> "Provenance":
        """That of a file which is written now, from a file of weights or a network in memory."""
        return cls(
            source=None if weights is None else weights.name,
            sha256=None if weights is None else file_hash(weights),
            version=__version__,
            date=datetime.now(UTC).isoformat(timespec="seconds"),
        )


class Exported(Settings):
    """The metadata of an exported network."""

    config: ModelConfig = Field(description="settings of the network; a fixed frame is in preprocess.frame_hw")
    images: Literal["uint8", "float32"] = Field("uint8", description="type of the input images, 0..255 either way")
    precision: Precision = Field("fp32", description="fp16: 16-bit weights; int8: quantised convolutions")
    activation: bool = Field(False, description="whether there is a further output, the logits of the activation maps")
    provenance: Provenance | None = Field(None, description="where the file came from; None for a network in memory")

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in their order."""
        return (*OUTPUTS, ACTIVATION) if self.activation else OUTPUTS

    def check_ports(
        self, inputs: Collection[str], outputs: Collection[str], *, source: str, wanted: Collection[str] | None = None
    ) -> None:
        """Checks that a file takes and gives what its metadata say; `wanted` are other outputs than `outputs`.

        Raises:
            InputError: it does not.
        """
        for names, there in ((INPUTS, inputs), (wanted or self.outputs, outputs)):
            if missing := sorted(set(names) - set(there)):
                raise InputError(
                    f"{source}: expected a network with {', '.join(missing)}, got one with {listed(sorted(there))}: "
                    "export the network again"
                )

    def to_metadata(self) -> dict[str, str]:
        """As text by name, which every format can hold: settings and provenance are JSON.

        `max_instances` is there for other readers; it follows from the rest.
        """
        fields = self.model_dump(mode="json") | {"max_instances": self.config.most_instances}
        return {"format": EXPORT_FORMAT, **{name: json.dumps(value) for name, value in fields.items()}}

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, str], *, source: str, formats: Collection[str] = _READABLE
    ) -> "Exported":
        """Reads what `to_metadata` gave.

        Args:
            metadata: text by name; further names are ignored.
            source: the file, for messages.
            formats: kinds of files that are expected.

        Raises:
            InputError: the file was not exported by this package, or by a version whose settings do not fit.
        """
        if metadata.get("format") not in formats:
            raise InputError(
                f"{source}: expected a network exported by `sparseinst export` ({EXPORT_FORMAT}), found "
                f"{brief(metadata.get('format', 'no mark'))} in its metadata: export the network again"
            )
        try:
            return cls.model_validate(
                {
                    name: parse_json(metadata[name], source=source, hint="export the network again")
                    for name in cls.model_fields
                }
            )
        except ValidationError as error:
            raise InputError(
                f"{source}: its settings do not fit this version of sparseinst ({misfit(error)}): "
                "export the network again"
            ) from error
        except KeyError as error:
            raise InputError(
                f"{source}: its metadata are damaged ({raised(error)}): export the network again"
            ) from error
