"""Runs an exported .pt2 program with PyTorch."""

import io
import json
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from sparseinst.config.model import ModelConfig
from sparseinst.parsing import readable
from sparseinst.predictions import Candidates
from sparseinst.runtime.exported import Exported
from sparseinst.runtime.program_archive import METADATA_FILE, plain_archive, safe_archive
from sparseinst.zoo.checkpoint import check_finite


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
        """Candidates of padded images (B, C, H, W) and their sizes within the frame (B, 2); they stay on the device."""
        images = images.to(self.device, non_blocking=True).to(getattr(torch, self.exported.images))
        return Candidates(*self._module(images, resized_hw.to(self.device, non_blocking=True)))


def load_program(path: str | Path) -> tuple[ExportedProgram, Exported]:
    """Reads a .pt2 file from anybody; no code that it brings is run (see `program_archive`).

    Raises:
        InputError: the file is no exported network, or would run code.
    """
    content, metadata = safe_archive(Path(path))
    exported = Exported.from_metadata(metadata, source=str(path))
    with readable(path, expected="a program that torch.export can open", hint="export the network again"):
        program = torch.export.load(io.BytesIO(content))
    check_finite(program.state_dict, source=Path(path))
    return program, exported


def save_program(path: Path, program: ExportedProgram, exported: Exported) -> None:
    """Writes a .pt2 file without the source lines and inputs that the program was traced from.

    Raises:
        InputError: the network has an operator that `load_program` refuses.
    """
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    content = io.BytesIO()  # a path would become the name of the folder inside
    torch.export.save(program, content, extra_files={METADATA_FILE: json.dumps(exported.to_metadata())})
    path.write_bytes(plain_archive(content.getvalue()))
    safe_archive(path)
