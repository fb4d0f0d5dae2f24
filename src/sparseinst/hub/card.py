"""The page that stands beside a network on the Hugging Face Hub: a model card, made from what is known about it."""

import math
from collections.abc import Mapping
from typing import Any

import yaml

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import NativeConfig
from sparseinst.hub.markdown import code, fold, headed, slug, table, text

PAPER = "https://arxiv.org/abs/2203.12827"
TAGS = ("instance-segmentation", "sparseinst", "real-time", "pytorch")
TASK = "image-segmentation"

_FIGURES = {
    "ap": "AP", "ap50": "AP50", "ap75": "AP75", "ap_small": "AP small", "ap_medium": "AP medium",
    "ap_large": "AP large", "ar": "AR", "best_f1": "best F1 at IoU 0.50",
}  # fmt: skip
"""Figures of an evaluation and their names on the card; those of no meaning outside it are left out."""

UNNAMED = "images that are not named"

_SHOWN_CLASSES = 12
_TOLD_ELSEWHERE = {
    "description", "iteration", "seconds", "best_ap", "best_iteration", "last_evaluation", "recipe", "provenance",
}  # fmt: skip
"""Facts of a checkpoint that have a section of their own."""

_CITATION = """```bibtex
@inproceedings{cheng2022sparseinst,
  title     = {Sparse Instance Activation for Real-Time Instance Segmentation},
  author    = {Cheng, Tianheng and Wang, Xinggang and Chen, Shaoyu and Zhang, Wenqiang and Zhang, Qian and
               Huang, Chang and Zhang, Zhaoxiang and Liu, Wenyu},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition (CVPR)},
  year      = {2022}
}
```"""


def model_card(
    config: ModelConfig,
    *,
    repo: str,
    parameters: int,
    facts: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    measured_on: str | None = None,
    license: str = "mit",
    limits: str | None = None,
    picture: str | None = None,
) -> str:
    """The card of a network, in Markdown with YAML front matter.

    Args:
        config: settings of the network.
        repo: "owner/name" that it will be loaded by.
        parameters: how many numbers were trained.
        facts: what its checkpoint tells besides (see `checkpoint_extra`): description, training, provenance.
        metrics: figures of an evaluation (0..1, as `Evaluation.to_json` gives them; None and -1 are no figures). None
            takes those of the last evaluation of its training, if the facts have them.
        measured_on: name of the images that the metrics were measured on.
        license: its identifier on the Hub.
        limits: what the network is not good at, in Markdown; None says what is true of any.
        picture: name of a picture in the repository.

    Example:
        >>> card = model_card(ModelConfig(classes=("cell",)), repo="me/cells", parameters=3_500_000)
        >>> "hf:me/cells" in card
        True
    """
    facts = facts or {}
    if metrics is None:
        metrics, measured_on = _last_evaluation(facts), "the validation images of its training"
    sections = (
        _front_matter(repo, license, metrics, measured_on),
        f"# {repo.partition('/')[2]}",
        _about(config, facts, parameters, picture),
        f"## Use\n\n{_usage(repo)}",
        f"## Classes\n\n{_classes(config.classes)}",
        f"## How good it is\n\n{_measured(metrics, measured_on)}",
        headed("How it was trained", _training(facts)),
        f"## Limits\n\n{limits.strip() if limits else _usual_limits(config)}",
        headed("Where it comes from", _provenance(facts)),
        f"## Method\n\n[SparseInst]({PAPER}); if you use this network, cite the paper:\n\n{_CITATION}",
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def figures_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The figures among an evaluation's values that exist and mean something by themselves."""
    return {name: float(metrics[name]) for name in _FIGURES if _is_figure(metrics.get(name))}


def _is_figure(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= 0  # type: ignore[arg-type, operator]


def _last_evaluation(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that training measured last, and how many detections of an image they count."""
    found, recipe = facts.get("last_evaluation"), facts.get("recipe")
    if not isinstance(found, Mapping):
        return {}
    counted = {"max_dets": recipe["max_dets"]} if isinstance(recipe, Mapping) and "max_dets" in recipe else {}
    return {**counted, **found}


def _front_matter(repo: str, license: str, metrics: Mapping[str, Any], measured_on: str | None) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    images = measured_on or UNNAMED
    caps = {"max_dets": metrics["max_dets"]} if "max_dets" in metrics else None
    results = [
        EvalResult(
            task_type=TASK, task_name="Instance segmentation", dataset_name=images, dataset_type=slug(images),
            metric_type=name, metric_name=f"mask {_FIGURES[name]}", metric_value=round(value, 4), metric_args=caps,
        )
        for name, value in figures_of(metrics).items()
    ]  # fmt: skip
    data = ModelCardData(
        license=license, library_name="sparseinst", pipeline_tag=TASK, tags=list(TAGS),
        model_name=repo.partition("/")[2] if results else None, eval_results=results or None,
    )  # fmt: skip
    return f"---\n{data.to_yaml()}\n---"


def _about(config: ModelConfig, facts: Mapping[str, Any], parameters: int, picture: str | None) -> str:
    count = len(config.classes)
    kinds = f"one class, {code(config.classes[0])}," if count == 1 else f"{count} classes"
    head = f"Finds objects of {kinds} in images and gives each a class, a score and a mask."
    description = text(facts.get("description", ""))
    if description:
        head = f"{description[0].upper()}{description[1:].rstrip('.')}. {head}"
    pre = config.preprocess
    frame = "padded to multiples of 32" if pre.frame_hw is None else "padded to {} x {}".format(*pre.frame_hw)
    if isinstance(pre, NativeConfig):
        size = f"{pre.scale:g} pixels of the network for each of the image's"
        if pre.diameter_px is not None:
            size += f", trained on objects about {pre.diameter_px:.3g} pixels across"
    elif pre.frame_hw == (pre.short_px, pre.short_px) == (pre.long_px, pre.long_px):
        size = f"longer side resized to {pre.long_px} pixels"
    else:
        size = f"shorter side resized to {pre.short_px} pixels, or to less where the longer would exceed {pre.long_px}"
    rows = (
        ("task", "instance segmentation"),
        ("input", f"images of any size; {size}; {frame}"),
        ("output", f"at most {config.room}; masks at 1/{config.mask_stride} of the input's size, "
                   "enlarged to the image's"),
        ("backbone", code(config.backbone.name)),
        ("parameters", f"{parameters / 1e6:.1f} million" if parameters >= 100_000 else f"{parameters:,}"),
        ("default score", f"{config.postprocess.score:g}"),
    )  # fmt: skip
    parts = [head, f"![Instances found in an image]({picture})" if picture else "", table(("", ""), rows)]
    return "\n\n".join(part for part in parts if part)


def _usage(repo: str) -> str:
    return f"""```
pip install sparseinst
sparseinst predict picture.jpg --model hf:{repo}
```

```python
from sparseinst import Predictor

instances = Predictor("hf:{repo}")("picture.jpg")
instances.labels, instances.scores, instances.boxes, instances.masks
```"""


def _classes(names: tuple[str, ...]) -> str:
    first = ", ".join(code(name) for name in names[:_SHOWN_CLASSES])
    if len(names) <= _SHOWN_CLASSES:
        return f"{first}."
    return f"{first} and {len(names) - _SHOWN_CLASSES} more.\n\n" + fold(
        f"All {len(names)}, by label", "\n".join(f"{label}. {code(name)}" for label, name in enumerate(names))
    )


def _measured(metrics: Mapping[str, Any], measured_on: str | None) -> str:
    found = figures_of(metrics)
    if not found:
        return "No figures were given."
    parts = [metrics]
    covering = metrics.get("covering")  # the same figures at more detections
    if isinstance(covering, Mapping) and figures_of(covering):
        parts.append(covering)
    heads = [f"at {part['max_dets']} detections" if "max_dets" in part else "value" for part in parts]
    rows = [(_FIGURES[name], *(_shown(part.get(name)) for part in parts)) for name in found]
    number = metrics.get("images")
    images = f" ({number} images)" if isinstance(number, int) else ""
    head = f"Mask AP as COCO's evaluation gives it, 0 to 1, on {text(measured_on or UNNAMED)}{images}:"
    return "\n\n".join(filter(None, (head, table(("", *heads), rows), _by_class(metrics))))


def _by_class(metrics: Mapping[str, Any]) -> str:
    items = metrics.get("per_class")
    listed = [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []
    rows = [
        (code(str(item.get("name"))), str(item.get("instances", "")), _shown(item.get("ap")), _shown(item.get("ap50")))
        for item in listed
        if _is_figure(item.get("ap"))
    ]
    return fold("By class", table(("class", "instances", "AP", "AP50"), rows)) if len(rows) > 1 else ""


def _shown(value: object) -> str:
    return f"{value:.3f}" if _is_figure(value) else "-"


def _training(facts: Mapping[str, Any]) -> str:
    if not isinstance(facts.get("iteration"), int):  # the recipe of a converted file is what its authors published
        return ""
    recipe = facts.get("recipe")
    recipe = recipe if isinstance(recipe, Mapping) else {}
    optim = recipe.get("optim", {})
    parts = [f"{facts['iteration']:,} steps"]
    if "batch" in recipe:
        parts[0] += f" of {recipe['batch'] * optim.get('accumulate', 1)} images"
    if "lr" in optim:
        name = {"muon": "Muon and AdamW"}.get(optim.get("algorithm"), "AdamW")
        parts.append(f"{name}, learning rate {optim['lr']:g} at {optim['reference_batch']} images, {optim['schedule']}")
    if "precision" in recipe:
        parts.append(str(recipe["precision"]))
    if isinstance(facts.get("seconds"), int | float):
        parts.append(f"{facts['seconds'] / 3600:.1f} hours" if facts["seconds"] >= 5400 else
                     f"{facts['seconds'] / 60:.0f} minutes")  # fmt: skip
    told = ", ".join(parts) + "."
    if not recipe:
        return told
    settings = yaml.safe_dump(dict(recipe), sort_keys=False, allow_unicode=True).strip()
    return f"{told}\n\n" + fold("All settings", f"```yaml\n{settings}\n```")


def _usual_limits(config: ModelConfig) -> str:
    return (
        f"It knows the classes above and nothing else, and finds at most {config.room}. "
        "On images of another kind or origin than those it was trained on, results will be worse."
    )


def _provenance(facts: Mapping[str, Any]) -> str:
    origin = facts.get("provenance")
    rows = {**origin} if isinstance(origin, Mapping) else {}
    rows |= {name: value for name, value in facts.items() if name not in _TOLD_ELSEWHERE}
    told = [(text(name), text(value)) for name, value in rows.items() if isinstance(value, str | int | float)]
    return table(("", ""), told) if told else ""
