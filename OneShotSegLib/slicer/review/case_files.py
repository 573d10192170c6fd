"""Where the CT of each case lies, from the study's own description."""

from __future__ import annotations

from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths


def read_case_volumes(study: StudyPaths) -> dict[str, Path]:
    """Case name to the file or folder of its CT; empty for a folder that is no study (yet)."""
    try:
        return StudyDescription.read(study).case_volumes
    except InputError:
        return {}
