"""What an export for nnU-Net is asked to do; light to import, for the command line's help."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, kw_only=True)
class NNUNetRequest:
    """What `oneshotseg export nnunet` is asked to do.

    Attributes:
        study: The study folder.
        raw: nnU-Net's folder of raw datasets (``nnUNet_raw``).
        dataset_id: Number of the dataset, 1-999.
        name: Name of the dataset; that of the study's folder if empty.
        accepted_only: Leave out what waits for review.
    """

    study: Path
    raw: Path
    dataset_id: int = 1
    name: str = ""
    accepted_only: bool = True

    @property
    def folder(self) -> Path:
        """The dataset's folder."""
        return self.raw / f"Dataset{self.dataset_id:03d}_{self.name or plain(self.study.resolve().name)}"


def plain(text: str) -> str:
    """The text in letters without accents, digits, _ and -, which every trainer and file system takes."""
    letters = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return NOT_PLAIN.sub("_", letters).strip("_-") or "case"
