"""The Python interface: what a user imports, what it takes and gives back, and what it says of a mistake."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

import OneShotSegLib as oss  # noqa: N813
from OneShotSegLib import api
from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.method import settings
from OneShotSegLib.scoring import propagation as scoring
from Testing.helpers.shared import made_once
from Testing.helpers.tiny_batch import QUICK, TinyBatch

README = Path(__file__).parents[2] / "README.md"
STRUCTURES = ("Brainstem", "SpinalCord", "RightParotid", "LeftParotid", "Mandible", "Larynx", "Thyroid")
BACKGROUND = 8


@pytest.fixture(scope="module", autouse=True)
def brief() -> Iterator[None]:
    """Spend less on the scores; they are compared with each other only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "CYCLE_POINTS_PER_LABEL", 1)
        yield


@pytest.fixture(scope="module")
def segmenter(tiny: TinyBatch) -> oss.OneShotSegmenter:
    """A segmenter made of files."""
    files = tiny.files
    return oss.OneShotSegmenter((files.support, files.scribbles), weights=tiny.weights, device="cpu", method=QUICK)


@pytest.fixture(scope="module")
def found(segmenter: oss.OneShotSegmenter, tiny: TinyBatch) -> oss.Segmentation:
    """The first query, segmented after these files."""
    return segmenter.segment(tiny.files.queries[0])


@pytest.fixture(scope="module")
def finished(tiny: TinyBatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of two queries, which stays as it is."""

    def make(folder: Path) -> Path:
        files = tiny.files
        result = oss.propagate_batch(
            supports=(files.support, files.scribbles),
            queries=files.queries[:2],
            output=folder / "study",
            weights=str(tiny.weights),
            device="cpu",
            method=QUICK,
        )
        return result.study

    return made_once(tmp_path_factory, "api_study", make)


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> oss.Study:
    """A copy of it, to be changed."""
    return oss.Study(shutil.copytree(finished, tmp_path / "study"))


def test_the_import_loads_none_of_the_large_libraries() -> None:
    code = """
import sys
import OneShotSegLib
names = dir(OneShotSegLib)
assert "propagate" in names and "Volume" in names
OneShotSegLib.InputError
print(*sorted({"torch", "SimpleITK", "scipy", "numpy", "numba", "monai", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ""


def test_every_public_name_is_there_and_no_other() -> None:
    assert sorted(oss.PUBLIC) == sorted(set(oss.__all__) - {"__version__"})
    for name in oss.__all__:
        assert getattr(oss, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'segment_everything'"):
        oss.segment_everything  # noqa: B018


def test_a_query_gets_a_mask_of_the_structures_on_its_own_grid(
    segmenter: oss.OneShotSegmenter, found: oss.Segmentation, tiny: TinyBatch
) -> None:
    assert segmenter.structures == STRUCTURES
    query = read_volume(tiny.files.queries[0])
    assert found.mask.volume.same_grid(query)
    assert found.array.shape == query.shape
    assert found.array.dtype == np.uint8
    assert found.quality.case == "phantom_01"
    assert 0 < found.score <= 1
    assert found.scribbles is not None
    assert BACKGROUND in found.scribbles.volume.array


def test_one_call_does_the_same_as_a_segmenter(found: oss.Segmentation, tiny: TinyBatch) -> None:
    files, steps = tiny.files, list[str]()
    result = oss.propagate(
        str(files.support),
        str(files.scribbles),
        str(files.queries[0]),
        weights=str(tiny.weights),
        device="cpu",
        method=QUICK,
        on_step=steps.append,
    )
    np.testing.assert_array_equal(result.array, found.array)
    assert steps
    assert result.quality.score == found.quality.score


def test_volumes_and_label_maps_are_taken_as_files_are(found: oss.Segmentation, tiny: TinyBatch) -> None:
    files = tiny.files
    pair = (read_volume(files.support), read_label_map(files.scribbles))
    segmenter = oss.OneShotSegmenter([pair], weights=tiny.weights, device="cpu", method=QUICK)
    result = segmenter.segment(read_volume(files.queries[0]), case="mine")
    np.testing.assert_array_equal(result.array, found.array)
    assert result.quality.case == "mine"


def test_simpleitk_images_are_taken_as_files_are(found: oss.Segmentation, tiny: TinyBatch) -> None:
    support, scribbles, query = (
        sitk.ReadImage(str(path)) for path in (tiny.files.support, tiny.files.scribbles, tiny.files.queries[0])
    )
    result = oss.propagate(
        support, scribbles, query, weights=tiny.weights, device="cpu", method=QUICK, background_label=BACKGROUND
    )
    np.testing.assert_array_equal(result.array, found.array)
    assert result.mask.segments[0].name == "Structure 1"  # an image of plain labels has no names


def test_arrays_are_taken_with_their_grid(found: oss.Segmentation, tiny: TinyBatch) -> None:
    ct, query = read_volume(tiny.files.support), read_volume(tiny.files.queries[0])
    strokes = read_label_map(tiny.files.scribbles).volume
    arrays = [oss.Volume.from_array(one.array, one.spacing, one.origin, one.direction) for one in (ct, strokes, query)]
    result = oss.propagate(*arrays, weights=tiny.weights, device="cpu", method=QUICK, background_label=BACKGROUND)
    np.testing.assert_array_equal(result.array, found.array)


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        ({"array": np.zeros((3, 4))}, r"an array with 3 axes \[z, y, x\], found one of shape \(3, 4\)"),
        ({"array": np.zeros((3, 0, 4))}, "an array with 3 axes"),
        ({"spacing": (1, 0, 1)}, "a spacing of 3 numbers over 0"),
        ({"spacing": (1, 1)}, "a spacing of 3 numbers over 0"),
        ({"origin": (0, float("nan"), 0)}, "an origin of 3 numbers"),
        ({"direction": np.ones((3, 3))}, "a direction of 3 unit vectors"),
    ],
)
def test_an_array_without_a_proper_grid_is_refused(grid: dict[str, Any], sentence: str) -> None:
    with pytest.raises(oss.InputError, match=sentence):
        oss.Volume.from_array(**{"array": np.zeros((2, 3, 4)), **grid})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda files: {"supports": (files.support.parent / "nowhere.nii.gz", files.scribbles)}, "no such file"),
        (lambda files: {"supports": (42, files.scribbles)}, "a path, a Volume or a SimpleITK image, found int"),
        (lambda files: {"supports": (sitk.Image(4, 4, sitk.sitkUInt8), files.scribbles)}, "an image of 3 dimensions"),
        (lambda files: {"supports": files.support}, r"Expected supports as \(ct, scribbles\)"),
        (lambda files: {"supports": 42}, r"Expected supports as \(ct, scribbles\)"),
        (lambda files: {"supports": []}, r"Expected supports as \(ct, scribbles\)"),
        (lambda files: {"supports": [(files.support, files.scribbles, "x")]}, r"Expected supports as"),
        (lambda files: {"supports": (files.queries[1], files.scribbles)}, "on the support's grid"),
        (lambda files: {"supports": (files.support, files.support)}, "label values from 0 to 255"),
        (lambda files: {"method": "magic"}, "Expected a method of default, paper, found 'magic'"),
        (lambda files: {"device": "toaster"}, "Expected a device of auto, cpu, cuda"),
        (lambda files: {"weights": "liver"}, "expected shipped weights"),
    ],
)
def test_a_mistake_is_said_in_a_sentence(
    change: Callable[[Any], dict[str, Any]], sentence: str, tiny: TinyBatch
) -> None:
    files = tiny.files
    usual = {
        "supports": (files.support, files.scribbles),
        "weights": str(tiny.weights),
        "device": "cpu",
        "method": QUICK,
    }
    with pytest.raises(oss.InputError, match=sentence):
        oss.OneShotSegmenter(**{**usual, **change(files)})


def test_a_batch_in_memory_goes_on_after_a_case_that_fails(
    segmenter: oss.OneShotSegmenter, found: oss.Segmentation, tiny: TinyBatch, tmp_path: Path
) -> None:
    folder = tmp_path / "cts"
    folder.mkdir()
    (folder / "a_broken.nii.gz").write_bytes(tiny.files.queries[0].read_bytes()[:1000])
    shutil.copyfile(tiny.files.queries[0], folder / "b_good.nii.gz")
    broken, good = segmenter.segment_batch(folder)
    assert (broken.case, broken.segmentation) == ("a_broken", None)
    assert "broken or truncated" in broken.error
    assert (good.case, good.error, good.ct) == ("b_good", "", folder.resolve() / "b_good.nii.gz")
    assert good.segmentation is not None
    np.testing.assert_array_equal(good.segmentation.array, found.array)


def test_a_share_that_goes_away_fails_its_case_alone(
    segmenter: oss.OneShotSegmenter, tiny: TinyBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> oss.Volume:
        if path == tiny.files.queries[0].resolve():
            raise OSError(5, "Input/output error", str(path))
        return read_volume(path)

    monkeypatch.setattr(api, "read_volume", read)
    first, second = segmenter.segment_batch(tiny.files.queries[:2])
    assert first.error == f"{tiny.files.queries[0].resolve()}: Input/output error."
    assert second.segmentation is not None


def test_a_batch_of_a_path_that_is_not_there_is_refused(segmenter: oss.OneShotSegmenter, tmp_path: Path) -> None:
    with pytest.raises(oss.InputError, match="no such file or folder"):
        next(segmenter.segment_batch([tmp_path / "nowhere"]))


def test_a_batch_on_disk_tells_how_it_goes_on(tiny: TinyBatch, found: oss.Segmentation, tmp_path: Path) -> None:
    events: list[tuple[str, dict[str, Any]]] = []
    result = oss.propagate_batch(
        supports=[(str(tiny.files.support), str(tiny.files.scribbles))],
        queries=str(tiny.files.queries[0]),
        output=str(tmp_path / "study"),
        on_event=lambda event, **fields: events.append((event, fields)),
        weights=tiny.weights,
        device="cpu",
        method=QUICK,
    )
    assert (result.done, result.failed, result.study) == (("phantom_01",), (), tmp_path / "study")
    names = [event for event, _ in events]
    assert names[:2] == ["started", "case_started"]
    assert names[-2:] == ["case_done", "finished"]
    assert "step" in names
    np.testing.assert_array_equal(oss.Study(result.study).mask("phantom_01").volume.array, found.array)


def test_a_study_shows_its_cases_results_and_decisions(study: oss.Study, tiny: TinyBatch) -> None:
    assert study.structures == STRUCTURES
    assert [case.case for case in study.cases] == ["phantom_01", "phantom_02"]
    assert [Path(case.source) for case in study.cases] == [path.resolve() for path in tiny.files.queries[:2]]
    assert repr(study).endswith(f"2 cases of {', '.join(STRUCTURES)}")
    ledger = study.review()
    ledger.decide("phantom_02", "accepted", "good")
    ledger.save()
    results = study.results()
    assert {name: result.state for name, result in results.items()} == {
        "phantom_01": "pending",
        "phantom_02": "accepted",
    }
    quality = results["phantom_01"].quality
    assert quality is not None
    assert [structure.name for structure in quality.structures] == list(STRUCTURES)


def test_a_study_with_reviewed_cases_becomes_a_new_revision_that_can_be_taken_back(
    study: oss.Study, tiny: TinyBatch
) -> None:
    assert (study.revision, [one.number for one in study.revisions]) == (1, [1])
    ledger = study.review()
    ledger.decide("phantom_02", "accepted")
    ledger.save()
    before = study.paths.case("phantom_01").quality.read_bytes()
    for reviewed in ((), ["phantom_02"]):
        oss.propagate_batch(
            supports=(tiny.files.support, tiny.files.scribbles),
            queries=tiny.files.queries[:2],
            output=study.path,
            reviewed=reviewed,
            weights=str(tiny.weights),
            device="cpu",
            method=QUICK,
        )
    study = oss.Study(study.path)
    first, second = study.revisions
    assert study.revision == 2
    assert second.changes_from(first) == ("phantom_02 as support with its mask",)
    assert study.take_back().startswith("The study is of revision 1 again: 1 case got the result of before")
    assert study.revision == 1
    assert study.paths.case("phantom_01").quality.read_bytes() == before


def test_the_mask_that_counts_is_the_corrected_one(study: oss.Study) -> None:
    before = study.mask("phantom_01")
    empty = before.with_volume(before.volume.with_array(np.zeros_like(before.volume.array)))
    oss.Segmentation(empty, study.results()["phantom_01"].quality).save(study.paths.case("phantom_01").edited_mask)  # type: ignore[arg-type]
    assert before.volume.array.any()
    assert not study.mask("phantom_01").volume.array.any()


def test_what_is_no_study_or_no_case_is_refused(study: oss.Study, tmp_path: Path) -> None:
    with pytest.raises(oss.InputError, match=r"expected a study \(a folder with study.json\)"):
        oss.Study(tmp_path / "nowhere")
    with pytest.raises(oss.InputError, match=r"expected a case with a mask \(phantom_01, phantom_02\), found none"):
        study.mask("phantom_09")


def test_a_study_is_compared_with_references(study: oss.Study, tiny: TinyBatch) -> None:
    result = oss.evaluate(study.path, reference=tiny.files.references)
    assert result.cases == ("phantom_01", "phantom_02")
    assert [means.name for means in result.means()] == list(STRUCTURES)
    with pytest.raises(oss.InputError, match="nowhere"):
        oss.evaluate(study.path, reference=study.path / "nowhere")


def test_a_segmentation_gives_the_mask_of_a_structure_by_its_name(found: oss.Segmentation) -> None:
    there = next(segment for segment in found.mask.segments if (found.array == segment.value).any())
    np.testing.assert_array_equal(found.of(f" {there.name.upper()} "), found.array == there.value)
    with pytest.raises(oss.InputError, match=r"Expected a structure of Brainstem, .*, found 'Tail'"):
        found.of("Tail")


def test_a_segmentation_is_saved_with_names_or_as_plain_values(found: oss.Segmentation, tmp_path: Path) -> None:
    named = read_label_map(found.save(tmp_path / "new" / "mask.seg.nrrd"))
    assert [segment.name for segment in named.segments] == [segment.name for segment in found.mask.segments]
    plain = read_label_map(found.save(str(tmp_path / "mask.nii.gz")))
    for saved in (named, plain):
        np.testing.assert_array_equal(saved.volume.array, found.array)
        assert saved.volume.same_grid(found.mask.volume)
    with pytest.raises(oss.InputError, match=r"mask\.jpg"):
        found.save(tmp_path / "mask.jpg")


def test_a_segmentation_is_an_image_of_simpleitk_too(found: oss.Segmentation, tiny: TinyBatch) -> None:
    image, query = found.to_sitk(), sitk.ReadImage(str(tiny.files.queries[0]))
    assert image.GetSize() == query.GetSize()
    np.testing.assert_allclose(image.GetOrigin(), query.GetOrigin())
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), found.array)


def examples() -> list[str]:
    """The Python examples of the README that can be run as they are."""
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "OneShotSegLib" in block and "..." not in block]


def test_the_examples_of_the_readme_run(tiny: TinyBatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = examples()
    if not blocks:
        pytest.skip("the README has no Python example")
    files = tiny.files
    for block in blocks:
        for name in re.findall(r"[\"']([\w./-]+)[\"']", block):
            lay_out(tmp_path / name, name, tiny)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(settings.METHODS, "default", QUICK)
    assert files.queries
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})


def lay_out(path: Path, name: str, tiny: TinyBatch) -> None:
    """Put there what an example calls by this name, if it is a name of something to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = tiny.files
    if name.endswith((".nii.gz", ".nrrd")):
        sources = {"scribble": files.scribbles, "support": files.support}
        source = next((file for word, file in sources.items() if word in name), files.queries[0])
        shutil.copyfile(source, path)
    elif name.strip("/") in ("masks", "references", "reference"):
        shutil.copytree(files.references, path, dirs_exist_ok=True)
    elif name.strip("/") in ("queries", "batch", "cts"):
        path.mkdir(exist_ok=True)
        shutil.copyfile(files.queries[0], path / files.queries[0].name)
