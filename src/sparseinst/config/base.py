"""What all settings are, and how the command line asks what a field may hold."""

from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: immutable; an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def kinds_of(annotation: Any) -> tuple[type[Settings], ...]:
    """The classes of settings that a field may hold: one group, or every kind of a union; none for a plain value.

    >>> from sparseinst.config.preprocess import IntensityConfig
    >>> [kind.__name__ for kind in kinds_of(IntensityConfig)], kinds_of(int | None)
    (['IntensityConfig'], ())
    """
    if isinstance(annotation, type):
        return (annotation,) if issubclass(annotation, Settings) else ()
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    kinds = tuple(kinds_of(member) for member in members)
    return sum(kinds, ()) if all(kinds) else ()


def kind_or(default: str) -> Callable[[Any], str]:
    """What tells pydantic which of several kinds of settings a value is: its `kind`, as the tag "kind=...".

    Args:
        default: that of files written before there were kinds, which name none.
    """

    def tag(value: Any) -> str:
        kind = value.get("kind", default) if isinstance(value, dict) else getattr(value, "kind", default)
        return f"kind={kind}"

    return tag
