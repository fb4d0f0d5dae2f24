"""The notebook: `python manual/notebook.py` writes examples/tour.ipynb from manual/tour.py, with outputs."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from prepared import ROOT, prepare

NOTEBOOK = ROOT / "examples" / "tour.ipynb"
SOURCE = Path(__file__).with_name("tour.py")
FILES = ["cells.png", "large.tif", "clip.mp4", "my_data"]
LONGEST_S = 1800
_TEXT = " [markdown]"


def unexecuted() -> nbformat.NotebookNode:
    """The notebook without outputs."""
    cells = []
    for number, part in enumerate(SOURCE.read_text(encoding="utf-8").split("# %%")[1:]):
        kind, _, text = part.partition("\n")
        if kind == _TEXT:
            lines = [line.removeprefix("#").removeprefix(" ") for line in text.strip().splitlines()]
            cells.append(new_markdown_cell("\n".join(lines)))
        else:
            cells.append(new_code_cell(text.strip()))
        cells[-1]["id"] = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def executed() -> nbformat.NotebookNode:
    """The notebook with outputs, run in a folder with the prepared files; an error in a cell is raised."""
    notebook = unexecuted()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), FILES)
        NotebookClient(notebook, timeout=LONGEST_S, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
        if cell.cell_type == "code":
            cell.outputs = list(_told(cell.outputs))
    return notebook


def _told(outputs: list[nbformat.NotebookNode]) -> Iterator[nbformat.NotebookNode]:
    """What is for readers: no warnings of this machine, and what was printed in one piece."""
    printed = [output for output in outputs if output.output_type == "stream" and output.name == "stdout"]
    if printed:
        printed[0].text = "".join(output.text for output in printed)
        yield printed[0]
    yield from (output for output in outputs if output.output_type != "stream")


if __name__ == "__main__":
    nbformat.write(executed(), NOTEBOOK)
    print(f"{NOTEBOOK.relative_to(ROOT)}: {NOTEBOOK.stat().st_size / 1e6:.2f} MB")
