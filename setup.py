"""Writes the commit into a wheel and an sdist (``oneshotseg --version``); all else is in pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
PACKAGE = "OneShotSegLib"


def commit() -> str | None:
    """The commit of the checkout, or what the sdist that this is was made of."""
    sys.path.insert(0, str(ROOT))
    try:
        from OneShotSegLib.build_info import BUILD_FILE, build
    finally:
        sys.path.pop(0)
    assert BUILD_FILE == "build.txt"
    return build()


def write_build(folder: Path) -> None:
    """Write the commit into the package that lies in a folder; an earlier one's goes."""
    found = commit()
    file = folder / PACKAGE / "build.txt"
    file.unlink(missing_ok=True)
    if found:
        file.write_text(f"{found}\n", encoding="ascii")


class BuildWithCommit(build_py):
    """Builds the package, the commit in it; an editable one reads the checkout's own."""

    def run(self) -> None:
        """Build."""
        super().run()
        if not self.editable_mode:
            write_build(Path(self.build_lib))


class SdistWithCommit(sdist):
    """Makes the sdist, the commit in it."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Make the folder that is packed."""
        super().make_release_tree(base_dir, files)
        write_build(Path(base_dir))


setup(cmdclass={"build_py": BuildWithCommit, "sdist": SdistWithCommit})
