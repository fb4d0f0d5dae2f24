"""Builds a TensorRT engine from the ONNX file of the same name.

`sparseinst export --format tensorrt` writes this script beside the ONNX file. Run it on the machine that will use the
engine; it needs the package tensorrt (10.1 or newer) and nothing else.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

_MULTIPLE_PX = 32


def main() -> None:
    """Reads the options, builds, and writes the .engine file."""
    stem = Path(__file__).name.removesuffix(".build.py")
    onnx_file = Path(__file__).with_name(f"{stem}.onnx")
    parser = argparse.ArgumentParser(description=f"Builds {stem}.engine from {stem}.onnx with TensorRT.")
    parser.add_argument("--batch", type=int, default=1, help="most images at once")
    parser.add_argument("--workspace-gb", type=float, default=4, help="memory that tactics may take while building")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = json.loads(onnx_file.with_suffix(".json").read_text(encoding="utf-8"))
    plan = build(onnx_file, json.loads(settings["config"])["preprocess"], options.batch, options.workspace_gb)
    onnx_file.with_suffix(".engine").write_bytes(plan)
    logging.info("%s", onnx_file.with_suffix(".engine"))


def build(onnx_file: Path, preprocess: dict[str, Any], batch: int, workspace_gb: float) -> bytes:
    """The serialised engine; its precision is that of the ONNX file."""
    try:
        import tensorrt as trt
    except ImportError as error:
        raise SystemExit("expected the package tensorrt, found none: pip install tensorrt") from error
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx_file)):
        raise SystemExit("\n".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(workspace_gb * 2**30))
    profile = builder.create_optimization_profile()
    least, best, most = frames(preprocess)
    profile.set_shape("images", (1, 3, *least), (batch, 3, *best), (batch, 3, *most))
    profile.set_shape("resized_hw", (1, 2), (batch, 2), (batch, 2))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SystemExit("TensorRT could not build the engine: see its messages above")
    return bytes(plan)


def frames(preprocess: dict[str, Any]) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Smallest, usual and largest frame (height, width) that prediction will ask for."""
    if preprocess["frame_hw"] is not None:
        height, width = preprocess["frame_hw"]
        return (height, width), (height, width), (height, width)
    short, long = (-(-preprocess[side] // _MULTIPLE_PX) * _MULTIPLE_PX for side in ("short_px", "long_px"))
    return (_MULTIPLE_PX, _MULTIPLE_PX), (short, long), (long, long)


if __name__ == "__main__":
    main()
