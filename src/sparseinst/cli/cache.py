"""`sparseinst cache`."""

import time
from typing import Annotated

import typer

from sparseinst.cli.telling import count, print_table, say

_MB = 10**6


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all of them; they are made anew when needed.")] = False,
    most_mb: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="Remove those not used for longest until the others take at most N megabytes."
        ),
    ] = None,
) -> None:
    """Show the networks converted for ONNX Runtime that are kept, with size and age, or clear them."""
    from sparseinst.files import CACHE, cache_folder
    from sparseinst.runtime.cache import MOST_BYTES, kept_networks, trim

    removed = trim(0 if clear else most_mb * _MB if most_mb is not None else MOST_BYTES)
    if removed:
        say(f"removed {count(len(removed), 'network')}, {sum(one.bytes for one in removed) / _MB:.0f} MB")
    kept, now = kept_networks(), time.time()
    if kept:
        rows = [(one.path.name, f"{one.bytes / _MB:.1f}", _age(now - one.used_s)) for one in kept]
        print_table(("file", "MB", "last used"), rows)
    say(
        f"{count(len(kept), 'converted network')}, {sum(one.bytes for one in kept) / _MB:.0f} MB of at most "
        f"{MOST_BYTES / _MB:.0f} MB, in {cache_folder()} ({CACHE} names another folder)"
    )


def _age(seconds: float) -> str:
    """How long ago something was.

    Example:
        >>> _age(5), _age(3600 * 30), _age(86400 * 9)
        ('0 minutes ago', '30 hours ago', '9 days ago')
    """
    for unit, length in (("day", 86400), ("hour", 3600)):
        if seconds >= 2 * length:
            return f"{count(int(seconds // length), unit)} ago"
    return f"{count(max(0, int(seconds // 60)), 'minute')} ago"
