"""Which results of a study are exported, and the table of where each came from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_grids import map_on_ct
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import check_ct, has_own_ct, read_case_ct
from OneShotSegLib.study.csv_table import write_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import StudyResult, read_mask, study_results
from OneShotSegLib.troubles import file_sentence

CASE_COLUMNS = ("file", "case", "state", "score", "notes")
Notes = dict[str, tuple[str, ...]]
"""By case, the sentences on what of its mask was not matched with the study's structures."""
OnFailure = Callable[[str, str], None]
"""Told of a case that could not be exported, and why, in one sentence."""

log = logging.getLogger(__name__)


def results_to_export(study: Path, accepted_only: bool) -> list[StudyResult]:
    """The results to export: those that the reviewer accepted or corrected, or all that they did not reject.

    A case whose CT is another one by now is passed over, which a warning says.

    Raises:
        InputError: If the folder is no study, or nothing is left.
    """
    results = study_results(StudyPaths(study), without_broken_measures=True)
    left = [result for result in results if result.state != "rejected"]
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


def read_labels(result: StudyResult, structures: Sequence[Segment], notes: Notes) -> LabelMap:
    """A result's mask with the study's structures and values, matched by name, without those that were rejected.

    Args:
        result: The case.
        structures: The study's structures.
        notes: Gets the sentences on what was not matched; they are logged as warnings too.

    Raises:
        InputError: If the mask cannot be read or matched.
    """
    found = read_mask(result.mask, structures)
    left_out = rejected_of(result, structures)
    said = [*found.notes, *(f"{segment.name}: rejected by the reviewer, left out." for segment in left_out)]
    said += [f"{name}: the reviewer is in doubt." for name, one in result.decisions.items() if one == "doubtful"]
    if said:
        notes[result.case] = tuple(said)
    for note in said:
        log.warning("%s: %s", result.case, note)
    if not left_out:
        return found.labels
    volume = found.labels.volume
    rejected = np.isin(volume.array, [segment.value for segment in left_out])
    return found.labels.with_volume(volume.with_array(np.where(rejected, 0, volume.array).astype(volume.array.dtype)))


def rejected_of(result: StudyResult, structures: Sequence[Segment]) -> tuple[Segment, ...]:
    """The structures of a case that the reviewer rejected."""
    return tuple(segment for segment in structures if segment.key in result.keys_of("rejected"))


def labels_on_ct(result: StudyResult, ct: Volume, structures: Sequence[Segment], notes: Notes) -> LabelMap:
    """The same on the CT's own grid, where it is already unless another program moved it.

    Raises:
        InputError: If the mask cannot be read or matched, or does not fit the CT.
    """
    return map_on_ct(read_labels(result, structures, notes), ct, result.mask)


def read_result(result: StudyResult, structures: Sequence[Segment], notes: Notes) -> tuple[Volume, LabelMap]:
    """A result's CT and, on the same grid, its mask with the study's structures; see `read_labels`.

    Raises:
        OtherCTError: If the CT is another one than the case was made of.
        InputError: If one of them cannot be read, or the mask cannot be matched.
    """
    try:
        ct = read_case_ct(result.ct, result.series)
        check_ct(result.files, ct, result.ct)
        return ct, labels_on_ct(result, ct, structures, notes)
    except OSError as error:  # a share that went away
        raise InputError(file_sentence(error, result.ct)) from error


def log_failure(case: str, reason: str) -> None:
    """An `OnFailure` that logs a warning."""
    log.warning("%s: not exported: %s", case, reason)


def export_each(
    results: Iterable[StudyResult], write: Callable[[StudyResult], None], on_failure: OnFailure = log_failure
) -> list[StudyResult]:
    """Write case after case; one that cannot be written does not keep the others from it.

    Args:
        results: The cases.
        write: Writes one case, and leaves nothing of it if it fails.
        on_failure: Told of each case that could not be written.

    Returns:
        The cases that were written.

    Raises:
        InputError: If none could be, with the first one's reason.
        OSError: If the disk is full or the like.
    """
    done: list[StudyResult] = []
    failures: dict[str, str] = {}
    for result in results:
        try:
            write(result)
        except OSError:
            raise
        except InputError as error:
            failures[result.case] = str(error)
        except Exception as error:  # whatever it is, the other cases go on
            failures[result.case] = f"An unexpected error stopped this case ({type(error).__name__}: {error})."
        else:
            done.append(result)
    if failures and not done:
        raise InputError(next(iter(failures.values())))
    for case, reason in failures.items():
        on_failure(case, reason)
    return done


def check_is_new(folder: Path) -> None:
    """Refuse to write into a folder that holds something.

    Raises:
        InputError: If it does, or is a file.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"{folder}: expected a new or an empty folder to export to, found one with content.")


def write_case_table(path: Path, files: Mapping[str, StudyResult], notes: Notes) -> None:
    """Write which file came from which case, what the reviewer decided, and what was not matched."""
    write_table(path, CASE_COLUMNS, _rows(files, notes))


def _rows(files: Mapping[str, StudyResult], notes: Notes) -> Iterable[dict[str, object]]:
    for name, result in files.items():
        score = None if result.quality is None else result.quality.score
        said = " ".join(notes.get(result.case, ()))
        yield {"file": name, "case": result.case, "state": result.state, "score": score, "notes": said}
