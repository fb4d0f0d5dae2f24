"""What mkdocs does for the manual beyond Markdown.

Pages are written so that they also read well among the files of the repository. Links to files outside docs/ therefore
stay as they are there; here each such file is put into the site, and the link leads to it.
"""

import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import commands
from blocks import files_of, pages, read
from figures import problems
from sparseinst.version import __version__

ROOT = Path(__file__).parent.parent
OF_THE_REPOSITORY = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
"""Pages that lie at the top of the repository, where people look for them."""
SHOWN = (".json", ".png", ".webp", ".gif", ".svg", ".ipynb")
"""Endings that browsers show as they are; anything else is given `.txt`."""
_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")
_FENCE = re.compile(r"^( *)```.*?^\1```", re.M | re.S)


def source(uri: str) -> str:
    """Path of a page's Markdown in the repository."""
    return OF_THE_REPOSITORY.get(uri, f"docs/{uri}")


def outside(uri: str, link: str) -> str | None:
    """Path in the repository of what a link of a page leads to, if that is no page of the manual."""
    target = os.path.normpath(PurePosixPath(source(uri)).parent / link)
    return None if target.startswith("docs/") or target in OF_THE_REPOSITORY.values() else target


def place(target: str) -> str:
    """Where a file of the repository lies in the site."""
    return f"files/{target}" + ("" if target.endswith(SHOWN) else ".txt")


def links(markdown: str) -> set[str]:
    """Targets of the links of a page, without anchors, addresses and what stands in code."""
    return set(_LINK.findall(_FENCE.sub("", markdown)))


def on_pre_build(config: MkDocsConfig) -> None:
    """Stops where a figure of a page is not that of the file it comes from."""
    found = [f"{page}, {problem}" for page in pages() for problem in problems(read(page))]
    if found:
        raise PluginError("figures that no file of results holds:\n" + "\n".join(found))


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the repository's top, and the files that pages link to."""
    for uri, name in OF_THE_REPOSITORY.items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/commands.md", content=commands.page(__version__)))
    wanted = set()
    for page in files.documentation_pages():
        wanted |= {outside(page.src_uri, link) for link in links(page.content_string)}
    for target in sorted(wanted - {None}):
        if (ROOT / target).is_file():  # what is not there stays a link that leads nowhere, which stops the build
            files.append(File.generated(config, place(target), content=(ROOT / target).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links out of docs/ to where their files lie in the site."""
    uri = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        target = outside(uri, match[1])
        if target is None:
            target = os.path.normpath(PurePosixPath(source(uri)).parent / match[1])
            at = {name: page for page, name in OF_THE_REPOSITORY.items()}.get(target, target.removeprefix("docs/"))
        elif (ROOT / target).is_file():
            at = place(target)
        else:
            return match[1]
        return os.path.relpath(at, PurePosixPath(uri).parent)

    kept: list[Any] = []  # code stays as it is
    text = _FENCE.sub(lambda match: kept.append(match[0]) or f"\0{len(kept) - 1}\0", markdown)
    return re.sub("\0(\\d+)\0", lambda match: kept[int(match[1])], _LINK.sub(turned, text)) + _about_files(uri)


def _about_files(uri: str) -> str:
    """What a page says at its end about the prepared files that it works with."""
    listed = ", ".join(f"`{name}`" for name in files_of(source(uri)))
    if not listed:
        return ""
    contributing = os.path.relpath("contributing.md", PurePosixPath(uri).parent)
    return (
        f"\n\n---\n\n*The code of this page is [run by the tests]({contributing}), in order, in a folder with "
        f"{listed}; `python manual/prepared.py FOLDER` makes these files.*\n"
    )
