"""Exports as a user interface offers them."""

from __future__ import annotations

import re
from enum import Enum
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.i18n import tr as _
from OneShotSegLib.interface.jobs.commands import export
from OneShotSegLib.study.layout import StudyPaths

DATASET = re.compile(r"Dataset(\d{3})_")
DATASETS = 999


class ExportFormat(Enum):
    """What can be written; the values are the command line's names."""

    NNUNET = "nnunet"
    NIFTI = "nifti"
    DICOM_SEG = "dicom-seg"
    RTSTRUCT = "rtstruct"
    ZIP = "zip"

    def label(self) -> str:
        """As it is shown."""
        labels = {
            "nnunet": _("nnU-Net dataset"),
            "nifti": _("NIfTI label maps"),
            "dicom-seg": _("DICOM SEG"),
            "rtstruct": _("DICOM RTSTRUCT"),
            "zip": _("Review without CTs (zip)"),
        }
        return labels[self.value]


def plan_export(
    study: StudyPaths, format_: ExportFormat, folder: Path, accepted_only: bool, name: str = ""
) -> tuple[list[str], Path]:
    """The command line's arguments of an export, and what it writes.

    Args:
        study: The study.
        format_: What is written.
        folder: Where to; it is there.
        accepted_only: Leave out what waits for review.
        name: What the export is named in that folder; after the study if left out.

    Raises:
        InputError: If there is something of that name already.
    """
    if format_ is ExportFormat.NNUNET:
        return export(format_.value, study.root, folder, accepted_only, free_dataset(folder)), folder
    ending = ".zip" if format_ is ExportFormat.ZIP else ""
    target = folder / (name or f"{study.root.name}-{format_.value}{ending}")
    if target.exists():
        raise InputError(_("{path}: there is something already; choose another folder.").format(path=target))
    return export(format_.value, study.root, target, accepted_only), target


def free_dataset(raw: Path) -> int:
    """The first number that no nnU-Net dataset of a folder has.

    Raises:
        InputError: If all are taken.
    """
    taken = {int(match[1]) for path in raw.iterdir() if (match := DATASET.match(path.name))}
    free = next((number for number in range(1, DATASETS + 1) if number not in taken), None)
    if free is None:
        raise InputError(_("{path}: expected a free dataset number, found none.").format(path=raw))
    return free
