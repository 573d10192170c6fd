"""A further support: its strokes, its propagation, and which of its results replace the study's own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.runner.further_support import FurtherSupport, write_strokes
from OneShotSegLib.study.description import StudyCase, StudyDescription
from OneShotSegLib.study.layout import StudyPaths, write_json
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality

SEGMENTS = (
    Segment(value=2, name="Mandible", color=(0.9, 0.8, 0.6)),
    Segment(value=5, name="Cord", color=(0.2, 0.8, 0.6)),
)
SCORES = {"good": 0.9, "doubtful": 0.2, "fair": 0.6}


def ct_and_mask() -> tuple[Volume, LabelMap]:
    hu = np.full((24, 40, 40), 40, dtype=np.int16)
    hu[:, :2] = -1000
    ct = Volume.create(hu, (2, 1, 1))
    labels = np.zeros(ct.shape, dtype=np.uint8)
    labels[6:18, 10:24, 10:24] = 2
    return ct, LabelMap(ct.with_array(labels), SEGMENTS)


def make_case(study: StudyPaths, name: str, score: float, mask: bytes = b"") -> None:
    files = study.case(name)
    structure = StructureQuality(value=2, name="Mandible", state="found", score=score)
    write_quality(CaseQuality(case=name, score=score, structures=(structure,)), files.quality)
    files.pseudo_mask.write_bytes(mask or name.encode())


def describe(study: StudyPaths, sources: dict[str, Path]) -> None:
    cases = tuple(StudyCase(name, str(path)) for name, path in sources.items())
    StudyDescription(supports=(), labels=(), background_label=255, settings={}, weights={}, cases=cases).write(study)


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path / "study")
    for name, score in SCORES.items():
        make_case(paths, name, score)
    describe(paths, {name: tmp_path / f"{name}.nrrd" for name in SCORES})
    return paths


@pytest.fixture
def support(study: StudyPaths, tmp_path: Path) -> FurtherSupport:
    made = FurtherSupport.of(
        study, "good", study.case("good").pseudo_mask, ["doubtful", "fair", "good"], tmp_path / "f"
    )
    describe(made.results, {f"{name}-ct": path for name, path in made.queries.items()})
    return made


def test_it_propagates_from_the_case_to_the_others_that_are_open(support: FurtherSupport, tmp_path: Path) -> None:
    request = support.request(weights="headneck", device="cpu")
    assert list(request.supports) == [tmp_path / "good.nrrd"]
    assert list(request.scribbles) == [support.scribbles]
    assert list(request.queries) == [tmp_path / "doubtful.nrrd", tmp_path / "fair.nrrd"]
    assert (request.output, request.weights, request.device) == (support.results.root, "headneck", "cpu")


@pytest.mark.parametrize(("score", "adopted"), [(0.8, "doubtful"), (0.2, ""), (0.1, "")])
def test_a_result_is_taken_over_if_it_is_better(
    support: FurtherSupport, study: StudyPaths, score: float, adopted: str
) -> None:
    make_case(support.results, "doubtful-ct", score)
    assert support.adopt("doubtful-ct") == adopted
    files = study.case("doubtful")
    quality = json.loads(files.quality.read_text(encoding="utf-8"))
    assert quality["case"] == "doubtful"
    assert quality["score"] == (score if adopted else 0.2)
    assert files.pseudo_mask.read_bytes() == (b"doubtful-ct" if adopted else b"doubtful")


def test_a_result_replaces_a_failure(support: FurtherSupport, study: StudyPaths) -> None:
    files = study.case("doubtful")
    files.quality.unlink()
    write_json(files.failure, {"error": "out of memory"})
    make_case(support.results, "doubtful-ct", 0.1)
    assert support.adopt("doubtful-ct") == "doubtful"
    assert not files.failure.exists()


def test_a_result_of_no_query_is_left_alone(support: FurtherSupport) -> None:
    assert support.adopt("another") == ""


def test_another_correction_of_the_case_is_another_support(study: StudyPaths, tmp_path: Path) -> None:
    def made() -> FurtherSupport:
        return FurtherSupport.of(study, "good", study.case("good").edited_mask, ["fair"], tmp_path)

    folders = []
    for content in (b"first", b"second", b"first"):
        study.case("good").edited_mask.write_bytes(content)
        folders.append(made().results.root)
    assert folders[0] == folders[2] != folders[1]


@pytest.mark.parametrize(
    ("case", "open_cases", "sentence"),
    [
        ("unknown", ["fair"], "unknown: expected a case whose CT the study names"),
        ("good", ["good"], "nothing to propagate to"),
        ("fair", ["good"], "expected a mask, found none"),
    ],
)
def test_what_is_missing_is_one_sentence(
    study: StudyPaths, tmp_path: Path, case: str, open_cases: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        FurtherSupport.of(study, case, tmp_path / "no mask", open_cases, tmp_path)


def test_strokes_lie_within_the_structures_and_around_them(tmp_path: Path) -> None:
    ct, mask = ct_and_mask()
    write_volume(ct, tmp_path / "ct.nrrd")
    write_label_map(mask, tmp_path / "mask.seg.nrrd")
    write_strokes(tmp_path / "mask.seg.nrrd", tmp_path / "ct.nrrd", tmp_path / "strokes.seg.nrrd")
    strokes = read_label_map(tmp_path / "strokes.seg.nrrd")
    assert [(s.value, s.name) for s in strokes.segments] == [(2, "Mandible"), (5, "Cord"), (255, "Background")]
    assert set(np.unique(mask.volume.array[strokes.volume.array == 2])) == {2}
    assert set(np.unique(mask.volume.array[strokes.volume.array == 255])) == {0}


@pytest.mark.parametrize("fault", ["another grid", "an empty mask"])
def test_a_mask_without_strokes_is_one_sentence(tmp_path: Path, fault: str) -> None:
    ct, mask = ct_and_mask()
    array = mask.volume.array if fault == "another grid" else np.zeros_like(mask.volume.array)
    spacing = (2, 2, 1) if fault == "another grid" else (2, 1, 1)
    write_volume(ct, tmp_path / "ct.nrrd")
    write_label_map(LabelMap(Volume.create(array, spacing), SEGMENTS), tmp_path / "mask.seg.nrrd")
    with pytest.raises(InputError, match=f"found {fault}"):
        write_strokes(tmp_path / "mask.seg.nrrd", tmp_path / "ct.nrrd", tmp_path / "strokes.seg.nrrd")
    assert not (tmp_path / "strokes.seg.nrrd").exists()


def test_nothing_heavy_is_imported_before_strokes_are_made() -> None:
    code = (
        "import sys, OneShotSegLib.runner.further_support;"
        "print([name for name in ('torch', 'numba', 'scipy', 'SimpleITK') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert run.stdout.strip() == "[]"
