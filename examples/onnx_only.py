"""Instances of an 8-bit image from an exported ONNX file, with NumPy, Pillow, OpenCV and ONNX Runtime alone.

    sparseinst export nuclei --format onnx --out nuclei.onnx
    python examples/onnx_only.py nuclei.onnx cells.png

The file brings all that is needed: sizes, thresholds and class names are in its metadata.
"""

import json
import sys

import cv2
import numpy as np
import onnxruntime as ort
from PIL import Image


def resized_hw(height, width, settings):
    """Size by a factor, or at which the short side is short_px; less where the long side or a frame is exceeded."""
    sides, frame = np.array([height, width], float), settings["frame_hw"]
    native = settings.get("kind") == "native"
    sides *= settings["scale"] if native else settings["short_px"] / sides.min()
    sides *= 1 if native else min(1, settings["long_px"] / sides.max())
    sides *= 1 if frame is None else (frame / sides).clip(max=1).min()
    return max(1, int(sides[0] + 0.5)), max(1, int(sides[1] + 0.5))


def without_small_pieces(mask, least):
    """A mask (H, W) without pieces below this share of its area; the largest stays."""
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    areas = np.where(np.arange(len(stats)) > 0, stats[:, cv2.CC_STAT_AREA], 0)  # 0 is the background
    return mask & (areas >= min(least * areas.sum(), areas.max()))[pieces]


def segment(path, picture):
    """Scores, class names and masks (H, W) of the instances of a Pillow image, by an exported file."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    settings = json.loads(metadata["config"])
    post, (height, width) = settings["postprocess"], resized_hw(*picture.size[::-1], settings["preprocess"])
    frame = settings["preprocess"]["frame_hw"] or [-(-height // 32) * 32, -(-width // 32) * 32]
    images = np.zeros((1, *frame, 3), json.loads(metadata["images"]))
    images[0, :height, :width] = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    inputs = {"images": images.transpose(0, 3, 1, 2), "resized_hw": np.array([[height, width]])}
    scores, labels, masks, gate = (output[0] for output in session.run(["scores", "labels", "masks", "gate"], inputs))
    for slot in np.flatnonzero((gate > post["gate"]) & (scores >= post["score"])):
        probability = cv2.resize(masks[slot], frame[::-1])[:height, :width]  # over the frame, then over the image
        mask = cv2.resize(probability, picture.size) > post["mask_threshold"]
        if mask.any():
            mask = without_small_pieces(mask, post.get("least_piece", 0))
            yield float(scores[slot]), settings["classes"][labels[slot]], mask


if __name__ == "__main__":
    for score, name, mask in segment(sys.argv[1], Image.open(sys.argv[2])):
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        print(f"{name} {score:.3f} at x {x} y {y}, {width} x {height} pixels, area {int(mask.sum())}")
