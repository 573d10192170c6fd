"""The packages that are declared, against those that are installed; nothing is imported."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from OneShotSegLib.doctor.finding import Finding, error, ok, warning
from OneShotSegLib.doctor.requirements import NEEDED, OF_SLICER

DISTRIBUTION = "OneShotSegLib"
PACKAGE = Path(__file__).parents[1]
NAME = re.compile(r"\s*([A-Za-z0-9][\w.-]*)")
EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
USES = {
    "cluster": "--workers and --scheduler",
    "dicom": "export dicom-seg",
    "train": "curves of a training as pictures and in TensorBoard, networks of MONAI",
}
"""What each extra is for, those for developers left out."""


def examine_packages() -> Iterator[Finding]:
    """The findings about the packages that every run needs, then about each extra."""
    needed, extras = declared()
    for requirement in needed:
        yield examine_requirement(requirement)
    for extra, requirements in extras.items():
        missing = [text for text in requirements if not _is_met(text)[0]]
        if missing:
            yield ok(f"Extra {extra}", f"not installed ({', '.join(missing)}); it is for {USES[extra]}")
        else:
            yield ok(f"Extra {extra}", f"installed, for {USES[extra]}")


def examine_requirement(requirement: str) -> Finding:
    """Whether an installed package meets a requirement."""
    name = _name(requirement)
    met, found = _is_met(requirement)
    if met and found is None:
        return ok(name, "not needed here")
    if found is None:
        return error(name, f"missing: expected {requirement.strip()}")
    if not met:
        return error(name, f"expected {requirement.strip()}, found {found}")
    copies = [each.version for each in metadata.distributions(name=name)]
    if len(set(copies)) > 1:
        return warning(name, f"installed several times ({', '.join(copies)}): uninstall it, and install it again")
    return ok(name, found)


def declared() -> tuple[list[str], dict[str, list[str]]]:
    """What a run needs, and what each extra in `USES` adds.

    Of a checkout it is what its pyproject.toml has, else what the installed package says, else what
    `OneShotSegLib.doctor.requirements` has, as in the Slicer extension.
    """
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        table = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if table.get("name") == DISTRIBUTION:
            optional = table.get("optional-dependencies", {})
            return table["dependencies"], {extra: optional[extra] for extra in USES if extra in optional}
    try:
        return split_extras(metadata.requires(DISTRIBUTION) or [])
    except metadata.PackageNotFoundError:
        return list(NEEDED), {extra: list(texts) for extra, texts in OF_SLICER.items()}


def split_extras(requirements: Iterable[str]) -> tuple[list[str], dict[str, list[str]]]:
    """The requirements of an installed package, those of extras apart."""
    needed: list[str] = []
    extras: dict[str, list[str]] = {}
    for text in requirements:
        requirement, _, marker = text.partition(";")
        extra = EXTRA.search(marker)
        if extra is None:
            needed.append(text)
        elif extra[1] in USES:
            extras.setdefault(extra[1], []).append(requirement.strip())
    return needed, extras


def _name(requirement: str) -> str:
    found = NAME.match(requirement)
    return found[1] if found else requirement


def _is_met(requirement: str) -> tuple[bool, str | None]:
    """Whether a requirement is met, and by which version; without packaging, that it is there has to do."""
    try:
        version = metadata.version(_name(requirement))
    except metadata.PackageNotFoundError:
        version = None
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return version is not None, version
    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return True, version
    return version is not None and wanted.specifier.contains(version, prereleases=True), version
