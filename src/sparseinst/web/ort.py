"""ONNX Runtime for browsers: two files of its npm package, checked against the hash of the version we know.

They are put into a wheel when it is built where npm is; where they are absent, `npm` fetches them when they are needed.
The build runs this file alone, before anything is installed: it imports nothing beyond the standard library.
"""

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from sparseinst.errors import InputError

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
BUNDLED = Path(__file__).parent / "page" / "ort"
"""Where the files are in a package that brings them."""
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
"""Of the package as npm gives it."""

# Named .js here: many web servers do not know that .mjs is a script.
_MEMBERS = {
    "package/dist/ort.wasm.bundle.min.mjs": "ort.js",
    "package/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
_LICENCE = "LICENSE.txt"
_LICENCE_TEXT = f"""ONNX Runtime Web {VERSION}, https://github.com/microsoft/onnxruntime
What it is made of: ThirdPartyNotices.txt there.

MIT License

Copyright (c) Microsoft Corporation

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def is_complete(folder: Path) -> bool:
    """Whether a folder holds the files, of this version."""
    licence = folder / _LICENCE
    known = licence.is_file() and licence.read_text(encoding="utf-8") == _LICENCE_TEXT  # it names the version
    return known and all((folder / name).is_file() for name in _MEMBERS.values())


def provide(folder: Path) -> None:
    """Puts the files into a folder that is not there yet: copies of those of this package, or else from npm.

    Raises:
        InputError: this package has none, and npm is absent or cannot fetch them.
    """
    if is_complete(BUNDLED):
        shutil.copytree(BUNDLED, folder)
    else:
        fetch_runtime(folder)


def fetch_runtime(folder: Path) -> None:
    """Fetches the files with npm into a folder, over what is there.

    Raises:
        InputError: npm is absent, cannot fetch the package, or gives another than the one we know.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            f"{PACKAGE}: expected npm to fetch it with, found none: install Node.js, which brings npm, or a wheel of "
            "sparseinst that was built where npm is"
        )
    with tempfile.TemporaryDirectory() as temporary:
        command = [npm, "pack", PACKAGE, "--silent", "--pack-destination", temporary]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=temporary)
        packages = list(Path(temporary).glob("*.tgz"))
        if done.returncode or len(packages) != 1:
            told = " ".join((done.stderr or done.stdout).split()) or f"status {done.returncode}"
            raise InputError(f"{PACKAGE}: npm could not fetch it ({told}): check the network and try again")
        _unpack(packages[0], folder)


def _unpack(package: Path, folder: Path) -> None:
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    if digest != SHA256:
        raise InputError(
            f"{PACKAGE}: expected a package with SHA-256 {SHA256}, npm gave {digest}: do not use it; check where npm "
            "fetches from"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(package) as archive:
        for member, name in _MEMBERS.items():
            content = archive.extractfile(member)
            assert content is not None, "the hash is that of a package that has it"
            (folder / name).write_bytes(content.read())
    (folder / _LICENCE).write_text(_LICENCE_TEXT, encoding="utf-8")  # last: it says that all is there


if __name__ == "__main__":
    fetch_runtime(BUNDLED)
