"""What a release says of itself, and what is in its files."""

import re
import tarfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
LARGEST_MB = 35
"""Of the wheel: two networks of weights (13 MB) and ONNX Runtime for browsers make most of it."""
OF_THE_SDIST = (
    "src", "tests", "benchmarks", "docs", "manual", "examples", "release", "mkdocs.yml", "CITATION.cff", "LICENSE",
    "Makefile", "hatch_build.py", "pyproject.toml", "PKG-INFO", ".gitignore", "README.md", "CHANGELOG.md",
    "CONTRIBUTING.md", "SECURITY.md",
)  # fmt: skip
"""What lies at its top."""
STRAY = re.compile(
    r"(^|/)(__pycache__|\.[a-z]+_cache|\.venv|runs|site|predictions)/|\.(pyc|stamp|log|tmp|orig)$|(^|/)\.DS_Store$"
)
LICENCES = ("LICENSE", "LICENSE-APACHE-2.0.txt", "tf_efficientnet_lite0.NOTICE")


def version() -> str:
    """The package's own version."""
    text = (ROOT / "src" / "sparseinst" / "version.py").read_text(encoding="utf-8")
    match = re.search(r'__version__ = "([^"]+)"', text)
    assert match is not None
    return match[1]


def disagreements() -> list[str]:
    """Where version, changelog and citation say different things."""
    own, found = version(), []
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    if str(citation["version"]) != own:
        found.append(f"CITATION.cff: expected version {own}, got {citation['version']}")
    sections = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    dated = [(name, day) for name, day in sections if name != "Unreleased"]
    if not dated or dated[0][0] != own:
        found.append(f"CHANGELOG.md: expected {own} as the newest section with a version, got {dated[:1]}")
    elif dated[0][1] != str(citation["date-released"]):
        found.append(f"CITATION.cff: expected the changelog's date {dated[0][1]}, got {citation['date-released']}")
    return found


def names(path: Path) -> dict[str, int]:
    """Files of a wheel or sdist without their first folder (sdist), and their sizes there in bytes."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {item.filename: item.compress_size for item in archive.infolist()}
    with tarfile.open(path) as archive:
        return {item.name.partition("/")[2]: item.size for item in archive.getmembers() if item.isfile()}


def problems_of(path: Path) -> list[str]:
    """What is in a wheel or sdist and should not be, or is missing."""
    files = names(path)
    found = [f"{path.name}: stray {name}" for name in files if STRAY.search(name)]
    tops = {name.partition("/")[0] for name in files}
    if path.suffix == ".whl":
        wrong = {top for top in tops if top != "sparseinst" and not top.endswith(".dist-info")}
        size = path.stat().st_size / 1e6
        if size > LARGEST_MB:
            found.append(f"{path.name}: expected at most {LARGEST_MB} MB, got {size:.1f} MB")
    else:
        wrong = tops - set(OF_THE_SDIST)
    found += [f"{path.name}: unexpected {top}" for top in sorted(wrong)]
    present = {name.rsplit("/", 1)[-1] for name in files}
    return found + [f"{path.name}: {name} is missing" for name in LICENCES if name not in present]


def fillers(path: Path, count: int = 6) -> list[str]:
    """What fills a wheel most: folders or files, with their megabytes."""
    sizes: Counter[str] = Counter()
    for name, size in names(path).items():
        sizes["/".join(name.split("/")[:3])] += size
    return [f"{size / 1e6:5.1f} MB  {name}" for name, size in sizes.most_common(count)]


def oldest() -> list[str]:
    """The lowest versions that the package says it takes, in their newest patch, as pip's constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.sub(r"\[[^\]]*\]", "", needed).replace(">=", "==") + ".*" for needed in project["dependencies"]]
