"""Train on a folder of images with masks, measure, and find objects in the validation images.

    python examples/train_on_your_folder.py my_data [ITERATIONS]

The folder may be COCO, YOLO, LabelMe, label images, ...: it is recognised by looking.
"""

import sys

from sparseinst import evaluate, predict_files, train


def main(folder: str, iterations: int | None) -> None:
    # Without a model, lite or nuclei is taken, whichever suits the data; without iterations, as many as it needs.
    result = train(folder, out="runs/mine", iterations=iterations)
    best = result.out / "best.safetensors"
    print(f"best AP {result.best_ap:.3f} after {result.best_iteration} steps: {best}")

    images = result.validation
    if images is None:
        sys.exit("no validation images")
    measured = evaluate(best, images, report="runs/mine/report")
    print(f"AP {measured.ap:.3f}, AP50 {measured.ap50:.3f}: open runs/mine/report/index.html")

    done = predict_files(images.images, model=best, out="runs/mine/found", save_json=True, save_masks=True)
    print(f"{done.instances} objects in {done.images} images: look at runs/mine/found")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
