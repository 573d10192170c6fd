"""Decisions of a review that know of corrections, as the shell notes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.label_matching import read_matched
from OneShotSegLib.imaging.labelmaps import LabelMap
from OneShotSegLib.study.correction import correction_of, discard_correction, store_correction
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger, ReviewState, StructureDecision
from OneShotSegLib.study.structure_choice import chosen_structures


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What a call of `oneshotseg review` is to note.

    Attributes:
        accept: Cases to accept, with their correction where there is one.
        reject: Cases to reject.
        edited: Case to the file that is its correction.
        discard: Cases whose correction is set aside.
        structures: Case to structures and what was decided of each alone; None takes that back.
        comment: On all of these; None keeps what is there.
    """

    accept: Sequence[str] = ()
    reject: Sequence[str] = ()
    edited: Mapping[str, Path] = field(default_factory=dict)
    discard: Sequence[str] = ()
    structures: Mapping[str, Mapping[str, StructureDecision | None]] = field(default_factory=dict)
    comment: str | None = None

    @property
    def cases(self) -> tuple[str, ...]:
        """All cases that are named, once each."""
        return tuple(dict.fromkeys((*self.accept, *self.reject, *self.edited, *self.discard)))

    def check(self) -> None:
        """Refuse decisions that exclude each other.

        Raises:
            InputError: If there are such.
        """
        for first, second, what in (
            (self.accept, self.reject, "to accept and to reject it"),
            (self.edited, self.reject, "a correction and to reject it"),
            (self.edited, self.discard, "a correction and to discard it"),
        ):
            both = next((case for case in first if case in second), None)
            if both is not None:
                raise InputError(f"{both}: expected one decision per case, found {what}.")


def decide(paths: StudyPaths, decisions: Decisions) -> tuple[ReviewLedger, list[str]]:
    """Note decisions in a study: check everything, then write everything.

    A case that has a saved correction is never accepted without it: its state is "edited" then.

    Returns:
        The ledger as it is now, and sentences on what was done with corrections.

    Raises:
        InputError: If the folder is no study, a case is not in it, decisions exclude each other, or a correction
            cannot be used; then nothing was written.
        OSError: If it could not be written.
    """
    description = StudyDescription.read(paths)
    ledger = ReviewLedger.load(paths.review)
    if not decisions.cases and not decisions.structures:
        return ledger, []
    decisions.check()
    structures = {case: _named(description, case, ledger, found) for case, found in decisions.structures.items()}
    for case in decisions.cases:
        _ = ledger[case]  # refuses a case that is not there
    corrections = {case: correction_of(paths, case, file) for case, file in decisions.edited.items()}
    sentences = _check_corrections(paths, description, decisions)
    states = {case: _state(paths, case, decisions) for case in decisions.cases}
    sentences += _write_corrections(paths, corrections, decisions.discard)
    for case, state in states.items():
        ledger.decide(case, state, decisions.comment)
        if state == "edited":
            sentences.append(f"{case}: accepted with its correction (edited.seg.nrrd), its state is 'edited'.")
    for case, found in structures.items():
        for name, decision in found.items():
            ledger.decide_structure(case, name, decision)
    return ledger, [*sentences, *ledger.save()]


def _named(
    description: StudyDescription, case: str, ledger: ReviewLedger, found: Mapping[str, StructureDecision | None]
) -> dict[str, StructureDecision | None]:
    """Decisions on structures by the study's own names.

    Raises:
        InputError: If there is no such case or structure.
    """
    _ = ledger[case]
    return {chosen_structures(description.structures, [name])[0].name: one for name, one in found.items()}


def _check_corrections(paths: StudyPaths, description: StudyDescription, decisions: Decisions) -> list[str]:
    """What the saved corrections that are accepted now do not have of the study's structures."""
    sentences = []
    for case in decisions.discard:
        if not paths.case(case).edited_mask.is_file():
            raise InputError(f"{case}: expected a saved correction (edited.seg.nrrd), found none.")
    for case in decisions.accept:
        mask = paths.case(case).edited_mask
        if mask.is_file() and case not in decisions.discard and case not in decisions.edited:
            sentences += [f"{case}: {note}" for note in read_matched(mask, description.structures).notes]
    return sentences


def _state(paths: StudyPaths, case: str, decisions: Decisions) -> ReviewState:
    if case in decisions.edited:
        return "edited"
    if case in decisions.reject:
        return "rejected"
    if case in decisions.accept:
        has_correction = paths.case(case).edited_mask.is_file() and case not in decisions.discard
        return "edited" if has_correction else "accepted"
    return "pending"


def _write_corrections(paths: StudyPaths, corrections: Mapping[str, LabelMap], discard: Sequence[str]) -> list[str]:
    for case, labels in corrections.items():
        store_correction(paths.case(case), labels)
    kept = {case: discard_correction(paths.case(case)) for case in dict.fromkeys(discard)}
    return [f"{case}: its correction is kept as {file.name} and no longer counts." for case, file in kept.items()]


def corrections_that_do_not_count(paths: StudyPaths, ledger: ReviewLedger) -> Iterable[str]:
    """Sentences on saved corrections that nobody decided on, or that a decision leaves out."""
    saved = [entry for entry in ledger if paths.case(entry.case).edited_mask.is_file()]
    for state, what in (
        ("pending", "With a saved correction that waits for a decision"),
        ("accepted", "Accepted without the correction that is saved (--accept takes it)"),
    ):
        names = ", ".join(entry.case for entry in saved if entry.state == state)
        if names:
            yield f"{what}: {names}."
