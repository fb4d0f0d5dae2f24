"""A large image in tiles beside its parts one by one, and in 16 and 8 bits: AP of `nuclei` on a mosaic of known truth.

python benchmarks/mosaic.py DATA [--side 2048] [--calibration IMAGES] [--name mosaic]

The mosaic is DATA's validation images of 256 x 256 pixels, in a row and again. Its truth is theirs; what lies at a seam
has a neighbour there that it has not alone, which no way of cutting changes: so the whole mosaic in one pass stands
between the images alone and the mosaic in tiles, and `ap_clear` is AP where objects within SEAM_PX of a seam neither
count nor are missed. Instances are all that are found, down to a score of 0, and, for
`found`, `twins` and `pieces`, those at the network's own score.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from record import write_result

from sparseinst.data.coco import CocoDataset
from sparseinst.evaluation.coco_eval import score_results
from sparseinst.evaluation.oddities import oddities
from sparseinst.exporting.exporter import export_model
from sparseinst.inference.predictor import Predictor
from sparseinst.inference.writers import to_coco
from sparseinst.runtime.backends import Backend, open_backend

CELL_PX = 256
SEAM_PX = 8
Records = list[dict[str, Any]]


class Mosaic:
    """The images of CELL_PX x CELL_PX pixels of a data set side by side, as often as the square needs."""

    def __init__(self, dataset: CocoDataset, side: int, predictor: Predictor) -> None:
        self.across = side // CELL_PX
        chosen = [i for i in range(len(dataset)) if dataset.size_hw(i) == (CELL_PX, CELL_PX)]
        self.image = np.zeros((self.across * CELL_PX, self.across * CELL_PX, 3), np.uint8)
        self.truth: Records = []
        self.cells = []
        for number in range(self.across**2):
            index = chosen[number % len(chosen)]
            self.cells.append(dataset.image(index, predictor.pipeline.preprocess))
            self.image[self._cell(number)] = self.cells[-1]
            self.truth += [self._placed(mask, number) for mask in dataset.masks(index)]

    def alone(self, predictor: Predictor) -> Records:
        """What is found in each image by itself."""
        return [
            {"image_id": 1, "category_id": 1, "score": float(score), "segmentation": self._placed(mask, number)}
            for number, cell in enumerate(self.cells)
            for found in [predictor(cell)]
            for score, mask in zip(found.scores, found.masks, strict=True)
        ]

    def content(self, *, clear: bool) -> dict[str, Any]:
        """Its truth as a COCO file; `clear` makes crowds, which AP ignores, of what is at a seam."""
        side = self.across * CELL_PX
        return {
            "images": [{"id": 1, "height": side, "width": side, "file_name": "mosaic.png"}],
            "categories": [{"id": 1, "name": "nucleus"}],
            "annotations": [
                {"id": i + 1, "image_id": 1, "category_id": 1, "area": float(coco_mask.area(rle)),
                 "iscrowd": int(clear and self._at_seam(rle)),
                 "bbox": [float(v) for v in coco_mask.toBbox(rle)], "segmentation": rle}
                for i, rle in enumerate(self.truth)
            ],
        }  # fmt: skip

    def _at_seam(self, rle: dict[str, Any]) -> bool:
        left, top, width, height = coco_mask.toBbox(rle)
        ends = (left % CELL_PX, top % CELL_PX, -(left + width) % CELL_PX, -(top + height) % CELL_PX)
        return bool(min(ends) < SEAM_PX)

    def _cell(self, number: int) -> tuple[slice, slice]:
        y, x = divmod(number, self.across)
        return slice(y * CELL_PX, (y + 1) * CELL_PX), slice(x * CELL_PX, (x + 1) * CELL_PX)

    def _placed(self, mask: NDArray[np.bool_], number: int) -> dict[str, Any]:
        """The encoding of a mask of an image in the whole mosaic."""
        whole = np.zeros(self.image.shape[:2], np.uint8, order="F")
        whole[self._cell(number)] = mask
        encoded = dict(coco_mask.encode(whole))
        return {**encoded, "counts": encoded["counts"].decode()}


def figures_of(mosaic: Mosaic, results: Records, score: float) -> dict[str, Any]:
    """AP and counts of what was found."""
    with tempfile.TemporaryDirectory() as folder:
        every, clear = Path(folder) / "every.json", Path(folder) / "clear.json"
        every.write_text(json.dumps(mosaic.content(clear=False)))
        clear.write_text(json.dumps(mosaic.content(clear=True)))
        most = 10 * len(mosaic.truth)
        scored = score_results(every, results, max_dets=most, groups=None)
        ap_clear = score_results(clear, results, max_dets=most, groups=None).evaluation.ap
    odd = oddities(scored.detections, score=score)
    return {
        "ap": round(scored.evaluation.ap, 4),
        "ap50": round(scored.evaluation.ap50, 4),
        "ap_clear": round(ap_clear, 4),
        "found": sum(item["score"] >= score for item in results),
        "twins": round(odd.twins, 4),
        "pieces": round(odd.pieces, 4),
    }


def main() -> None:
    """Measures, prints and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with val/ and val.json")
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--calibration", type=Path, help="images for the 8-bit file; without them it is left out")
    parser.add_argument("--name", default="mosaic", help="name of the result file")
    options = parser.parse_args()
    exact = open_backend("nuclei", name="onnxruntime")
    score = exact.config.postprocess.score
    predictor = Predictor(exact, score=0.0)
    mosaic = Mosaic(CocoDataset.load(options.data / "val", options.data / "val.json"), options.side, predictor)
    figures = {"alone": figures_of(mosaic, mosaic.alone(predictor), score)}
    print("alone", figures["alone"], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        int8 = Path(folder) / "int8.onnx"
        ways: dict[str, tuple[Callable[[], Backend], dict[str, Any]]] = {
            "one pass": (lambda: exact, {"tile": 0}),
            "tiles": (lambda: exact, {}),
            "tiles, torch 16 bits": (lambda: open_backend("nuclei", name="torch", half=True), {}),
            "tiles, openvino 16 bits": (lambda: open_backend("nuclei", name="openvino", half=True), {}),
        }
        if options.calibration is not None:
            export_model("nuclei", int8, export_format="seeds", precision="int8", calibration=options.calibration)
            ways["tiles, onnxruntime 8 bits"] = (lambda: open_backend(int8), {})
        for name, (make, how) in ways.items():
            found = Predictor(make(), score=0.0, **how)(mosaic.image)
            figures[name] = figures_of(mosaic, to_coco(found, 1, [1]), score)
            print(name, figures[name], flush=True)
    tiling = predictor.pipeline.tiling_of((options.side, options.side))
    tiles = 1 if tiling is None else len(tiling.windows((options.side, options.side)))
    content = {"side": options.side, "objects": len(mosaic.truth), "tiles": tiles, "ways": figures}
    print(write_result(options.name, content))


if __name__ == "__main__":
    main()
