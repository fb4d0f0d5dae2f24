"""Recipes by name: files that change the recipe of a preset, chosen by what there is to train on."""

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from sparseinst.config.base import Settings
from sparseinst.data.geometry import MULTIPLE_PX
from sparseinst.errors import InputError, misfit
from sparseinst.parsing import find_named, read_yaml
from sparseinst.recipe import Preset, Recipe
from sparseinst.training.settings import apply_settings, is_free_of_frames, with_frame

_RECIPES = Path(str(files("sparseinst.training") / "recipes"))


class RecipeFile(Settings):
    """What a recipe file says: how to change the recipe of a preset."""

    description: str
    decoder: Literal["slots", "seeds", "any"] = Field("any", description="kind of decoder that it is made for")
    base: Literal["published", "own"] = Field(
        "published", description="what it changes: the published recipe, or the network's own"
    )
    frame_px: int | None = Field(
        None, gt=0, multiple_of=MULTIPLE_PX,
        description="side of one square frame for training and prediction; a network that has a frame keeps its own, "
        "one of seeds or at native scale the crop of its own recipe",
    )  # fmt: skip
    settings: dict[str, Any] = Field(description="settings by dotted name, of the recipe and of the network")


def recipe_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return sorted(path.stem for path in _RECIPES.glob("*.yaml"))


def load_recipe(name: str | Path) -> RecipeFile:
    """A recipe by name, or read from a YAML file of the same form.

    Raises:
        InputError: there is no such recipe or file, or the file holds something else.
    """
    path = find_named(name, _RECIPES, kind="recipe", option="recipe")
    try:
        return RecipeFile.model_validate(read_yaml(path, expected="a recipe"))
    except ValidationError as error:
        raise InputError(f"{path}: {misfit(error)}: correct the file") from error


def use_recipe(preset: Preset, file: RecipeFile) -> Preset:
    """The preset with another recipe in place of its own: the published one, or its own, changed as the file says.

    A network of seeds or at native scale keeps the crop of its own recipe, for its weights do not depend on the frame.

    Raises:
        InputError: the recipe is for another kind of decoder, or a setting is unknown or does not fit the network.
    """
    _check_kind(preset, file)
    free = is_free_of_frames(preset.model)
    frame = preset.recipe.augment.frame_hw if free else preset.model.preprocess.frame_hw
    if file.base == "published":
        preset = preset.model_copy(update={"recipe": Recipe()})
    if file.frame_px is not None:
        preset = with_frame(preset, frame or (file.frame_px, file.frame_px))
    elif free and frame is not None:
        preset = with_frame(preset, frame)
    return apply_settings(preset, file.settings)


def _check_kind(preset: Preset, file: RecipeFile) -> None:
    kind = preset.model.decoder.kind
    if file.decoder in (kind, "any"):
        return
    fitting = [name for name in recipe_names() if load_recipe(name).decoder in (kind, "any")]
    raise InputError(
        f"recipe: expected one for networks of {kind}, got one for networks of {file.decoder}: take "
        f"{' or '.join(fitting)}, or leave it out for the network's own"
    )
