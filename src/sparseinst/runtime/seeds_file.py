"""Files of networks of seeds that end where seeds are chosen: ONNX Runtime computes every cell, PyTorch grows masks.

All masks over a whole frame, which a file for other readers has to make, take seconds and gigabytes on a large image.
Here seeds are as many as the image has, and grow in windows; the few weights of that are in the file, too.
"""

import base64
from collections.abc import Mapping

import torch
from safetensors.torch import load, save

from sparseinst.config.network import SeedsConfig
from sparseinst.errors import InputError
from sparseinst.modeling.model import SparseInst, build_model
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.fields import FieldsNote
from sparseinst.runtime.onnx_backend import OnnxFields, Opened
from sparseinst.runtime.torch_backend import TorchBackend

SEEDS_FORMAT = "sparseinst-seeds-1"
_GROWTH = "growth"
_GROWING = ("decoder.mix.", "decoder.refine.")
"""What grows a mask from a seed begins with these; all other weights are in the ONNX program."""


class SeedsNote(FieldsNote):
    """What such a file says about itself.

    Args:
        exported: settings, precision and provenance.
        network: whose weights are written.
    """

    def __init__(self, exported: Exported, network: SparseInst) -> None:
        assert isinstance(exported.config.decoder, SeedsConfig)
        super().__init__(exported.config.decoder.levels)
        growing = {name: value for name, value in network.state_dict().items() if name.startswith(_GROWING)}
        content = save({name: value.detach().float().cpu().contiguous() for name, value in growing.items()})
        self._metadata = exported.to_metadata() | {
            "format": SEEDS_FORMAT,
            _GROWTH: base64.b64encode(content).decode("ascii"),
        }

    def to_metadata(self) -> dict[str, str]:
        """All that has to be known of it, as text by name."""
        return self._metadata


def is_seeds_file(opened: Opened) -> bool:
    """Whether an ONNX file ends where seeds are chosen."""
    return opened.metadata.get("format") == SEEDS_FORMAT


def run_seeds_file(opened: Opened) -> TorchBackend:
    """What runs such a file, on the CPU.

    Raises:
        InputError: it is damaged.
    """
    session, metadata, source = opened
    exported = Exported.from_metadata(metadata, source=source, formats=(SEEDS_FORMAT,))
    decoder = exported.config.decoder
    if not isinstance(decoder, SeedsConfig):
        raise InputError(f"{source}: expected a network of seeds, got one of {decoder.kind}: export the network again")
    note = FieldsNote(decoder.levels)
    ports = ([port.name for port in session.get_inputs()], [port.name for port in session.get_outputs()])
    exported.check_ports(*ports, source=source, wanted=note.outputs)
    backend = TorchBackend(_grower(exported, metadata, source), device="cpu", fields=OnnxFields(session, note))
    backend.exported = exported
    return backend


def _grower(exported: Exported, metadata: Mapping[str, str], source: str) -> SparseInst:
    """The network with the weights that growing needs, and zeros for all that the file computes."""
    network = build_model(exported.config).eval()
    for parameter in network.parameters():
        parameter.data.zero_()
    try:
        growing = load(base64.b64decode(metadata[_GROWTH], validate=True))
        missing = [name for name in network.state_dict() if name.startswith(_GROWING) and name not in growing]
        if missing or not all(torch.isfinite(value).all() for value in growing.values()):
            raise ValueError(f"{len(missing)} weights are missing, or some are no numbers")
        network.load_state_dict(growing, strict=False)
    except Exception as error:  # safetensors, base64 and torch raise what they like
        raise InputError(
            f"{source}: expected the weights that grow masks in its metadata, found none that fit ({error}): "
            "export the network again"
        ) from error
    return network
