"""Which results of a study are exported, and the table of where each came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_resampling import resample_labels
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import check_ct, has_own_ct, read_case_ct
from OneShotSegLib.study.csv_table import write_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, study_results

CASE_COLUMNS = ("file", "case", "state", "score")


def results_to_export(study: Path, accepted_only: bool) -> list[StudyResult]:
    """The results to export: those that the reviewer accepted or corrected, or all that they did not reject.

    A case whose CT is another one by now is passed over, which a warning says.

    Raises:
        InputError: If the folder is no study, or nothing is left.
    """
    left = [result for result in study_results(StudyPaths(study)) if result.state != "rejected"]
    chosen = [result for result in left if result.trusted] if accepted_only else left
    own = [result for result in chosen if has_own_ct(result)]
    if own:
        return own
    if chosen:
        raise InputError(f"{study}: expected cases whose CT is the one that they were made of, found none.")
    if left:
        raise InputError(
            f"{study}: expected accepted cases, found none among {len(left)} that wait for review; "
            "--all exports those too."
        )
    raise InputError(f"{study}: expected cases that are done and not rejected, found none.")


def labels_on_ct(result: StudyResult, ct: Volume) -> LabelMap:
    """A result's label map on its CT's own grid, where it is already unless another program moved it.

    Raises:
        InputError: If the mask cannot be read.
    """
    labels = read_label_map(result.mask)
    return labels if labels.volume.same_grid(ct) else labels.with_volume(resample_labels(labels.volume, ct))


def read_result(result: StudyResult) -> tuple[Volume, LabelMap]:
    """A result's CT and its label map on the same grid.

    Raises:
        OtherCTError: If the CT is another one than the case was made of.
        InputError: If one of them cannot be read.
    """
    ct = read_case_ct(result.ct, result.series)
    check_ct(result.files, ct, result.ct)
    return ct, labels_on_ct(result, ct)


def check_is_new(folder: Path) -> None:
    """Refuse to write into a folder that holds something.

    Raises:
        InputError: If it does, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or an empty folder to export to, found one with content.")


def write_case_table(path: Path, files: Mapping[str, StudyResult]) -> None:
    """Write which file came from which case, and what the reviewer decided."""
    write_table(path, CASE_COLUMNS, _rows(files))


def _rows(files: Mapping[str, StudyResult]) -> Iterable[dict[str, object]]:
    for name, result in files.items():
        score = None if result.quality is None else result.quality.score
        yield {"file": name, "case": result.case, "state": result.state, "score": score}
