"""A case of a study regrows from its reviewer's strokes: what is written, what is refused, and how it is undone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import OneShotSegLib
from OneShotSegLib.cli.regrow import show_regrowth
from OneShotSegLib.cli.review import show_review
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import read_volume, write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.soft_labels import SoftLabels
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.case_ct import read_case_ct, record_of
from OneShotSegLib.study.decisions import Decisions
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.results import study_results
from OneShotSegLib.study.review import ReviewLedger
from OneShotSegLib.study.segmentation import Segmentation
from Testing.helpers.named_segments import Painted, write_segmentation
from Testing.helpers.small_study import BACKGROUND, CORD, GLAND, STRUCTURES, middling_quality, write_small_study

CASE = "pt_1"
LEAK = (slice(8, 14), slice(30, 36), slice(26, 34))


def scan() -> Volume:
    """A bright cord and a bright block in grey tissue, in air: 22 x 60 x 60 voxels of 3 x 2 x 2 mm."""
    hu = np.full((22, 60, 60), -1000, np.int16)
    hu[:, 5:55, 5:55] = -100
    hu[:, 10:52, 10:52] = 30
    hu[truth() > 0] = 150
    hu += np.random.default_rng(0).integers(-9, 9, hu.shape).astype(np.int16)
    return Volume.create(hu, (3.0, 2.0, 2.0), (-40.0, 12.5, 7.25))


def truth() -> np.ndarray:
    labels = np.zeros((22, 60, 60), np.uint8)
    labels[:, 20:25, 20:25] = CORD
    labels[6:16, 36:50, 26:44] = GLAND
    return labels


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    """A case whose gland leaks out of its block, and one that is as it should be."""
    paths = {name: tmp_path / "ct" / f"{name}.nii.gz" for name in (CASE, "pt_2")}
    for path in paths.values():
        path.parent.mkdir(exist_ok=True)
        write_volume(scan(), path)
    qualities = [replace(middling_quality(name), ct=record_of(read_case_ct(path))) for name, path in paths.items()]
    found = write_small_study(tmp_path / "study", paths, ("pending", "pending"), qualities)
    mask = truth()
    mask[LEAK] = GLAND
    write_label_map(LabelMap(scan().with_array(mask), STRUCTURES), found.case(CASE).pseudo_mask)
    write_label_map(LabelMap(scan().with_array(truth()), STRUCTURES), found.case("pt_2").pseudo_mask)
    return found


@pytest.fixture
def strokes(tmp_path: Path) -> Path:
    """Background in the leak, in a file of its own values."""
    path = tmp_path / "strokes.seg.nrrd"
    stroke = np.zeros((22, 60, 60), bool)
    stroke[11, 32:34, 28:32] = True
    write_segmentation(path, [Painted("background", 1, stroke)], like=tmp_path / "ct" / f"{CASE}.nii.gz")
    return path


def mask_of(study: StudyPaths, name: str = "edited") -> np.ndarray:
    found: np.ndarray = read_label_map(study.case(CASE).folder / f"{name}.seg.nrrd").volume.array
    return found


def snapshot(study: StudyPaths) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(study.root.rglob("*")) if path.is_file()}


def paint(path: Path, value: int, where: tuple[slice | int, ...], name: str, like: Volume | None = None) -> Path:
    grid = like or scan()
    array = np.zeros(grid.shape, np.uint8)
    array[where] = value
    write_label_map(LabelMap(grid.with_array(array), (Segment(value=value, name=name, color=(1, 0, 0)),)), path)
    return path


def test_the_leak_goes_and_the_result_is_a_correction_that_waits(
    study: StudyPaths, strokes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pseudo = mask_of(study, "pseudo")
    show_regrowth(study.root, CASE, strokes, replace=False, reopen=False)
    assert "pt_1: Drüse links -" in capsys.readouterr().out
    found = mask_of(study)
    assert (found[LEAK] == GLAND).mean() < 0.15
    assert (found == truth()).mean() > 0.999
    np.testing.assert_array_equal(mask_of(study, "pseudo"), pseudo)
    assert ReviewLedger.load(study.review).state_of(CASE) == "pending"
    assert next(r.mask.name for r in study_results(study) if r.case == CASE) == "edited.seg.nrrd"
    kept = read_label_map(study.case(CASE).strokes)
    assert set(np.unique(kept.volume.array)) == {0, BACKGROUND}
    assert [s.name for s in kept.segments] == [*(s.name for s in STRUCTURES), "Background"]


def test_the_same_strokes_again_change_no_byte(
    study: StudyPaths, strokes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    OneShotSegLib.regrow(study.root, CASE, strokes)
    before = snapshot(study)
    show_regrowth(study.root, CASE, strokes, replace=False, reopen=False)
    assert "nothing changed" in capsys.readouterr().out
    assert snapshot(study) == before


def test_a_later_stroke_wins_and_earlier_ones_stay(study: StudyPaths, strokes: Path, tmp_path: Path) -> None:
    OneShotSegLib.regrow(study.root, CASE, strokes)
    later = paint(tmp_path / "later.seg.nrrd", 1, (11, slice(33, 34), slice(28, 30)), "drüse LINKS")
    found = OneShotSegLib.regrow(OneShotSegLib.Study(study.root), CASE, later)
    kept = read_label_map(study.case(CASE).strokes).volume.array
    assert (kept[11, 33, 28:30] == GLAND).all()
    assert (kept[11, 32, 28:32] == BACKGROUND).all()
    assert (found.volume.array[11, 33, 28:30] == GLAND).all()
    assert (found.volume.array[11, 32, 28:32] == 0).all()


def test_it_starts_from_a_correction_that_is_there(study: StudyPaths, strokes: Path) -> None:
    mine = mask_of(study, "pseudo").copy()
    mine[0:2, 50:53, 50:53] = CORD  # far from the stroke
    write_label_map(LabelMap(scan().with_array(mine), STRUCTURES), study.case(CASE).edited_mask)
    found = OneShotSegLib.regrow(study.root, CASE, strokes).volume.array
    np.testing.assert_array_equal(found[0:2, 50:53, 50:53], CORD)
    assert (found[LEAK] == GLAND).mean() < 0.15
    np.testing.assert_array_equal(mask_of(study, "edited.discarded"), mine)


def test_discarding_takes_mask_and_strokes_back_and_they_can_come_again(study: StudyPaths, strokes: Path) -> None:
    first = OneShotSegLib.regrow(study.root, CASE, strokes).volume.array
    show_review(study.root, Decisions(discard=[CASE]))
    assert not study.case(CASE).edited_mask.exists()
    assert not study.case(CASE).strokes.exists()
    assert (study.case(CASE).folder / "strokes.discarded.seg.nrrd").is_file()
    np.testing.assert_array_equal(OneShotSegLib.regrow(study.root, CASE, strokes).volume.array, first)


def test_strokes_can_be_replaced_and_taken_away(study: StudyPaths, strokes: Path, tmp_path: Path) -> None:
    pseudo = mask_of(study, "pseudo")
    OneShotSegLib.regrow(study.root, CASE, strokes)
    other = paint(tmp_path / "other.seg.nrrd", 1, (3, slice(21, 23), slice(21, 23)), "Background")
    found = OneShotSegLib.regrow(study.root, CASE, other, replace=True).volume.array
    np.testing.assert_array_equal(found[LEAK], pseudo[LEAK])
    assert (found[3, 21:23, 21:23] == 0).all()
    nothing = paint(tmp_path / "nothing.seg.nrrd", 1, (slice(0, 0),), "Background")
    np.testing.assert_array_equal(OneShotSegLib.regrow(study.root, CASE, nothing, replace=True).volume.array, pseudo)
    assert not study.case(CASE).strokes.exists()


@pytest.mark.parametrize("state", ["accepted", "rejected", "edited"])
def test_a_case_that_is_decided_has_to_be_opened_again(
    study: StudyPaths, strokes: Path, state: str, tmp_path: Path
) -> None:
    decision = {
        "accepted": Decisions(accept=[CASE]),
        "rejected": Decisions(reject=[CASE]),
        "edited": Decisions(edited={CASE: study.case(CASE).pseudo_mask}),
    }[state]
    show_review(study.root, decision)
    before = snapshot(study)
    with pytest.raises(InputError, match=f"expected a case that is open, found one that is {state}"):
        OneShotSegLib.regrow(study.root, CASE, strokes)
    assert snapshot(study) == before
    OneShotSegLib.regrow(study.root, CASE, strokes, reopen=True)
    assert ReviewLedger.load(study.review).state_of(CASE) == "pending"
    assert (mask_of(study)[LEAK] == GLAND).mean() < 0.15


def test_what_cannot_be_used_is_one_sentence_and_writes_nothing(
    study: StudyPaths, strokes: Path, tmp_path: Path
) -> None:
    empty = paint(tmp_path / "empty.seg.nrrd", 1, (slice(0, 0),), "Cord")
    beside = paint(tmp_path / "beside.seg.nrrd", 1, (1,), "Cord", Volume.create(scan().array, (3, 2, 2), (900, 0, 0)))
    unknown = paint(tmp_path / "unknown.seg.nrrd", 1, (1,), "Liver")
    before = snapshot(study)
    for case, file, sentence in (
        ("nobody", strokes, "expected a case of the study"),
        (CASE, tmp_path / "none.seg.nrrd", "no such file"),
        (CASE, empty, "expected at least one stroke, found none"),
        (CASE, beside, "expected strokes on the grid of the case's CT"),
        (CASE, unknown, "expected structures of the names"),
    ):
        with pytest.raises(InputError, match=sentence):
            OneShotSegLib.regrow(study.root, case, file)
    assert snapshot(study) == before


def test_another_ct_at_the_case_s_path_is_refused(study: StudyPaths, strokes: Path, tmp_path: Path) -> None:
    write_volume(scan().with_array(scan().array + np.int16(7)), tmp_path / "ct" / f"{CASE}.nii.gz")
    with pytest.raises(InputError, match="expected the CT that the case was made of"):
        OneShotSegLib.regrow(study.root, CASE, strokes)


def test_a_case_without_a_mask_is_refused(study: StudyPaths, strokes: Path) -> None:
    study.case(CASE).pseudo_mask.unlink()
    with pytest.raises(InputError, match="expected a case with a mask"):
        OneShotSegLib.regrow(study.root, CASE, strokes)


def test_a_part_of_the_grid_and_values_without_names_do(study: StudyPaths, tmp_path: Path) -> None:
    grid = scan()
    part = Volume.create(np.zeros((4, 8, 10), np.uint8), grid.spacing, grid.to_world((10, 30, 25)))
    part.array[1, 2:4, 3:7] = BACKGROUND
    write_volume(part, tmp_path / "part.nii.gz")
    found = OneShotSegLib.regrow(study.root, CASE, tmp_path / "part.nii.gz").volume.array
    assert (found[LEAK] == GLAND).mean() < 0.15
    again = grid.with_array(read_label_map(study.case(CASE).strokes).volume.array)
    np.testing.assert_array_equal(OneShotSegLib.regrow(study.root, CASE, again).volume.array, found)


def test_names_that_are_not_the_study_s_are_said(
    study: StudyPaths, strokes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    like = tmp_path / "ct" / f"{CASE}.nii.gz"
    one, other = np.zeros((22, 60, 60), bool), np.zeros((22, 60, 60), bool)
    one[11, 32:34, 28:32], other[3, 3, 3] = True, True
    write_segmentation(
        tmp_path / "two.seg.nrrd", [Painted("Background", 4, one), Painted("Liver", 5, other)], like=like
    )
    OneShotSegLib.regrow(study.root, CASE, tmp_path / "two.seg.nrrd")
    assert "structures that were not asked for, not used: 'Liver'" in caplog.text
    assert "it has no structure" not in caplog.text


def test_broken_shares_are_said_and_left_out(
    study: StudyPaths, strokes: Path, caplog: pytest.LogCaptureFixture
) -> None:
    study.case(CASE).shares.write_bytes(b"nothing")
    OneShotSegLib.regrow(study.root, CASE, strokes)
    assert "its shares are left out" in caplog.text
    assert (mask_of(study)[LEAK] == GLAND).mean() < 0.15


def test_a_result_s_shares_are_written_and_those_of_an_earlier_one_removed(study: StudyPaths) -> None:
    files = study.case(CASE)
    mask = LabelMap(scan().with_array(truth()), STRUCTURES)
    Segmentation(mask, middling_quality(CASE), soft=SoftLabels.hard(mask.volume)).write(files)
    assert files.shares.is_file()
    Segmentation(mask, middling_quality(CASE)).write(files)
    assert not files.shares.exists()


def test_the_command_is_there(study: StudyPaths, strokes: Path) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "OneShotSegLib", "regrow", study.root, CASE, "--strokes", strokes]
    done = subprocess.run(list(map(str, command)), capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert "saved as its correction" in done.stdout
    done = subprocess.run([*map(str, command[:-1]), "no.seg.nrrd"], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert json.loads((study.root / "study.json").read_text(encoding="utf-8"))["cases"]
    assert read_volume(study.case(CASE).edited_mask).shape == scan().shape
