"""Masks that come back into a study with other values: every way out and every reader matches them by name."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from OneShotSegLib.api import Study
from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import evaluate
from OneShotSegLib.export.nifti import export_nifti
from OneShotSegLib.export.nnunet import export_nnunet
from OneShotSegLib.export.request import NNUNetRequest
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, write_label_map
from OneShotSegLib.report.case_figures import draw_case
from OneShotSegLib.report.content import read_content
from OneShotSegLib.study.layout import StudyPaths
from Testing.helpers.named_segments import Painted, write_segmentation
from Testing.helpers.small_study import CORD, GLAND, STRUCTURES, small_mask, write_cts, write_small_study

GLAND_NAME = "Drüse links"
RENUMBERED = {
    "deleted and painted anew": ((CORD, 0), (5, 0)),
    "swapped": ((GLAND, 0), (CORD, 0)),
    "layers of value 1": ((1, 0), (1, 1)),
}


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    cts = write_cts(tmp_path / "ct", ("pt_1", "pt_2"))
    return write_small_study(tmp_path / "study", cts, ("edited", "pending"))


def corrected(study: StudyPaths) -> NDArray[np.uint8]:
    """What the correction of pt_1 is, with the study's values."""
    return small_mask(read_volume(ct_of(study)), shift=1).volume.array


def ct_of(study: StudyPaths, case: str = "pt_1") -> Path:
    return study.root.parent / "ct" / f"{case}.nii.gz"


def correct(
    study: StudyPaths,
    values: tuple[tuple[int, int], tuple[int, int]] = ((CORD, 0), (GLAND, 0)),
    names: tuple[str, str] = ("Cord", GLAND_NAME),
    path: Path | None = None,
) -> None:
    """Write the correction of pt_1 with these values and layers, and these names."""
    array = corrected(study)
    parts = [
        Painted(name, value, array == own, layer)
        for name, (value, layer), own in zip(names, values, (CORD, GLAND), strict=True)
    ]
    write_segmentation(path or study.case("pt_1").edited_mask, parts, like=ct_of(study))


def notes_of(table: Path) -> str:
    with table.open(encoding="utf-8", newline="") as file:
        return next(row["notes"] for row in csv.DictReader(file) if row["case"] == "pt_1")


@pytest.mark.parametrize("values", RENUMBERED.values(), ids=RENUMBERED)
def test_a_correction_counts_by_its_names_everywhere(
    study: StudyPaths, tmp_path: Path, values: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    from OneShotSegLib.networks.segmentation_checkpoint import SegmentationInfo
    from OneShotSegLib.training.segmentation.cases import load_cases, study_sources

    correct(study, values)
    truth = corrected(study)
    nifti = export_nifti(study.root, tmp_path / "masks")
    np.testing.assert_array_equal(read_volume(nifti / "pt_1.nii.gz").array, truth)
    assert notes_of(nifti / "cases.csv") == ""
    dataset = export_nnunet(NNUNetRequest(study=study.root, raw=tmp_path / "raw", name="A"))
    numbers = json.loads((dataset / "dataset.json").read_text(encoding="utf-8"))["labels"]
    found = read_volume(dataset / "labelsTr" / "pt_1.nii.gz").array
    for name, value in (("Cord", CORD), (GLAND_NAME, GLAND)):
        np.testing.assert_array_equal(found == numbers[name], truth == value)
    np.testing.assert_array_equal(Study(study.root).mask("pt_1").volume.array, truth)
    write_volume(read_volume(ct_of(study)).with_array(truth), tmp_path / "ref" / "pt_1.nii.gz")
    assert [f.dice for f in evaluate(tmp_path / "ref", study.root, edited=True).figures] == [1.0, 1.0]
    sources, structures = study_sources(study.root)
    info = SegmentationInfo(
        network="unet", base_channels=2, patch_size=(16, 16, 16), spacing=(3.0, 1.5, 1.25), structures=structures
    )
    learnt = load_cases(sources[:1], info)[0].labels
    correct(study)
    assert bool((learnt == load_cases(sources[:1], info)[0].labels).all())
    assert set(learnt.unique().tolist()) == {0, 1, 2}


def test_what_a_correction_does_not_match_is_said_everywhere(
    study: StudyPaths, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    correct(study, names=("Cord", "Gland left"))
    sentences = (f"no structure of these names: '{GLAND_NAME}'", "not used: 'Gland left'")
    nifti = export_nifti(study.root, tmp_path / "masks")
    np.testing.assert_array_equal(read_volume(nifti / "pt_1.nii.gz").array, np.where(corrected(study) == CORD, CORD, 0))
    write_volume(read_volume(ct_of(study)).with_array(corrected(study)), tmp_path / "ref" / "pt_1.nii.gz")
    evaluated = evaluate(tmp_path / "ref", study.root, edited=True)
    assert [f.presence for f in evaluated.figures] == ["both", "false negative"]
    content = read_content(study.root)
    report = next(draw_case(case, content.labels).note for case in content.cases if case.name == "pt_1")
    for sentence in sentences:
        assert sentence in notes_of(nifti / "cases.csv")
        assert sentence in caplog.text
        assert sentence in " ".join(evaluated.notes)
        assert sentence in report


@pytest.mark.parametrize("names", [("Cord", "CORD "), ("Liver", "Spleen")], ids=["a name twice", "other names"])
def test_a_correction_that_cannot_be_matched_is_refused(
    study: StudyPaths, tmp_path: Path, names: tuple[str, str]
) -> None:
    correct(study, names=names)
    for use in (
        lambda: export_nifti(study.root, tmp_path / "masks"),
        lambda: Study(study.root).mask("pt_1"),
    ):
        with pytest.raises(
            InputError, match=r"edited.seg.nrrd: expected (each structure once|structures of the names)"
        ):
            use()
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("values", RENUMBERED.values(), ids=RENUMBERED)
def test_a_reference_is_matched_by_name(
    study: StudyPaths, tmp_path: Path, values: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    (tmp_path / "ref").mkdir()
    correct(study, values, path=tmp_path / "ref" / "pt_1.seg.nrrd")
    found = evaluate(tmp_path / "ref", study.root, edited=True)
    assert [(f.name, f.dice) for f in found.figures] == [("Cord", 1.0), (GLAND_NAME, 1.0)]
    assert not [note for note in found.notes if "pt_1:" in note]


@pytest.mark.parametrize("values", RENUMBERED.values(), ids=RENUMBERED)
def test_two_folders_are_matched_by_name(
    study: StudyPaths, tmp_path: Path, values: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    for folder, own in (("ref", values), ("pred", ((2, 0), (1, 0)))):
        (tmp_path / folder).mkdir()
        correct(study, own, path=tmp_path / folder / "pt_1.seg.nrrd")
    found = evaluate(tmp_path / "ref", tmp_path / "pred")
    assert dict(found.labels) == {1: GLAND_NAME, 2: "Cord"}
    assert [f.dice for f in found.figures] == [1.0, 1.0]
    assert found.notes == ()


def test_a_folder_of_exports_has_the_names_of_its_table(study: StudyPaths, tmp_path: Path) -> None:
    folder = export_nifti(study.root, tmp_path / "masks")
    (tmp_path / "ref").mkdir()
    correct(study, RENUMBERED["swapped"], path=tmp_path / "ref" / "pt_1.seg.nrrd")
    assert [f.dice for f in evaluate(tmp_path / "ref", folder).figures] == [1.0, 1.0]
    assert [f.dice for f in evaluate(folder, study.root, edited=True).figures] == [1.0, 1.0]


def test_names_that_only_one_folder_has_are_said(study: StudyPaths, tmp_path: Path) -> None:
    for folder, names in (("ref", ("Cord", "Gland")), ("pred", ("Cord", GLAND_NAME))):
        (tmp_path / folder).mkdir()
        correct(study, names=names, path=tmp_path / folder / "pt_1.seg.nrrd")
    found = evaluate(tmp_path / "ref", tmp_path / "pred")
    presences = {f.name: f.presence for f in found.figures}
    assert presences == {"Cord": "both", GLAND_NAME: "false positive", "Gland": "false negative"}
    assert f"Structures that only predictions name: '{GLAND_NAME}'." in found.notes
    assert "Structures that only references name: 'Gland'." in found.notes
    correct(study, names=("Liver", "Spleen"), path=tmp_path / "ref" / "pt_1.seg.nrrd")
    with pytest.raises(InputError, match="expected structures of the names 'Cord'"):
        evaluate(tmp_path / "ref", tmp_path / "pred")


def test_values_without_names_are_refused_where_the_other_files_disagree(study: StudyPaths, tmp_path: Path) -> None:
    for folder in ("ref", "pred"):
        (tmp_path / folder).mkdir()
    correct(study, path=tmp_path / "pred" / "pt_1.seg.nrrd")
    correct(study, RENUMBERED["swapped"], path=tmp_path / "pred" / "pt_2.seg.nrrd")
    for case in ("pt_1", "pt_2"):
        write_volume(read_volume(ct_of(study)).with_array(corrected(study)), tmp_path / "ref" / f"{case}.nii.gz")
    with pytest.raises(InputError, match="expected names for its label values"):
        evaluate(tmp_path / "ref", tmp_path / "pred")
    (tmp_path / "pred" / "pt_2.seg.nrrd").unlink()
    assert [f.dice for f in evaluate(tmp_path / "ref", tmp_path / "pred").figures] == [1.0, 1.0]


def test_a_dicom_segmentation_has_the_study_s_names_for_what_is_there(study: StudyPaths, tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    from OneShotSegLib.export.dicom_seg import export_dicom_seg
    from Testing.helpers.dicom_series import write_series
    from Testing.helpers.small_study import small_ct

    scan = write_series(tmp_path / "scan", small_ct(), "Zaphod^Beeblebrox")
    own = write_small_study(tmp_path / "dicom", {"pt_1": scan}, ("edited",))
    mask = small_mask(read_volume(scan), shift=1)
    swapped = {CORD: GLAND, GLAND: CORD}
    array = np.vectorize(lambda value: swapped.get(value, 0), otypes=[np.uint8])(mask.volume.array)
    segments = tuple(
        type(s)(value=swapped[s.value], name=s.name.upper(), color=s.color, tags=s.tags) for s in STRUCTURES
    )
    write_label_map(LabelMap(mask.volume.with_array(array), segments), own.case("pt_1").edited_mask)
    (path,), _ = export_dicom_seg(own.root, tmp_path / "seg")
    found = highdicom.seg.segread(path)
    sizes = {}
    for number in found.segment_numbers:
        pixels = found.get_volume(segment_numbers=[number], combine_segments=True).array
        sizes[found.get_segment_description(number).segment_label] = int((pixels > 0).sum())
    truth = mask.volume.array
    assert sizes == {"Cord": int((truth == CORD).sum()), GLAND_NAME: int((truth == GLAND).sum())}
