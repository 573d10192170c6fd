"""The search for CTs: each thing in a folder becomes a CT or is named with the reason why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RTDoseStorage, RTStructureSetStorage, generate_uid

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.input_search import find_volumes, may_hold_cts, search, series_in
from OneShotSegLib.imaging.inputs import Found, FoundCT, Kind, LeftOut, lines, summary
from OneShotSegLib.imaging.volume import Volume
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import small_ct, small_mask

LINKS = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


def ct(folder: Path, name: str, seed: int = 0) -> Path:
    write_volume(small_ct(seed), folder / name)
    return folder / name


def mask(folder: Path, name: str, kind: type = np.uint8) -> Path:
    labels: np.ndarray = np.kron(small_mask(small_ct()).volume.array, np.ones((4, 6, 6))).astype(kind)
    write_volume(Volume.create(labels), folder / name)
    return folder / name


def edited(path: Path, **values: object) -> Path:
    """A DICOM file with other values; a UID of '' becomes a new one."""
    data = dcmread(path)
    for name, value in values.items():
        setattr(data, name, value or generate_uid())
    data.save_as(path)
    return path


def relative(found: Found, root: Path) -> list[str]:
    return [one.path.relative_to(root).as_posix() for one in found.cts]


def kinds(found: Found, root: Path) -> dict[str, Kind]:
    return {one.path.relative_to(root).as_posix(): one.kind for one in found.left_out}


def test_a_mixed_tree_is_searched_to_its_bottom(tmp_path: Path) -> None:
    ct(tmp_path, "a.nii.gz")
    write_series(tmp_path / "P2", small_ct(), "P2")
    write_series(tmp_path / "deep" / "P3" / "study" / "series", small_ct(), "P3")
    ct(tmp_path / "deep" / "P3", "beside.nrrd")
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["a.nii.gz", "P2", "deep/P3/beside.nrrd", "deep/P3/study/series"]
    assert found.left_out == ()
    assert found.cts[0].size == (8, 9, 6)


def test_dicom_files_need_no_suffix_and_a_stray_slice_is_named(tmp_path: Path) -> None:
    series = write_series(tmp_path / "P1", small_ct(), "P1")
    for path in sorted(series.iterdir()):
        path.rename(path.with_suffix(""))
    shutil.copy(series / "002", tmp_path / "stray")
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["P1"]
    assert kinds(found, tmp_path) == {"stray": Kind.SINGLE_SLICE}
    assert search([series / "000", series / "001"]).cts[0].path == series


@pytest.mark.parametrize("name", ["seg.nii.gz", "p1_mask.nrrd", "labels.mha", "p1_reference.nii.gz", "p1.seg.nrrd"])
@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32])
def test_masks_beside_cts_are_left_out_whatever_they_are_called(tmp_path: Path, name: str, kind: type) -> None:
    ct(tmp_path, "ct.nii.gz")
    mask(tmp_path, name, kind)
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["ct.nii.gz"]
    assert kinds(found, tmp_path) == {name: Kind.LABEL_MAP}


def test_a_ct_that_is_named_like_a_mask_stays_a_ct(tmp_path: Path) -> None:
    ct(tmp_path, "thorax_with_mask.nii.gz")
    assert relative(search([tmp_path]), tmp_path) == ["thorax_with_mask.nii.gz"]


def test_probabilities_slices_and_colours_are_no_cts(tmp_path: Path) -> None:
    ct(tmp_path, "ct.nii.gz")
    chances = np.random.default_rng(0).random((4, 5, 6)).astype(np.float32)
    write_volume(Volume.create(chances), tmp_path / "prediction.nii.gz")
    write_volume(Volume.create(small_ct().array[:1]), tmp_path / "slice.nrrd")
    found = search([tmp_path])
    assert kinds(found, tmp_path) == {"prediction.nii.gz": Kind.LABEL_MAP, "slice.nrrd": Kind.SINGLE_SLICE}


def test_what_lies_in_a_radiotherapy_export_is_named(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "P1", small_ct(), "P1")
    extras: dict[str, dict[str, Any]] = {
        "dose": {"Modality": "RTDOSE", "SOPClassUID": RTDoseStorage},
        "structures": {"Modality": "RTSTRUCT", "SOPClassUID": RTStructureSetStorage},
        "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    }
    for name, values in extras.items():
        edited(Path(shutil.copy(folder / "000.dcm", folder / f"{name}.dcm")), SeriesInstanceUID="", **values)
    (folder / "damaged.dcm").write_bytes((folder / "001.dcm").read_bytes()[:200])
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["P1"]
    assert found.cts[0].series == ""
    assert kinds(found, tmp_path) == {
        "P1/dose.dcm": Kind.DOSE,
        "P1/structures.dcm": Kind.STRUCTURE_SET,
        "P1/scout.dcm": Kind.LOCALIZER,
        "P1/damaged.dcm": Kind.UNREADABLE,
    }


def test_scans_of_other_modalities_are_no_cts(tmp_path: Path) -> None:
    write_series(tmp_path / "P1", small_ct(), "P1")
    for path in write_series(tmp_path / "P1 MR", small_ct(), "P1").iterdir():
        edited(path, Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["P1"]
    assert kinds(found, tmp_path) == {"P1 MR": Kind.MODALITY}


def several(folder: Path, *descriptions: str) -> Path:
    """A folder with a CT series for each description."""
    for number, description in enumerate(descriptions):
        series = write_series(folder.with_name(f"series {number}"), small_ct(number), "P1")
        for path in sorted(series.iterdir()):
            edited(path, SeriesDescription=description)
            folder.mkdir(parents=True, exist_ok=True)
            path.rename(folder / f"{number}{path.name}")
        series.rmdir()
    return folder


def test_a_folder_with_several_cts_lists_them_and_one_can_be_chosen(tmp_path: Path) -> None:
    folder = several(tmp_path / "P1", "Thorax soft", "Thorax lung")
    with pytest.raises(InputError, match=r"Thorax soft \(6 slices\), Thorax lung \(6 slices\).*--series"):
        search([folder])
    ct(tmp_path, "a.nii.gz")
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["a.nii.gz"]
    assert kinds(found, tmp_path) == {"P1": Kind.SEVERAL_SERIES}
    chosen = search([folder], series=["LUNG"])
    assert [one.description for one in chosen.cts] == ["Thorax lung"]
    assert read_volume(folder, chosen.cts[0].series).same_grid(small_ct(1))
    assert series_in(folder, ["LUNG"]) == chosen.cts[0].series
    assert series_in(folder, []) == series_in(folder, ["thorax"]) == ""
    assert kinds(chosen, tmp_path) == {"P1": Kind.NOT_CHOSEN}
    assert search([folder], series=[chosen.cts[0].series]).cts == chosen.cts
    assert len(search([folder], series=["lung", "soft"]).cts) == 2
    with pytest.raises(InputError, match="matches several"):
        search([folder], series=["thorax"])
    with pytest.raises(InputError, match="none of which matches"):
        search([folder], series=["bone"])


def test_a_series_that_is_spread_over_folders_is_no_ct_and_a_copy_is_one(tmp_path: Path) -> None:
    ct(tmp_path, "a.nii.gz")
    first = write_series(tmp_path / "x" / "first", small_ct(), "P1")
    (tmp_path / "x" / "second").mkdir()
    for path in sorted(first.iterdir())[3:]:
        path.rename(tmp_path / "x" / "second" / path.name)
    found = search([tmp_path])
    assert relative(found, tmp_path) == ["a.nii.gz"]
    assert set(kinds(found, tmp_path).values()) == {Kind.DIVIDED_SERIES}
    shutil.rmtree(tmp_path / "x" / "second")
    shutil.copytree(first, tmp_path / "x" / "copy")
    assert len(search([tmp_path]).cts) == 3


@LINKS
def test_links_keep_their_names_and_lead_nowhere_twice(tmp_path: Path) -> None:
    store = ct(tmp_path / "store", "0a1b2c3d.nii.gz")
    folder = tmp_path / "in"
    (folder / "P1").mkdir(parents=True)
    (folder / "P1" / "ct.nii.gz").symlink_to(store)
    (folder / "again.nii.gz").symlink_to(folder / "P1" / "ct.nii.gz")
    (folder / "broken.nii.gz").symlink_to(tmp_path / "nowhere")
    (folder / "circle").symlink_to(folder)
    found = search([folder])
    assert relative(found, folder) in (["P1/ct.nii.gz"], ["again.nii.gz"])
    assert sorted(kinds(found, folder).values()) == sorted([Kind.SAME, Kind.BROKEN_LINK, Kind.CIRCLE])
    assert search([folder / "P1", folder / "P1" / "ct.nii.gz"]).left_out == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipes_are_named_and_not_waited_for(tmp_path: Path) -> None:
    write_volume(small_ct(), tmp_path / "a.nii.gz")
    for name in ("b.nii.gz", "c", "d.dcm"):
        os.mkfifo(tmp_path / name)
    found = search([tmp_path])
    assert [ct.path.name for ct in found.cts] == ["a.nii.gz"]
    assert {one.path.name: one.kind for one in found.left_out} == dict.fromkeys(
        ("b.nii.gz", "c", "d.dcm"), Kind.UNREADABLE
    )
    with pytest.raises(InputError, match="expected a CT, found no file, but a pipe"):
        search([tmp_path / "c"])
    assert may_hold_cts(tmp_path)


def test_files_of_other_kinds_are_counted_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    ct(tmp_path, "a.nii.gz")
    ct(tmp_path, ".b.nii.gz")
    for name in ("a.csv", "b.csv", "sub/c.txt", "x.img", "x.hdr", "y.mgz", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"content")
    found = search([tmp_path])
    assert {str(one.reason) for one in found.left_out} == {
        "3 files of other kinds (.csv, .txt)",
        "3 files of formats that are not read (.hdr, .img, .mgz)",
        "2 hidden files (.b.nii.gz, .git)",
    }
    assert summary(found.left_out).startswith("3 files")


def test_a_file_that_cannot_be_read_is_named_and_left_to_the_run_if_it_was_asked_for(tmp_path: Path) -> None:
    ct(tmp_path, "a.nii.gz")
    (tmp_path / "b.nii.gz").write_bytes(b"no image")
    assert kinds(search([tmp_path]), tmp_path) == {"b.nii.gz": Kind.UNREADABLE}
    assert search([tmp_path / "b.nii.gz"]).cts == (FoundCT(path=tmp_path / "b.nii.gz"),)


def test_what_is_to_be_left_out_is_asked_for_folders_and_cts(tmp_path: Path) -> None:
    support, query = ct(tmp_path / "cts", "a.nii.gz"), ct(tmp_path / "cts", "b.nii.gz", 1)
    ct(tmp_path / "cts" / "study", "c.nii.gz")

    def leave_out(found: FoundCT | Path) -> LeftOut | None:
        if isinstance(found, FoundCT):
            return LeftOut(path=found.path, kind=Kind.SUPPORT, reason="the support") if found.path == support else None
        return LeftOut(path=found, kind=Kind.STUDY, reason="a study") if found.name == "study" else None

    found = search([tmp_path], leave_out)
    assert [one.path for one in found.cts] == [query]
    assert [one.kind for one in found.left_out] == [Kind.SUPPORT, Kind.STUDY]


def test_without_any_ct_the_sentence_says_what_is_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        search([tmp_path / "nowhere"])
    with pytest.raises(InputError, match="found none"):
        search([tmp_path])
    mask(tmp_path, "seg.nii.gz")
    with pytest.raises(InputError, match="expected a CT, found a label map"):
        search([tmp_path])
    assert may_hold_cts(tmp_path)
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"found none \(.*label map.*1 file of another kind"):
        search([tmp_path])


def test_a_long_list_is_shortened() -> None:
    many = [LeftOut(path=Path(f"/x/{n}.nii"), kind=Kind.LABEL_MAP, reason="a label map") for n in range(100)]
    assert len(lines(many)) == 6
    assert lines(many)[-1] == "... and 95 label maps more"


def test_files_and_dicom_folders_are_found_where_they_lie(tmp_path: Path) -> None:
    ct(tmp_path / "batch" / "b", "two.nrrd")
    write_series(tmp_path / "batch" / "a", small_ct(), "A")
    (tmp_path / "batch" / "empty").mkdir()
    found = find_volumes(tmp_path / "batch")
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["batch/a", "batch/b/two.nrrd"]
    assert not may_hold_cts(tmp_path / "batch" / "empty")
