"""Where everything in a study folder lies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.atomic import atomic_file

STUDY_FORMAT = "OneShotSeg study"
STUDY_VERSION = 3
OLDER_VERSIONS = (1, 2)
SUPPORTS_FOLDER = "supports"


@dataclass(frozen=True)
class CasePaths:
    """The files of one case.

    Attributes:
        folder: ``STUDY/cases/<case>``; its name is the case's name.
    """

    folder: Path

    @property
    def name(self) -> str:
        """The case's name."""
        return self.folder.name

    @property
    def pseudo_mask(self) -> Path:
        """The pseudo mask on the query's own grid."""
        return self.folder / "pseudo.seg.nrrd"

    @property
    def scribbles(self) -> Path:
        """The propagated scribbles after denoising, on the query's own grid."""
        return self.folder / "scribbles.seg.nrrd"

    @property
    def shares(self) -> Path:
        """How much of each voxel belongs to its label in the pseudo mask; not there in studies of older versions."""
        return self.folder / "shares.nrrd"

    @property
    def quality(self) -> Path:
        """Measures without a reference; written last, so that its presence says that the case is done."""
        return self.folder / "quality.json"

    @property
    def failure(self) -> Path:
        """Why the case failed, if it did: ``{"error": sentence}``."""
        return self.folder / "failed.json"

    @property
    def under_way(self) -> Path:
        """Present while the case is worked on: ``{"tries": n}``; if it is left over, the run was killed."""
        return self.folder / "running.json"

    @property
    def edited_mask(self) -> Path:
        """The reviewer's corrected mask, if there is one."""
        return self.folder / "edited.seg.nrrd"

    @property
    def strokes(self) -> Path:
        """The strokes that the reviewer painted in the query, all of them so far, the background stroke included."""
        return self.folder / "strokes.seg.nrrd"

    def discarded_mask(self) -> Path:
        """A file name that is free, for a corrected mask that counts no longer: ``edited.discarded[-N].seg.nrrd``."""
        return self._discarded("edited")

    def discarded_strokes(self) -> Path:
        """The same for the strokes: ``strokes.discarded[-N].seg.nrrd``."""
        return self._discarded("strokes")

    def _discarded(self, name: str) -> Path:
        number = 1
        while (path := self.folder / f"{name}.discarded{'' if number == 1 else f'-{number}'}.seg.nrrd").exists():
            number += 1
        return path

    @property
    def results(self) -> tuple[Path, ...]:
        """The files that a computation writes, there or not; the quality last."""
        return self.pseudo_mask, self.scribbles, self.shares, self.quality

    @property
    def study(self) -> StudyPaths:
        """The files of the study that the case belongs to."""
        return StudyPaths(self.folder.parent.parent)

    @property
    def is_done(self) -> bool:
        """Whether the case has all its results."""
        return self.quality.is_file()


@dataclass(frozen=True)
class StudyPaths:
    """The files of a study.

    Attributes:
        root: The study folder.
    """

    root: Path

    @property
    def description(self) -> Path:
        """Settings, supports, label table, weights, versions, cases."""
        return self.root / "study.json"

    @property
    def review(self) -> Path:
        """The review ledger."""
        return self.root / "review.csv"

    @property
    def report(self) -> Path:
        """The HTML report: its first page."""
        return self.root / "report.html"

    def report_page(self, number: int) -> Path:
        """A page of the report, from 1: ``report.html``, ``report-2.html`` and so on."""
        return self.report if number == 1 else self.root / f"report-{number}.html"

    def report_pages(self) -> list[Path]:
        """The pages of the report that are there, in their order."""
        numbers = sorted(
            int(name.removeprefix("report-").removesuffix(".html"))
            for name in (path.name for path in self.root.glob("report-*.html"))
            if name.removeprefix("report-").removesuffix(".html").isdecimal()
        )
        pages = [self.report, *(self.report_page(number) for number in numbers if number > 1)]
        return [page for page in pages if page.is_file()]

    @property
    def inputs(self) -> Path:
        """What the latest run searched for CTs, and what it did not use."""
        return self.root / "inputs.json"

    @property
    def lock(self) -> Path:
        """The file that a run keeps locked while it is at work; it is empty and stays."""
        return self.root / ".oneshotseg.lock"

    @property
    def logs(self) -> Path:
        """A log for each of the latest runs."""
        return self.root / "logs"

    @property
    def supports(self) -> Path:
        """The folder of what the revisions were computed from: strokes, masks, and links to the CTs."""
        return self.root / SUPPORTS_FOLDER

    def new_scribbles(self, fingerprint: str) -> Path:
        """Where the scribbles of a support of this fingerprint are kept, on its own grid."""
        return self.supports / f"{fingerprint}.seg.nrrd"

    def support_link(self, fingerprint: str, ct: Path) -> Path:
        """The link to a support's CT, with its ending."""
        ending = "".join(ct.suffixes[-2:]) if ct.name.endswith(".nii.gz") else ct.suffix
        return self.supports / f"{fingerprint}{ending}"

    def support_scribbles(self, support: Mapping[str, str] | None = None) -> Path:
        """The scribbles of a support, on its own grid.

        Args:
            support: Its entry in study.json; where it names no file, or is left out, that of the first support of a
                study of before version 3.
        """
        return self.root.joinpath(*(support or {}).get("scribbles", "scribbles.seg.nrrd").split("/"))

    @property
    def mask_supports(self) -> Path:
        """The folder of the reviewed masks that the present revision was computed from."""
        return self.supports / "masks"

    def mask_support(self, case: str, fingerprint: str) -> Path:
        """A reviewed mask as it was when the revision was begun."""
        return self.mask_supports / f"{case}-{fingerprint}.seg.nrrd"

    @property
    def placements(self) -> Path:
        """The folder that keeps where reviewed cases lie in the others; it may be removed at any time."""
        return self.root / "cache" / "placements"

    @property
    def unfinished_folder(self) -> Path:
        """The folder of results that are about to take the place of others."""
        return self.root / "unfinished"

    @property
    def replaced_folder(self) -> Path:
        """The folder of the results that the present revision replaced."""
        return self.root / "replaced"

    def unfinished(self, case: str) -> CasePaths:
        """A case's new results while they are written; whole once the quality is there."""
        return CasePaths(self.unfinished_folder / case)

    def replaced(self, case: str) -> CasePaths:
        """A case's results that the present revision replaced; whole if the quality is there."""
        return CasePaths(self.replaced_folder / case)

    @property
    def cases_folder(self) -> Path:
        """The folder of the cases."""
        return self.root / "cases"

    def case(self, name: str) -> CasePaths:
        """The files of a case, there or not."""
        return CasePaths(self.cases_folder / name)


def write_json(path: Path, content: Any) -> None:
    """Write JSON for people and machines; the file appears whole or not at all."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; the file appears whole or not at all."""
    with atomic_file(path) as temporary:
        # A file name may hold bytes that are no UTF-8; escaped like this, JSON gives them back as they were.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        InputError: If the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON file, found something that cannot be read as one.") from error
