"""Runs an exported .pt2 program with PyTorch."""

import io
import json
import zipfile
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from sparseinst.config import ModelConfig
from sparseinst.errors import InputError
from sparseinst.files import parse_json
from sparseinst.runtime.exported import Exported
from sparseinst.structures import Candidates

METADATA_FILE = "sparseinst.json"
"""Name under which a .pt2 file keeps its metadata."""


class ExportedBackend:
    """A program of `torch.export`.

    Args:
        program: the program.
        exported: what it says about itself.
        device: a torch device that exists; the program was traced on the CPU.
    """

    def __init__(self, program: ExportedProgram, exported: Exported, *, device: torch.device) -> None:
        self.exported, self.device = exported, device
        self.config: ModelConfig = exported.config
        self.frame: tuple[int, int] | None = self.config.preprocess.frame_hw
        if device.type != "cpu":
            program = move_to_device_pass(program, device)
        # The guards say that a frame has more than 32 rows and columns, which only a memory layout depends on.
        self._module = program.module(check_guards=False)

    @torch.inference_mode()
    def __call__(self, images: Tensor, resized_hw: Tensor) -> Candidates:
        """See `Backend`; the candidates stay on the device."""
        images = images.to(self.device, non_blocking=True).to(getattr(torch, self.exported.images))
        return Candidates(*self._module(images, resized_hw.to(self.device, non_blocking=True)))


def load_program(path: str | Path) -> tuple[ExportedProgram, Exported]:
    """Reads a .pt2 file.

    Raises:
        InputError: the file is no exported network.
    """
    files = {METADATA_FILE: ""}
    try:
        program = torch.export.load(path, extra_files=files)
    except (OSError, RuntimeError, ValueError, KeyError, AssertionError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: torch.export cannot open it ({error}): export the network again") from error
    metadata = parse_json(files[METADATA_FILE] or "{}", source=path)
    return program, Exported.from_metadata(metadata, source=str(path))


def save_program(path: Path, program: ExportedProgram, exported: Exported) -> None:
    """Writes a .pt2 file; the program forgets the source lines it was traced from."""
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    content = io.BytesIO()  # a path would become the name of the folder inside
    torch.export.save(program, content, extra_files={METADATA_FILE: json.dumps(exported.to_metadata())})
    path.write_bytes(content.getvalue())
