"""Cases of a training that cannot be used are named and left out; the others are learnt from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo, load_segmentation
from OneShotSegLib.scoring.suggestion import suggest
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.training.segmentation.cases import choose_spacing, load_cases, study_sources
from OneShotSegLib.training.segmentation.command import train_segmentation
from OneShotSegLib.training.segmentation.request import SegmentationTrainingRequest
from Testing.helpers.small_study import CORD, STRUCTURES, small_mask, write_cts, write_small_study

NAMES = ("p0", "p1", "p2")
INFO = SegmentationInfo(
    network="unet", base_channels=2, patch_size=(16, 16, 16), spacing=(3.0, 1.5, 1.25), structures=STRUCTURES
)


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    return write_small_study(tmp_path / "study", write_cts(tmp_path / "cts", NAMES), ("pending", "accepted", "pending"))


@pytest.mark.parametrize("broken", NAMES[:2], ids=["pending", "accepted"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"case": 3}'])
def test_a_case_of_broken_measures_is_named_and_left_out(
    study: StudyPaths, caplog: pytest.LogCaptureFixture, broken: str, content: str
) -> None:
    study.case(broken).quality.write_text(content, encoding="utf-8")
    assert [source.name for source in study_sources(study.root)[0]] == [name for name in NAMES if name != broken]
    assert f"{broken}: its quality.json cannot be read: left out of the training." in caplog.text
    assert {one.case for one in suggest(study.root)} == {"p0", "p2"} - {broken}


def test_broken_measures_alone_are_no_training(study: StudyPaths) -> None:
    for name in NAMES:
        study.case(name).quality.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="found none"):
        study_sources(study.root)


@pytest.mark.parametrize("what", ["ct is gone", "ct is broken", "mask is broken", "mask has other names"])
def test_a_case_that_cannot_be_read_is_named_and_left_out(
    study: StudyPaths, tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    ct, mask = tmp_path / "cts" / "p1.nii.gz", study.case("p1").pseudo_mask
    if what == "ct is gone":
        ct.unlink()
    elif what == "mask has other names":
        labels = small_mask(read_volume(ct))
        renamed = tuple(type(s)(value=s.value, name=f"x{s.value}", color=s.color) for s in labels.segments)
        write_label_map(LabelMap(labels.volume, renamed), study.case("p1").edited_mask)
        text = (study.review).read_text(encoding="utf-8").replace("accepted", "edited")
        study.review.write_text(text, encoding="utf-8")
    else:
        (ct if what == "ct is broken" else mask).write_bytes(b"no image")
    sources, _ = study_sources(study.root)
    assert choose_spacing(sources) == (3.0, 2.0, 2.0)
    assert [case.name for case in load_cases(sources, INFO)] == ["p0", "p2"]
    assert "p1: left out of the training: " in caplog.text


def test_the_model_says_what_it_learnt_from(study: StudyPaths, tmp_path: Path) -> None:
    (tmp_path / "cts" / "p1.nii.gz").write_bytes(b"no image")
    request = SegmentationTrainingRequest(
        study=study.root, output=tmp_path / "model", base_channels=2, patch_size=(16, 16, 16), steps=1, device="cpu"
    )
    info = load_segmentation(train_segmentation(request))[1]
    assert info.training["trained_on"] == ["p0", "p2"]
    for name in ("p0", "p2"):
        (tmp_path / "cts" / f"{name}.nii.gz").write_bytes(b"no image")
    with pytest.raises(InputError, match="cts"):
        train_segmentation(SegmentationTrainingRequest(study=study.root, output=tmp_path / "other", device="cpu"))


def test_an_empty_structure_of_a_reviewed_mask_stops_nothing(study: StudyPaths, tmp_path: Path) -> None:
    labels = small_mask(read_volume(tmp_path / "cts" / "p1.nii.gz"))
    kept = np.where(labels.volume.array == CORD, 0, labels.volume.array).astype(np.uint8)
    write_label_map(LabelMap(labels.volume.with_array(kept), labels.segments), study.case("p1").edited_mask)
    study.review.write_text(study.review.read_text(encoding="utf-8").replace("accepted", "edited"), encoding="utf-8")
    request = SegmentationTrainingRequest(
        study=study.root, output=tmp_path / "model", base_channels=2, patch_size=(16, 16, 16), steps=1, device="cpu"
    )
    assert [s.name for s in load_segmentation(train_segmentation(request))[1].structures] == [
        s.name for s in STRUCTURES
    ]


def test_of_a_rejected_structure_nothing_is_learnt(study: StudyPaths) -> None:
    ledger = ReviewLedger.load(study.review)
    ledger.decide_structure("p1", "Cord", "rejected")
    ledger.decide_structure("p0", "Cord", "doubtful")
    ledger.save()
    sources, _ = study_sources(study.root)
    assert [source.absent for source in sources] == [(), (CORD,), ()]
    absent = {case.name: case.absent.tolist() for case in load_cases(sources, INFO)}
    assert absent["p1"] == [False, True, False]
    assert absent["p0"] == [False, False, False]
