"""A case is its CT: another one in its place is noticed, and the same one is found again wherever it lies."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study import case_ct
from OneShotSegLib.study.case_ct import (
    OtherCTError,
    check_ct,
    file_state,
    fingerprint_of_ct,
    is_other_ct,
    read_case_ct,
    record_of,
)
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CTRecord, read_quality, write_quality
from Testing.helpers.dicom_series import write_series
from Testing.helpers.small_study import middling_quality, small_ct, write_cts


def test_a_fingerprint_is_of_the_content_and_not_of_the_file(tmp_path: Path) -> None:
    ct = small_ct()
    fingerprint = fingerprint_of_ct(ct)
    for name in ("a.nii.gz", "b.nrrd", "c.mha", "d.nii"):
        write_volume(ct, tmp_path / name)
        assert fingerprint_of_ct(read_volume(tmp_path / name)) == fingerprint
    assert fingerprint_of_ct(read_volume(write_series(tmp_path / "series", ct, "P1"))) == fingerprint
    assert fingerprint_of_ct(ct.with_array(ct.array.astype(np.float64))) == fingerprint
    other = ct.array.copy()
    other[0, 0, 0] += 1
    assert fingerprint_of_ct(ct.with_array(other)) != fingerprint
    moved = type(ct).create(ct.array, ct.spacing, ct.origin + np.array([0, 0, 0.5]), ct.direction)
    assert fingerprint_of_ct(moved) != fingerprint


def test_the_record_of_a_ct_is_kept_with_its_measures(tmp_path: Path) -> None:
    source = write_cts(tmp_path, ["a"])["a"]
    record = record_of(read_case_ct(source))
    assert record.bytes == source.stat().st_size
    assert record.size == (6, 9, 8)
    written = replace(middling_quality("a"), ct=record)
    write_quality(written, tmp_path / "quality.json")
    assert read_quality(tmp_path / "quality.json") == written
    assert record_of(read_volume(source)) == CTRecord(fingerprint=record.fingerprint, size=record.size)


@pytest.mark.parametrize("kind", ["file", "folder", "detached"])
def test_a_ct_that_was_replaced_is_noticed_and_one_that_was_touched_is_not(tmp_path: Path, kind: str) -> None:
    source, other = _written(tmp_path, kind, 0), _written(tmp_path / "other", kind, 1)
    files = StudyPaths(tmp_path / "study").case("a")
    write_quality(middling_quality("a"), files.quality)
    assert not is_other_ct(files, source)  # nothing is known of it yet
    check_ct(files, read_case_ct(source), source)
    known = read_quality(files.quality).ct
    assert known is not None
    for path in [source, *source.glob("*")]:
        os.utime(path)
    assert not is_other_ct(files, source)
    assert read_quality(files.quality).ct != known  # its time is new, so that it is not read again
    _replace(source, other, kind)
    assert is_other_ct(files, source)
    with pytest.raises(OtherCTError, match="expected the CT that the case was made of, found another one"):
        check_ct(files, read_case_ct(source), source)
    shutil.rmtree(source) if source.is_dir() else source.unlink()
    assert not is_other_ct(files, source)
    assert file_state(source) is None


def _written(folder: Path, kind: str, seed: int) -> Path:
    folder.mkdir(exist_ok=True)
    if kind == "folder":
        return write_series(folder / "ct", small_ct(seed), "P1")
    write_volume(small_ct(seed), folder / "ct.nrrd")
    if kind == "file":
        return folder / "ct.nrrd"
    import SimpleITK as sitk  # noqa: N813

    sitk.WriteImage(sitk.ReadImage(str(folder / "ct.nrrd")), str(folder / "ct.mhd"))
    return folder / "ct.mhd"


def _replace(source: Path, other: Path, kind: str) -> None:
    if kind == "folder":
        shutil.rmtree(source)
        shutil.copytree(other, source)
    elif kind == "file":
        shutil.copy(other, source)
    else:  # the header stays: it is its voxels that are others
        shutil.copy(other.with_suffix(".raw"), source.with_suffix(".raw"))


@pytest.mark.parametrize("entry", [3, {}, {"fingerprint": 1, "size": [1, 2, 3]}, {"fingerprint": "a", "size": [1, 2]}])
def test_a_broken_record_is_refused_like_other_measures(tmp_path: Path, entry: object) -> None:
    path = tmp_path / "quality.json"
    write_quality(middling_quality("a"), path)
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "ct": entry}), encoding="utf-8")
    with pytest.raises(Exception, match="expected the quality of a case"):
        read_quality(path)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_ct_that_changes_while_it_is_read_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _written(tmp_path, kind, 0)

    def read_and_change(path: Path | str, series: str = "") -> Volume:
        volume = read_volume(path, series)
        changed = source if source.is_file() else source / "another.dcm"
        changed.write_bytes(b"still being copied")
        return volume

    assert read_case_ct(source).shape == small_ct().shape
    monkeypatch.setattr(case_ct, "read_volume", read_and_change)
    with pytest.raises(InputError, match="changed while it was read"):
        read_case_ct(source)
