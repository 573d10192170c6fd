"""Where the CT of each case lies, from what the study says of itself."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths

INPUTS_SUFFIX = "-inputs"


def inputs_folder(study: StudyPaths) -> Path:
    """Where the panel keeps the files that it writes for a study's runs: beside it."""
    return study.root.with_name(study.root.name + INPUTS_SUFFIX)


def read_case_volumes(study: StudyPaths) -> dict[str, Path]:
    """Case name to the file or folder of its CT; empty for a folder that is no study (yet)."""
    try:
        return {case.case: Path(case.source) for case in StudyDescription.read(study).cases}
    except InputError:
        return {}
