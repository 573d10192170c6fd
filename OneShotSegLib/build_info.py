"""Which build this is: the commit, written into a wheel as it is built, or read from the checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent
BUILD_FILE = "build.txt"
SHORT = 12


def build() -> str | None:
    """The commit that this code was built from, shortened; None if nobody knows."""
    written = PACKAGE / BUILD_FILE
    try:
        if written.is_file():
            return written.read_text(encoding="ascii").strip()[:SHORT] or None
        return commit_of(PACKAGE.parent)
    except (OSError, ValueError):
        return None


def commit_of(checkout: Path) -> str | None:
    """The commit of a checkout, shortened, read without git; None if it is none.

    Raises:
        OSError: If a file of the repository cannot be read.
    """
    git = checkout / ".git"
    if git.is_file():  # a further working tree, whose files lie elsewhere
        git = checkout / git.read_text(encoding="utf-8").partition("gitdir:")[2].strip()
    if not (git / "HEAD").is_file():
        return None
    head = (git / "HEAD").read_text(encoding="utf-8").strip()
    if not head.startswith("ref:"):
        return head[:SHORT]
    return _commit_of_branch(git, head.partition(":")[2].strip())


def _commit_of_branch(git: Path, branch: str) -> str | None:
    common = git / "commondir"
    root = git / common.read_text(encoding="utf-8").strip() if common.is_file() else git
    if (root / branch).is_file():
        return (root / branch).read_text(encoding="utf-8").strip()[:SHORT]
    packed = root / "packed-refs"
    lines = packed.read_text(encoding="utf-8").splitlines() if packed.is_file() else []
    return next((line[:SHORT] for line in lines if line.endswith(f" {branch}")), None)


def version_line() -> str:
    """The version, and the build where it is known: "0.2.0 (build 1a2b3c4d5e6f)"."""
    from OneShotSegLib import __version__

    found = build()
    return f"{__version__} (build {found})" if found else __version__
