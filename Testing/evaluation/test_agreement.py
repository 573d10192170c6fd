"""How far readers agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from OneShotSegLib.evaluation.agreement import agreements, cohens_kappa, decisions_of
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.readers import reader_paths, readers_of
from OneShotSegLib.study.review import ReviewLedger, ReviewState
from Testing.helpers.small_study import middling_quality, small_mask, write_cts, write_small_study

NAMES = ("a", "b", "c", "d")


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    sources = write_cts(tmp_path / "cts", NAMES)
    return write_small_study(tmp_path / "study", sources, ("accepted", "edited", "rejected", "pending"))


def decide(study: StudyPaths, reader: str, states: dict[str, ReviewState]) -> None:
    ledger = ReviewLedger(reader_paths(study, reader).review)
    ledger.ensure_cases(middling_quality(name) for name in NAMES)
    for case, state in states.items():
        ledger.decide(case, state)
    ledger.save()


def test_kappa_is_that_of_the_textbook() -> None:
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: 0.4.
    pairs = [("yes", "yes")] * 20 + [("yes", "no")] * 5 + [("no", "yes")] * 10 + [("no", "no")] * 15
    assert cohens_kappa(pairs) == pytest.approx(0.4)
    assert cohens_kappa([("a", "b"), ("b", "a")]) == pytest.approx(-1)
    assert cohens_kappa([("a", "a"), ("b", "b")]) == pytest.approx(1)
    assert cohens_kappa([("a", "a")] * 3) is None
    assert cohens_kappa([]) is None


def test_readers_are_compared_with_each_other_and_with_the_study(study: StudyPaths) -> None:
    decide(study, "ann", {"a": "accepted", "b": "accepted", "c": "rejected"})
    decide(study, "bob", {"a": "rejected", "d": "accepted"})
    assert readers_of(study) == ["ann", "bob"]
    found = {(one.first, one.second): one for one in agreements(study)}
    assert set(found) == {("", "ann"), ("", "bob"), ("ann", "bob")}
    with_ann = found["", "ann"]
    assert (with_ann.cases, with_ann.same, with_ann.masks) == (3, 2, 2)
    assert with_ann.kappa == pytest.approx((2 / 3 - 3 / 9) / (1 - 3 / 9))
    # a: one mask; b: the correction, one voxel aside, against the pseudo mask.
    assert with_ann.dice["Cord"] == pytest.approx((1 + 2 / 3) / 2)
    assert with_ann.dice["Drüse links"] == 1
    assert found["", "bob"].masks == 0
    assert found["ann", "bob"].same == 0


def test_a_reader_s_own_correction_counts_for_them(study: StudyPaths) -> None:
    files = reader_paths(study, "ann").case("a")
    ct = read_volume(study.root.parent / "cts" / "a.nii.gz")
    write_label_map(small_mask(ct, shift=1), files.edited_mask)
    decide(study, "ann", {"a": "accepted"})
    assert decisions_of(study)["ann"]["a"].state == "edited"  # never accepted without the correction
    (pair,) = agreements(study)
    assert pair.dice["Cord"] == pytest.approx(2 / 3)


def test_a_mask_that_cannot_be_read_is_named(study: StudyPaths) -> None:
    decide(study, "ann", {"a": "accepted", "b": "accepted"})
    study.case("a").pseudo_mask.write_bytes(b"no mask")
    (pair,) = agreements(study)
    assert pair.cases == 2
    assert pair.masks == 1
    assert "pseudo.seg.nrrd" in pair.notes[0]
