"""Go on from weights that know something similar: the nuclei that ship, or any checkpoint of yours.

    python examples/fine_tune.py my_data [ITERATIONS] [WEIGHTS]

Says what the weights are worth on your images before and after.
"""

import sys

from sparseinst import evaluate, train


def main(folder: str, iterations: int, weights: str) -> None:
    before = evaluate(weights, data=folder, max_dets=300)

    # A name alone is a network with fresh weights; a file is both. A tenth of the learning rate keeps what it knows.
    start = {"model": "nuclei", "init": "nuclei"} if weights == "nuclei" else {"model": weights}
    result = train(
        folder, **start, out="runs/tuned", recipe="fine-tune", iterations=iterations,
        settings={"evaluate_every": iterations, "max_dets": 300},
    )  # fmt: skip

    after = evaluate(result.out / "best.safetensors", data=folder, max_dets=300)
    print(f"AP {before.ap:.3f} before, {after.ap:.3f} after {result.iterations} steps, best {result.best_ap:.3f}")
    for name, was, now in zip(("AP50", "AP75"), (before.ap50, before.ap75), (after.ap50, after.ap75), strict=True):
        print(f"{name} {was:.3f} -> {now:.3f}")


if __name__ == "__main__":
    main(
        sys.argv[1],
        int(sys.argv[2]) if len(sys.argv) > 2 else 200,
        sys.argv[3] if len(sys.argv) > 3 else "nuclei",
    )
