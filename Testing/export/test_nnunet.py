"""The raw dataset of nnU-Net v2: what is in it, on which grid, and that nothing is written over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.export.nnunet import export_nnunet
from OneShotSegLib.export.request import NNUNetRequest
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.csv_table import read_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.small_study import CORD, GLAND, small_mask, write_cts, write_small_study

NAMES = ("Müller_1", "pt 2", "pt_3", "pt_4")


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    cts = write_cts(tmp_path / "ct", NAMES)
    return write_small_study(tmp_path / "neck study", cts, ("accepted", "edited", "pending", "rejected"))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_it_holds_what_was_accepted_under_plain_names(study: StudyPaths, tmp_path: Path) -> None:
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=42))
    assert folder == tmp_path / "raw" / "Dataset042_neck_study"
    assert files(folder) == {
        "cases.csv",
        "dataset.json",
        "imagesTr/Muller_1_0000.nii.gz",
        "imagesTr/pt_2_0000.nii.gz",
        "labelsTr/Muller_1.nii.gz",
        "labelsTr/pt_2.nii.gz",
    }
    rows = [row for _, row in read_table(folder / "cases.csv", ("file", "case", "state", "score")).rows]
    assert [(row["file"], row["case"], row["state"]) for row in rows] == [
        ("Muller_1", "Müller_1", "accepted"),
        ("pt_2", "pt 2", "edited"),
    ]


def test_all_takes_what_waits_for_review_too_but_never_what_was_rejected(study: StudyPaths, tmp_path: Path) -> None:
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", name="Neck", accepted_only=False))
    assert {path.name for path in (folder / "labelsTr").iterdir()} == {
        "Muller_1.nii.gz",
        "pt_2.nii.gz",
        "pt_3.nii.gz",
    }
    assert json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["numTraining"] == 3


def test_labels_are_consecutive_and_named_without_the_background_stroke(study: StudyPaths, tmp_path: Path) -> None:
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw"))
    content = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert content["labels"] == {"background": 0, "Cord": 1, "Drüse links": 2}
    assert content["channel_names"] == {"0": "CT"}
    assert content["file_ending"] == ".nii.gz"


def test_images_and_labels_share_the_ct_s_grid_and_an_edited_mask_goes_before_the_pseudo_mask(
    study: StudyPaths, tmp_path: Path
) -> None:
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw"))
    ct = read_volume(tmp_path / "ct" / "pt 2.nii.gz")
    image = read_volume(folder / "imagesTr" / "pt_2_0000.nii.gz")
    labels = read_volume(folder / "labelsTr" / "pt_2.nii.gz")
    assert image.same_grid(ct)
    assert labels.same_grid(ct)
    np.testing.assert_array_equal(image.array, ct.array)
    edited = small_mask(ct, shift=1).volume.array
    np.testing.assert_array_equal(labels.array, np.where(edited == CORD, 1, np.where(edited == GLAND, 2, 0)))


def test_a_mask_on_another_grid_is_brought_onto_the_ct_s(study: StudyPaths, tmp_path: Path) -> None:
    mask = small_mask(read_volume(tmp_path / "ct" / "pt 2.nii.gz"))
    doubled = mask.volume.array.repeat(2, axis=2)
    grid = mask.volume
    finer = Volume.create(doubled, grid.spacing * (1, 1, 0.5), grid.to_world((0, 0, -0.25)), grid.direction)
    write_label_map(mask.with_volume(finer), study.case("pt 2").edited_mask)
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw"))
    found = read_volume(folder / "labelsTr" / "pt_2.nii.gz").array
    assert ((found == 1) == (mask.volume.array == CORD)).mean() > 0.97


def test_nothing_is_written_over_and_a_number_is_given_once(study: StudyPaths, tmp_path: Path) -> None:
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=7, name="Neck"))
    before = (folder / "dataset.json").read_bytes()
    with pytest.raises(InputError, match="expected a new or an empty folder"):
        export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=7, name="Neck"))
    with pytest.raises(InputError, match="found Dataset007_Neck there"):
        export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=7, name="Other"))
    assert (folder / "dataset.json").read_bytes() == before


def test_an_export_that_fails_leaves_nothing(study: StudyPaths, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / "ct" / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="no such file"):
        export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw"))
    assert not files(tmp_path / "raw")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"dataset_id": 0}, "from 1 to 999, found 0"),
        ({"dataset_id": 1000}, "from 1 to 999, found 1000"),
        ({"name": "../up"}, "found '../up'"),
    ],
)
def test_a_number_or_name_that_does_not_fit_is_refused(
    study: StudyPaths, tmp_path: Path, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", **settings))


def test_a_study_without_accepted_cases_is_refused_with_the_way_to_take_all(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", ("pt_1",))
    study = write_small_study(tmp_path / "study", cts, ("pending",))
    with pytest.raises(InputError, match="none among 1 that wait for review; --all"):
        export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw"))


def test_a_rejected_structure_is_ignored_and_not_taught_as_background(study: StudyPaths, tmp_path: Path) -> None:
    ledger = ReviewLedger.load(study.review)
    ledger.decide_structure("Müller_1", "Drüse links", "rejected")
    ledger.save()
    folder = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", dataset_id=5))
    described = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    assert described["labels"]["ignore"] == 3 == max(described["labels"].values())
    labels = read_volume(folder / "labelsTr" / "Muller_1.nii.gz").array
    whole = small_mask(read_volume(tmp_path / "ct" / "Müller_1.nii.gz")).volume.array
    assert np.array_equal(labels == 3, whole == GLAND)
    assert np.array_equal(labels == 1, whole == CORD)
    rows = {row["case"]: row["notes"] for _, row in read_table(folder / "cases.csv", ("case", "notes")).rows}
    assert rows["Müller_1"] == "Drüse links: rejected by the reviewer, left out."
    assert set(np.unique(read_volume(folder / "labelsTr" / "pt_2.nii.gz").array)) == {0, 1, 2}
