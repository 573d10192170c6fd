"""The supports of a study, kept with it: the first one from the scene, further ones from corrected cases."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.intensity import BODY_HU
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.phantom.strokes import strokes_from_mask
from OneShotSegLib.slicer.commands import SupportFiles
from OneShotSegLib.slicer.i18n import tr as _
from OneShotSegLib.slicer.inputs import INPUTS_FOLDER
from OneShotSegLib.slicer.structures import background_segment
from OneShotSegLib.study.layout import StudyPaths, read_json, write_json

RECORD = "panel.json"
SUPPORT_FOLDER = "support"


class StudyInputs:
    """What the panel gave to a study's runs, so that a later session can go on.

    Attributes:
        supports: In the order in which they were made.
        queries: Files and folders of the batch.
    """

    def __init__(self, study: StudyPaths) -> None:
        self.study = study
        self.supports: list[SupportFiles] = []
        self.queries: list[Path] = []
        self._read()

    @property
    def folder(self) -> Path:
        """Where the panel keeps files for a study."""
        return self.study.root / INPUTS_FOLDER

    @property
    def support_folder(self) -> Path:
        """Where the supports' files go."""
        return self.folder / SUPPORT_FOLDER

    def _read(self) -> None:
        try:
            content = read_json(self.folder / RECORD)
            self.supports = [SupportFiles(self._full(e["ct"]), self._full(e["scribbles"])) for e in content["supports"]]
            self.queries = [self._full(text) for text in content["queries"]]
        except (InputError, KeyError, TypeError):
            self.supports, self.queries = [], []

    def save(self) -> None:
        """Write it; files within the study are noted relative to it, so that the folder can be moved."""
        supports = [{"ct": self._short(s.ct), "scribbles": self._short(s.scribbles)} for s in self.supports]
        write_json(self.folder / RECORD, {"supports": supports, "queries": self._all(self.queries)})

    def set_first(self, support: SupportFiles) -> None:
        """Replace the first support; the further ones stay."""
        self.supports = [support, *self.supports[1:]]

    def add(self, support: SupportFiles) -> None:
        """Add a further support, once."""
        if support not in self.supports:
            self.supports.append(support)

    def _all(self, paths: Iterable[Path]) -> list[str]:
        return [self._short(path) for path in paths]

    def _short(self, path: Path) -> str:
        return path.relative_to(self.study.root).as_posix() if path.is_relative_to(self.study.root) else str(path)

    def _full(self, text: str) -> Path:
        path = Path(text)
        return path if path.is_absolute() else self.study.root / path


def strokes_of_case(mask: Path, ct: Path, target: Path) -> None:
    """Write strokes as a clinician would paint them within a corrected mask, and background around it.

    Raises:
        InputError: If the mask has nothing in it or lies on another grid than the CT.
    """
    volume, labels = read_volume(ct), read_label_map(mask)
    if not labels.volume.same_grid(volume):
        raise InputError(_("{mask}: expected a mask on the grid of its CT, found another grid.").format(mask=mask))
    if not labels.volume.array.any():
        raise InputError(_("{mask}: expected structures to learn from, found an empty mask.").format(mask=mask))
    background = background_segment()
    body = volume.array > BODY_HU
    strokes = strokes_from_mask(labels.volume.array, volume.spacing, background.value, body)
    structures = tuple(segment for segment in labels.segments if not segment.is_background_stroke)
    write_label_map(LabelMap(labels.volume.with_array(strokes), (*structures, background)), target)
