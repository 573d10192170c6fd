"""Plain NIfTI label maps of a study."""

from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import evaluate
from OneShotSegLib.export.nifti import export_nifti
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.study.csv_table import read_table
from OneShotSegLib.study.review import ReviewLedger
from Testing.helpers.small_study import CORD, GLAND, small_mask, write_cts, write_small_study


def test_each_accepted_case_is_a_file_with_the_study_s_values(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", ("pt_1", "pt_2", "pt_3"))
    study = write_small_study(tmp_path / "study", cts, ("accepted", "edited", "rejected"))
    folder = export_nifti(study.root, tmp_path / "masks")
    assert sorted(p.name for p in folder.iterdir()) == ["cases.csv", "pt_1.nii.gz", "pt_2.nii.gz", "structures.csv"]
    ct = read_volume(cts["pt_2"])
    found = read_volume(folder / "pt_2.nii.gz")
    assert found.same_grid(ct)
    np.testing.assert_array_equal(found.array, small_mask(ct, shift=1).volume.array)
    rows = [row for _, row in read_table(folder / "structures.csv", ("value", "name")).rows]
    assert [(row["value"], row["name"]) for row in rows] == [("3", "Cord"), ("7", "Drüse links")]


def test_what_comes_out_can_be_evaluated_as_it_lies(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", ("pt_1", "pt_2"))
    study = write_small_study(tmp_path / "study", cts, ("pending", "pending"))
    folder = export_nifti(study.root, tmp_path / "masks", accepted_only=False)
    assert evaluate(folder, study.root).overall().dice == 1.0
    assert evaluate(folder, study.root).of("pt_1", CORD) is not None


def test_a_folder_with_content_is_left_as_it_is(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", ("pt_1",))
    study = write_small_study(tmp_path / "study", cts, ("accepted",))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match="expected a new or an empty folder"):
        export_nifti(study.root, tmp_path / "masks")
    assert [p.name for p in (tmp_path / "masks").iterdir()] == ["mine.txt"]


def test_a_rejected_structure_is_left_out_and_a_doubtful_one_is_named(tmp_path: Path) -> None:
    cts = write_cts(tmp_path / "ct", ("pt_1",))
    study = write_small_study(tmp_path / "study", cts, ("accepted",))
    ledger = ReviewLedger.load(study.review)
    ledger.decide_structure("pt_1", "Cord", "rejected")
    ledger.decide_structure("pt_1", "Drüse links", "doubtful")
    ledger.save()
    folder = export_nifti(study.root, tmp_path / "masks")
    assert set(np.unique(read_volume(folder / "pt_1.nii.gz").array)) == {0, GLAND}
    (_, row), *_ = read_table(folder / "cases.csv", ("notes",)).rows
    assert row["notes"] == "Cord: rejected by the reviewer, left out. Drüse links: the reviewer is in doubt."
