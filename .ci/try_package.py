"""Installs a built wheel into an empty environment and tests it from there.

`python .ci/try_package.py DIST`: DIST is a folder with one wheel and one sdist. The tests are those
of the sdist, whose own copy of the package is put aside first: what they import is the wheel's.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

# All that need nothing but pytest and email-validator and take a second or a few
TESTS = [
    "tests/empty_environment.py",  # named like this, no other run collects it
    "tests/test_packaging.py",
    "tests/test_plugin.py",
    "tests/test_server.py",
    "tests/test_rules.py",
    "tests/test_callbacks.py",
    "tests/test_mailbox.py",
    "tests/test_message.py",
    "tests/test_record.py",
    "tests/test_save.py",
    "tests/test_report_section.py",
    "examples",
]


def main(dist: Path) -> int:
    [wheel] = dist.glob("*.whl")
    [sdist] = dist.glob("*.tar.gz")
    with TemporaryDirectory() as folder:
        place = Path(folder)
        python = make_environment(place / "environment")
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, str(wheel)], check=True)
        with tarfile.open(sdist) as archive:
            archive.extractall(place / "sdist", filter="data")
        [root] = (place / "sdist").iterdir()
        (root / "pytest_smtpd").rename(root / "pytest_smtpd.sdist")
        environment = {**os.environ, "PYTHONDEVMODE": "1"}
        environment.pop("PYTHONPATH", None)
        # -P: without the current folder on the import path
        command = [python, "-P", "-m", "pytest", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=root, env=environment).returncode


def make_environment(place: Path) -> str:
    venv.create(place, with_pip=True)
    return str(place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
