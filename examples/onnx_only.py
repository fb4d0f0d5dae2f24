"""Instances of an 8-bit image from an exported ONNX file, with numpy, OpenCV and ONNX Runtime alone.

    sparseinst export nuclei --format onnx --out nuclei.onnx
    python examples/onnx_only.py nuclei.onnx cells.png

The file brings all that is needed: sizes, thresholds and class names are in its metadata.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort


def resized_hw(height, width, settings):
    """Size by a factor, or at which the short side is short_px; less where the long side or a frame is exceeded."""
    sides, frame = np.array([height, width], float), settings["frame_hw"]
    if settings.get("kind") == "native":
        sides *= settings["scale"]
    else:
        sides *= settings["short_px"] / sides.min()
        sides *= min(1, settings["long_px"] / sides.max())
    sides *= 1 if frame is None else (frame / sides).clip(max=1).min()
    return max(1, int(sides[0] + 0.5)), max(1, int(sides[1] + 0.5))


def resize_rows(planes, new_size):
    """Bilinear resize of the last axis of uint8 planes; the filter grows when the image shrinks (antialiasing)."""
    scale = planes.shape[-1] / new_size
    centres = (np.arange(new_size) + 0.5)[:, None] * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(planes.shape[-1]) + 0.5 - centres) / max(scale, 1))
    weights /= weights.sum(1, keepdims=True)
    bits = next(bits for bits in range(22) if int(weights.max() * 2 ** (bits + 1) + 0.5) >= 2**15)
    fixed = np.floor(weights * 2**bits + 0.5)  # 16-bit weights, as in the preprocessing of training
    return np.floor(planes @ fixed.T / 2**bits + 0.5).clip(0, 255)


def prepare(rgb, settings):
    """(H, W, 3) uint8 to the network's input (1, 3, H', W') and the size of the image within it."""
    height, width = resized_hw(*rgb.shape[:2], settings)
    rows = resize_rows(rgb.transpose(2, 0, 1), width)
    planes = resize_rows(rows.swapaxes(1, 2), height).swapaxes(1, 2)
    frame = settings["frame_hw"] or [-(-height // 32) * 32, -(-width // 32) * 32]
    images = np.zeros((1, 3, *frame), np.uint8)
    images[0, :, :height, :width] = planes
    return images, np.array([[height, width]], np.int64)


def paste(mask, frame_hw, resized, original_hw):
    """Mask probabilities (h, w) over the frame to the original image, in two bilinear steps."""
    in_frame = cv2.resize(mask, frame_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.resize(in_frame[: resized[0], : resized[1]], original_hw[::-1], interpolation=cv2.INTER_LINEAR)


def without_small_pieces(mask, least):
    """A mask (H, W) without pieces below this share of its area; the largest stays."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.where(np.arange(len(stats)) > 0, stats[:, cv2.CC_STAT_AREA], 0)  # 0 is the background
    return mask & (areas >= min(least * areas.sum(), areas.max()))[pieces]


def load(path):
    """The session of an exported file and its settings."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    return session, {"images": json.loads(metadata["images"]), **json.loads(metadata["config"])}


def segment(session, settings, rgb):
    """Scores, class names and masks (H, W) of the instances of an (H, W, 3) uint8 RGB image."""
    images, resized = prepare(rgb, settings["preprocess"])
    inputs = {"images": images.astype(settings["images"]), "resized_hw": resized}
    scores, labels, masks, gate = (output[0] for output in session.run(["scores", "labels", "masks", "gate"], inputs))
    post, found = settings["postprocess"], []
    for slot in np.flatnonzero((gate > post["gate"]) & (scores >= post["score"])):
        mask = paste(masks[slot], images.shape[2:], resized[0], rgb.shape[:2]) > post["mask_threshold"]
        if mask.any():
            mask = without_small_pieces(mask, post.get("least_piece", 0))
            found.append((float(scores[slot]), settings["classes"][labels[slot]], mask))
    return found


if __name__ == "__main__":
    picture = cv2.imdecode(np.frombuffer(Path(sys.argv[2]).read_bytes(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    for score, name, mask in segment(*load(sys.argv[1]), picture):
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        print(f"{name} {score:.3f} at x {x} y {y}, {width} x {height} pixels, area {int(mask.sum())}")
