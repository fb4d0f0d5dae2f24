"""Licences of what is installed: .ci/licences.py."""

import subprocess
import sys
from email.message import Message
from pathlib import Path, PurePosixPath
from types import SimpleNamespace

import pytest

CI = Path(__file__).resolve().parents[1] / ".ci"


def test_every_licence_here_is_known() -> None:
    done = subprocess.run([sys.executable, str(CI / "licences.py")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "told", "files", "said"),
    [
        ("a", {"License-Expression": "MIT AND (Apache-2.0 OR BSD-3-Clause)"}, (), None),
        ("a", {"Classifier": "License :: OSI Approved :: MIT License"}, (), None),
        ("a", {"License": "BSD"}, ("a/libopenblas-1.so",), None),
        ("a", {}, (), "expected a permissive licence, got nothing"),
        ("a", {"License": "UNKNOWN"}, (), "got nothing"),
        ("a", {"License-Expression": "MIT AND GPL-3.0-only"}, (), "got MIT; GPL-3.0-only"),
        ("a", {"Classifier": "License :: OSI Approved :: GNU Affero General Public License v3"}, (), "but the AGPL"),
        ("hypothesis", {"License-Expression": "AGPL-3.0"}, (), "but the AGPL"),
        ("hypothesis", {"License-Expression": "MPL-2.0"}, (), None),
        ("a", {"License-Expression": "MIT"}, ("a.libs/libx264-0f.so.164", "a/b.py"), "brings libx264, lib|brings x264"),
        ("av", {"License-Expression": "BSD-3-Clause"}, ("av.libs/libx264-0f.so.164",), None),
        ("nvidia-cublas", {"License-Expression": "LicenseRef-NVIDIA-Proprietary"}, (), None),
    ],
)
def test_what_passes(
    name: str, told: dict[str, str], files: tuple[str, ...], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(CI)
    from licences import complaints, package_of

    about = Message()
    for key, value in told.items():
        about[key] = value
    found = SimpleNamespace(name=name, metadata=about, files=[PurePosixPath(file) for file in files])
    lines = list(complaints([package_of(found)]))
    if said is None:
        assert not lines
    else:
        assert len(lines) == 1 and any(word in lines[0] for word in said.split("|")) and lines[0].startswith(f"{name}:")
