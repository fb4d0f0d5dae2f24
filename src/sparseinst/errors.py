"""The one exception that means "the input is wrong, and here is what to do", and what it says of settings."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class InputError(ValueError):
    """Raised when something the user gave cannot be used.

    The message names the file or setting, says what was expected and what came, and ends with what to do. The command
    line prints it without a traceback; every other exception is a defect of this package and keeps its traceback.
    """


def misfit(error: "ValidationError") -> str:
    """Which settings do not fit, why, and what came, in one line, by the names that `--set` knows."""
    return "; ".join(
        f"{'.'.join(str(part) for part in e['loc'] if not str(part).startswith('kind=')) or 'settings'}: {e['msg']}"
        + ("" if isinstance(e["input"], dict) else f" (got {e['input']!r})")
        for e in error.errors()
    )
