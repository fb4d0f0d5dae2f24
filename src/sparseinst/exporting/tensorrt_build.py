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
_USUAL_PX = 512
_RGB = 3

Frames = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""Three frames (height, width)."""


def main() -> None:
    """Reads the options, builds, and writes the .engine file."""
    stem = Path(__file__).name.removesuffix(".build.py")
    onnx_file = Path(__file__).with_name(f"{stem}.onnx")
    parser = argparse.ArgumentParser(description=f"Builds {stem}.engine from {stem}.onnx with TensorRT.")
    parser.add_argument("--batch", type=int, default=1, help="most images at once")
    parser.add_argument("--workspace-gb", type=float, default=4, help="memory that tactics may take while building")
    parser.add_argument(
        "--largest", type=int, default=1024, help="largest side, in pixels, of a network that sees images at any size"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = json.loads(onnx_file.with_suffix(".json").read_text(encoding="utf-8"))
    preprocess = json.loads(settings["config"])["preprocess"]
    sizes = frames(preprocess, options.largest)
    plan = build(onnx_file, sizes, options.batch, options.workspace_gb, preprocess.get("channels", _RGB))
    onnx_file.with_suffix(".engine").write_bytes(plan)
    logging.info("%s", onnx_file.with_suffix(".engine"))


def build(onnx_file: Path, sizes: Frames, batch: int, workspace_gb: float, channels: int = _RGB) -> bytes:
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
    least, best, most = sizes
    profile.set_shape("images", (1, channels, *least), (batch, channels, *best), (batch, channels, *most))
    profile.set_shape("resized_hw", (1, 2), (batch, 2), (batch, 2))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise SystemExit("TensorRT could not build the engine: see its messages above")
    return bytes(plan)


def frames(preprocess: dict[str, Any], largest_px: int) -> Frames:
    """Smallest, usual and largest frame that prediction will ask for; at native scale images may be of any size."""
    if preprocess["frame_hw"] is not None:
        height, width = preprocess["frame_hw"]
        return (height, width), (height, width), (height, width)
    if preprocess.get("kind") == "native":
        most = max(largest_px // _MULTIPLE_PX * _MULTIPLE_PX, _MULTIPLE_PX)
        usual = min(_USUAL_PX, most)
        return (_MULTIPLE_PX, _MULTIPLE_PX), (usual, usual), (most, most)
    short, long = (-(-preprocess[side] // _MULTIPLE_PX) * _MULTIPLE_PX for side in ("short_px", "long_px"))
    return (_MULTIPLE_PX, _MULTIPLE_PX), (short, long), (long, long)


if __name__ == "__main__":
    main()
