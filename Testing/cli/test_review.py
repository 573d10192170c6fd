"""The review from a shell knows corrections: none is passed over, and none is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.cli.review import parse_edited, parse_structures, show_review
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, label_map_of, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.decisions import Decisions
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import study_results
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.named_segments import Painted, write_segmentation
from Testing.helpers.small_study import CORD, GLAND, small_mask, write_cts, write_small_study


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    cts = write_cts(tmp_path / "ct", ("pt_1", "pt_2"))
    return write_small_study(tmp_path / "study", cts, ("pending", "pending"))


@pytest.fixture
def correction(study: StudyPaths, tmp_path: Path) -> Path:
    """A correction of pt_1 made elsewhere: the values are swapped."""
    array = edited(study).volume.array
    parts = [Painted("cord", GLAND, array == CORD), Painted("DRÜSE LINKS", CORD, array == GLAND)]
    write_segmentation(tmp_path / "mine.seg.nrrd", parts, like=tmp_path / "ct" / "pt_1.nii.gz")
    return tmp_path / "mine.seg.nrrd"


def edited(study: StudyPaths) -> LabelMap:
    return small_mask(read_volume(study.root.parent / "ct" / "pt_1.nii.gz"), shift=1)


def state(study: StudyPaths, case: str = "pt_1") -> str:
    return ReviewLedger.load(study.review).state_of(case)


def counting(study: StudyPaths, case: str = "pt_1") -> str:
    return next(result.mask.name for result in study_results(study) if result.case == case)


def test_accepting_takes_the_saved_correction(study: StudyPaths, capsys: pytest.CaptureFixture[str]) -> None:
    write_label_map(edited(study), study.case("pt_1").edited_mask)
    show_review(study.root, Decisions())
    assert "With a saved correction that waits for a decision: pt_1." in capsys.readouterr().out
    show_review(study.root, Decisions(accept=["pt_1", "pt_2"]))
    assert (state(study), state(study, "pt_2")) == ("edited", "accepted")
    assert counting(study) == "edited.seg.nrrd"
    assert "pt_1: accepted with its correction (edited.seg.nrrd), its state is 'edited'." in capsys.readouterr().out


def test_what_the_accepted_correction_lacks_is_said(study: StudyPaths, capsys: pytest.CaptureFixture[str]) -> None:
    labels = edited(study)
    kept = labels.volume.with_array(np.where(labels.volume.array == CORD, CORD, 0).astype(np.uint8))
    write_label_map(LabelMap(kept, labels.segments[:1]), study.case("pt_1").edited_mask)
    show_review(study.root, Decisions(accept=["pt_1"]))
    assert "it has no structure of these names: 'Drüse links'" in capsys.readouterr().out


def test_a_correction_from_elsewhere_is_stored_with_the_study_s_values(study: StudyPaths, correction: Path) -> None:
    show_review(study.root, Decisions(edited={"pt_1": correction}, comment="cord redrawn"))
    assert state(study) == "edited"
    stored = read_label_map(study.case("pt_1").edited_mask)
    np.testing.assert_array_equal(stored.volume.array, edited(study).volume.array)
    assert [(s.value, s.name) for s in stored.segments] == [(CORD, "Cord"), (GLAND, "Drüse links")]
    assert ReviewLedger.load(study.review)["pt_1"].comment == "cord redrawn"


def test_the_correction_of_before_is_kept(study: StudyPaths, correction: Path) -> None:
    files = study.case("pt_1")
    for number in (1, 2, 3):
        files.edited_mask.write_bytes(f"correction {number}".encode())
        show_review(study.root, Decisions(edited={"pt_1": correction}))
    kept = sorted(path.name for path in files.folder.glob("edited.discarded*"))
    assert kept == [
        "edited.discarded-2.seg.nrrd",
        "edited.discarded-3.seg.nrrd",
        "edited.discarded.seg.nrrd",
    ]
    assert (files.folder / "edited.discarded.seg.nrrd").read_bytes() == b"correction 1"


@pytest.mark.parametrize("accept", [False, True])
def test_a_discarded_correction_counts_no_longer_and_is_kept(
    study: StudyPaths, correction: Path, accept: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    show_review(study.root, Decisions(edited={"pt_1": correction}))
    content = study.case("pt_1").edited_mask.read_bytes()
    show_review(study.root, Decisions(discard=["pt_1"], accept=["pt_1"] if accept else []))
    assert state(study) == ("accepted" if accept else "pending")
    assert counting(study) == "pseudo.seg.nrrd"
    assert (study.case("pt_1").folder / "edited.discarded.seg.nrrd").read_bytes() == content
    assert "is kept as edited.discarded.seg.nrrd and no longer counts" in capsys.readouterr().out


def test_a_mask_on_a_part_of_the_grid_is_brought_onto_the_cts(
    study: StudyPaths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = edited(study)
    box: Box = (slice(1, 6), slice(2, 9), slice(0, 7))
    corner = np.array([part.start for part in box])
    part = Volume.create(
        labels.volume.array[box], labels.volume.spacing, labels.volume.to_world(corner), labels.volume.direction
    )
    write_label_map(LabelMap(part, labels.segments), tmp_path / "part.seg.nrrd")
    show_review(study.root, Decisions(edited={"pt_1": tmp_path / "part.seg.nrrd"}))
    np.testing.assert_array_equal(read_label_map(study.case("pt_1").edited_mask).volume.array, labels.volume.array)
    assert caplog.text == ""


def test_values_of_a_map_without_names_are_the_study_s(study: StudyPaths, tmp_path: Path) -> None:
    write_volume(edited(study).volume, tmp_path / "plain.nii.gz")
    show_review(study.root, Decisions(edited={"pt_1": tmp_path / "plain.nii.gz"}))
    stored = read_label_map(study.case("pt_1").edited_mask)
    np.testing.assert_array_equal(stored.volume.array, edited(study).volume.array)


def test_nothing_is_written_if_one_thing_cannot_be(study: StudyPaths, correction: Path, tmp_path: Path) -> None:
    beside = label_map_of(Volume.create(edited(study).volume.array, (1, 1, 1), (9000, 0, 0)))
    write_label_map(beside, tmp_path / "beside.nii.gz")
    before = study.review.read_bytes()
    for decisions, sentence in (
        (Decisions(accept=["pt_2"], edited={"nobody": correction}), "expected a case of this study"),
        (Decisions(accept=["pt_2"], edited={"pt_1": tmp_path / "none.seg.nrrd"}), "no such file"),
        (
            Decisions(accept=["pt_2"], edited={"pt_1": tmp_path / "beside.nii.gz"}),
            "expected a mask on the grid of its CT",
        ),
        (Decisions(accept=["pt_2"], discard=["pt_1"]), "expected a saved correction"),
        (Decisions(edited={"pt_1": correction}, reject=["pt_1"]), "expected one decision per case"),
        (Decisions(edited={"pt_1": correction}, discard=["pt_1"]), "expected one decision per case"),
        (Decisions(accept=["pt_1"], reject=["pt_1"]), "expected one decision per case"),
    ):
        with pytest.raises(InputError, match=sentence):
            show_review(study.root, decisions)
    assert study.review.read_bytes() == before
    assert not study.case("pt_1").edited_mask.exists()


def test_an_option_names_a_case_and_a_file() -> None:
    assert parse_edited(["a=b=c.nii.gz"]) == {"a": Path("b=c.nii.gz")}
    for texts in (["a"], ["=b"], ["a="], ["a=b", "a=c"]):
        with pytest.raises(InputError, match="--edited: expected"):
            parse_edited(texts)


def test_single_structures_are_decided_and_shown(study: StudyPaths, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["pt_1/cord=rejected", "pt_1/Drüse links=doubtful", "pt_2/7=accepted"]
    show_review(study.root, Decisions(accept=["pt_1"], structures=parse_structures(texts)))
    ledger = ReviewLedger.load(study.review)
    assert (ledger["pt_1"].state, ledger.structures_of("pt_1")) == (
        "accepted",
        {"Cord": "rejected", "Drüse links": "doubtful"},
    )
    assert "Cord rejected" in capsys.readouterr().out
    show_review(study.root, Decisions(structures=parse_structures(["pt_1/Cord=open"])))
    assert ReviewLedger.load(study.review).structures_of("pt_1") == {"Drüse links": "doubtful"}
    with pytest.raises(InputError, match="found 'Liver'"):
        show_review(study.root, Decisions(structures=parse_structures(["pt_1/Liver=rejected"])))


@pytest.mark.parametrize("text", ["pt_1=rejected", "pt_1/=rejected", "pt_1/Cord", "pt_1/Cord=wrong", "/Cord=rejected"])
def test_decisions_on_structures_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="CASE/STRUCTURE=DECISION"):
        parse_structures([text])
