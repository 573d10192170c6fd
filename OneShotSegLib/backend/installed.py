"""What is installed in an environment and whole: every file is there as it was installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import re
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path


def normalized(name: str) -> str:
    """A package's name as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def site_packages(env: Path) -> Path:
    """The folder that an environment's packages are in."""
    found = next(env.glob("lib/python3.*/site-packages"), None)
    return found or env / "Lib" / "site-packages"


def whole_packages(site: Path) -> dict[str, str]:
    """Name to version of each package all of whose files are as they were installed; reads every file."""
    return {
        normalized(dist.name): dist.version
        for dist in metadata.distributions(path=[str(site)])
        if dist.name and is_whole(dist, site)
    }


def is_whole(dist: metadata.Distribution, site: Path) -> bool:
    """Whether all files of a package are as it says."""
    listed = list(_listed(dist))
    return bool(listed) and all(_is_as_said(site / path, hashed, size) for path, hashed, size in listed)


def _listed(dist: metadata.Distribution) -> Iterator[tuple[str, str, str]]:
    """Path, hash and size of each file that a package lists."""
    text = dist.read_text("RECORD")
    for row in csv.reader((text or "").splitlines()):
        if len(row) == 3 and row[1]:
            yield row[0], row[1], row[2]


def _is_as_said(path: Path, hashed: str, size: str) -> bool:
    algorithm, _equals, expected = hashed.partition("=")
    try:
        if size and path.stat().st_size != int(size):
            return False
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, algorithm).digest()
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii") == expected


def remove_unfinished(site: Path) -> None:
    """Remove what says that a package is there, but not which files it has: pip would not replace such a one.

    Raises:
        OSError: If it cannot be removed.
    """
    for folder in site.glob("*.dist-info"):
        if not (folder / "RECORD").is_file() or not (folder / "METADATA").is_file():
            shutil.rmtree(folder)
    for folder in site.glob("~*"):  # pip's own, of an installation that was ended
        shutil.rmtree(folder, ignore_errors=True)


def count(site: Path) -> int:
    """How many packages are there, whole or not."""
    return sum(1 for folder in site.glob("*.dist-info") if (folder / "RECORD").is_file())
