"""The card that stands beside a network on the Hub."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparseinst.config.model import ModelConfig
from sparseinst.config.preprocess import NativeConfig
from sparseinst.evaluation.figures import ClassFigures, Evaluation, Figures
from sparseinst.hub.card import model_card
from sparseinst.recipe import Recipe
from tiny import tiny_config, tiny_seeds_config

FIGURES = {"ap": 0.25, "ap50": 0.5, "ap75": 0.2, "ap_small": 0.1, "ap_medium": 0.3, "ap_large": -1.0, "ar": 0.4}


def made(config: ModelConfig | None = None, **options) -> str:
    return model_card(config or tiny_config(), repo="me/tiny", parameters=1234, **options)


def front_matter(card: str) -> dict:
    found = re.match(r"---\n(.*?)\n---\n", card, re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def section(card: str, title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", card, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def test_native_scale_is_told_with_the_size_of_objects() -> None:
    native = tiny_config().model_copy(update={"preprocess": NativeConfig(scale=0.5, diameter_px=23.46)})
    card = made(native)
    assert "0.5 pixels of the network for each of the image's" in card
    assert "objects about 23.5 pixels across" in card and "padded to multiples of 32" in card


def test_front_matter_is_what_the_hub_reads() -> None:
    matter = front_matter(made(license="apache-2.0"))
    assert matter["library_name"] == "sparseinst"
    assert matter["pipeline_tag"] == "image-segmentation"
    assert matter["license"] == "apache-2.0"
    assert "instance-segmentation" in matter["tags"]
    assert "model-index" not in matter


def test_metrics_become_a_model_index_and_a_table() -> None:
    evaluation = Evaluation(
        max_dets=100, **FIGURES, images=7, instances=90, detections=120, most_instances=130, best_f1=0.6,
        best_score=0.4, covering=Figures(max_dets=130, **FIGURES | {"ap": 0.75}), per_group={},
        per_class=(ClassFigures("disc", 50, 0.375, 0.625), ClassFigures("box", 40, 0.125, 0.375)),
    )  # fmt: skip
    card = made(metrics=evaluation.to_json(), measured_on="Discs *val*")
    (entry,) = front_matter(card)["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == "tiny"
    assert result["dataset"] == {"name": "Discs *val*", "type": "discs-val"}
    metrics = {metric["type"]: metric for metric in result["metrics"]}
    assert {name: metric["value"] for name, metric in metrics.items()} == {
        **{name: value for name, value in FIGURES.items() if value >= 0}, "best_f1": 0.6,
    }  # fmt: skip
    assert metrics["ap"]["args"] == {"max_dets": 100}
    text = section(card, "How good it is")
    assert r"Discs \*val\* (7 images)" in text
    assert "|  | at 100 detections | at 130 detections |" in text
    assert "| AP | 0.250 | 0.750 |" in text and "AP large" not in text
    assert "| `box` | 40 | 0.125 | 0.375 |" in text


def test_without_metrics_those_of_the_training_are_shown() -> None:
    facts = {"last_evaluation": FIGURES, "recipe": Recipe(max_dets=300).model_dump(mode="json")}
    card = made(facts=facts)
    (result,) = front_matter(card)["model-index"][0]["results"]
    assert result["dataset"]["name"] == "the validation images of its training"
    assert "| AP | 0.250 |" in card and "at 300 detections" in card
    assert "No figures" in section(made(facts={"last_evaluation": None}), "How good it is")


@pytest.mark.parametrize("wrong", [{"per_class": "all"}, {"covering": 3}, {"per_class": [1, {"ap": 0.1}]}])
def test_figures_of_another_form_do_not_stop_the_card(wrong: dict) -> None:
    assert "| AP | 0.500 |" in made(metrics={"ap": 0.5, "ap50": float("nan"), **wrong}, measured_on="x")


def test_the_body_tells_what_the_network_is_and_how_to_use_it() -> None:
    card = made(picture="picture.png")
    assert card.splitlines().count("# tiny") == 1
    assert "![Instances found in an image](picture.png)" in card
    assert "| backbone | `test_efficientnet` |" in card and "| parameters | 1,234 |" in card
    assert "at most 6 instances" in card and "64 pixels" in card
    assert "sparseinst predict picture.jpg --model hf:me/tiny" in card and 'Predictor("hf:me/tiny")' in card
    assert section(card, "Classes").strip() == "`disc`, `box`."
    assert "arxiv.org/abs/2203.12827" in card and "cheng2022sparseinst" in card
    assert "![" not in made()


def test_the_room_of_seeds_is_told_as_it_is_counted() -> None:
    def told(**decoder: object) -> str:
        return model_card(tiny_seeds_config(**decoder), repo="me/tiny", parameters=1)

    assert told().count("at most 6 instances in an image") == 2
    by_area = told(candidates=400, candidates_per="area")
    assert by_area.count("at most 400 instances for each 512 x 512 pixels of an image's frame") == 2


def test_many_classes_are_folded() -> None:
    card = section(made(ModelConfig()), "Classes")
    assert "and 68 more" in card and "All 80" in card
    assert "79. `toothbrush`" in card


def test_training_is_told_where_it_was_done_here() -> None:
    recipe = Recipe(batch=4, optim={"accumulate": 2, "lr": 0.001, "reference_batch": 8}).model_dump(mode="json")
    card = section(made(facts={"iteration": 2000, "seconds": 3000.0, "recipe": recipe}), "How it was trained")
    assert "2,000 steps of 8 images, AdamW, learning rate 0.001 at 8 images, multistep, fp32, 50 minutes." in card
    settings = re.search(r"```yaml\n(.*?)```", card, re.DOTALL)
    assert settings and yaml.safe_load(settings[1]) == recipe
    assert "How it was trained" not in made(facts={"recipe": recipe})  # the recipe its authors published


def test_origin_and_limits_are_told() -> None:
    origin = {"file": "published.pth", "sha256": "ab12"}
    card = made(facts={"provenance": origin, "note": "odd", "recipe": {}}, limits="Blind at *night*.")
    assert "| file | published.pth |" in card and "| sha256 | ab12 |" in card and "| note | odd |" in card
    assert section(card, "Limits").strip() == "Blind at *night*."
    assert "at most 6 instances" in section(made(), "Limits")
    assert "Where it comes from" not in made()


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=15, unique=True), st.text(max_size=40))
def test_no_name_breaks_the_front_matter_or_the_page(names: list[str], text: str) -> None:
    config = tiny_config().model_copy(update={"classes": tuple(names)})
    card = made(config, facts={"description": text, "note": text}, metrics={"ap": 0.5}, measured_on=text or None)
    matter = front_matter(card)
    assert matter["license"] == "mit"
    assert matter["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.5
    titles = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert titles == ["Use", "Classes", "How good it is", "Limits", "Where it comes from", "Method"]
