"""The support in the page: strokes that are on disk at once, and what they grow into."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.interface.jobs.runs import RunPlan
from OneShotSegLib.study.layout import StudyPaths
from Testing.browser.client import Page, stroke, unpacked, whole

Cts = Path


@pytest.fixture
def cts(made: Path, tmp_path: Path) -> Cts:
    """A folder of CTs, without a study."""
    return shutil.copytree(made / "ct", tmp_path / "cts")


def opened(cts: Cts) -> Page:
    return Page(study=cts.with_name("study-of-cts"), cts=(cts,), weights="phantom")


@pytest.fixture
def page(cts: Cts) -> Iterator[Page]:
    with opened(cts) as page:
        yield page


def choose(page: Page, number: int = 0) -> dict[str, Any]:
    return unpacked(page.post("/api/support/choose", number=number))[0]


def test_the_cts_of_the_folder_are_offered_without_their_paths(page: Page, cts: Cts) -> None:
    offered = page.get("/api/cts").json()["cts"]
    assert [one["name"] for one in offered] == sorted(path.name for path in cts.iterdir())
    assert str(cts) not in page.get("/api/cts").text
    assert page.post("/api/support/choose", number=99).status_code == 409
    assert page.post("/api/support/choose", number="0").status_code == 409


def test_a_series_is_chosen_where_a_folder_has_several(tmp_path: Path) -> None:
    several(tmp_path / "cts" / "P1", "Thorax soft", "Thorax lung")
    several(tmp_path / "cts" / "P2", "Thorax soft", "Thorax lung")
    (tmp_path / "cts" / "notes.txt").write_text("no CT", encoding="utf-8")
    with opened(tmp_path / "cts") as page:
        offered = page.get("/api/cts").json()
        assert offered["cts"] == []
        assert [folder["name"] for folder in offered["folders"]] == ["P1", "P2"]
        texts = [one["text"] for one in offered["folders"][0]["series"]]
        assert sorted(texts) == ["Thorax lung (6 slices)", "Thorax soft (6 slices)"]
        assert "1 file of another kind" in offered["left_out"][0]
        assert str(tmp_path) not in page.get("/api/cts").text
        lung = texts.index("Thorax lung (6 slices)")
        chosen = page.post("/api/cts/series", folder=0, series=lung).json()
        names = ["P1: Thorax lung (6 slices)", "P2: Thorax lung (6 slices)"]
        assert [one["name"] for one in chosen["cts"]] == names  # the same in the other folder
        chosen = page.post("/api/cts/series", folder=1, series=1 - lung).json()
        assert chosen["cts"][1]["name"] == "P2: Thorax soft (6 slices)"
        for folder, series in ((2, 0), (0, 5), (0, -2), ("0", 0)):
            assert page.post("/api/cts/series", folder=folder, series=series).status_code == 409
        described = choose(page)
        assert described["key"] == chosen["cts"][0]["key"]
    with opened(tmp_path / "cts") as again:  # it is kept
        assert again.get("/api/cts").json() == chosen
        assert len(again.app.state.desk.choices.series) == 2
        left = again.post("/api/cts/series", folder=1, series=-1).json()
        assert [one["name"] for one in left["cts"]] == names[:1]


def several(folder: Path, *descriptions: str) -> Path:
    """A folder with a CT series for each description."""
    pytest.importorskip("pydicom", reason="pydicom is not installed")
    from Testing.helpers.dicom_series import write_series

    for number, description in enumerate(descriptions):
        array = np.full((6, 8, 8), 40 * number, np.int16)

        def describe(data: Any, _plane: int, description: str = description) -> None:
            data.SeriesDescription = description

        made = write_series(folder / str(number), Volume.create(array, (3.0, 1.0, 1.0)), folder.name, edit=describe)
        for path in made.iterdir():
            path.rename(folder / f"{number}-{path.name}")
        made.rmdir()
    return folder


def test_strokes_are_kept_whatever_happens_to_the_server(cts: Cts) -> None:
    with opened(cts) as page:
        assert page.post("/api/support/stroke", stroke=stroke(1, (3.0, 5.0, 5.0))).status_code == 409  # no CT yet
        described = choose(page)
        shape = described["image"]["shape"]
        assert page.post("/api/support/structures", names="Brainstem; Mandible").status_code == 200
        for number, (value, x) in enumerate(((1, 4.0), (255, 9.0), (2, 14.0))):
            unpacked(page.post("/api/support/stroke", stroke=stroke(value, (3.0, 5.0, x)), id=str(number)))
        unpacked(page.post("/api/support/stroke", stroke=stroke(2, (3.0, 5.0, 14.0)), id="2"))  # sent once more
        kept = whole(page.get("/api/support"), shape)
        assert set(np.unique(kept)) == {0, 1, 2, 255}
    with opened(cts) as again:
        described, _ = unpacked(again.get("/api/support"))
        assert described["strokes"] == 3
        assert np.array_equal(whole(again.get("/api/support"), shape), kept)
        assert [one["name"] for one in described["segments"]] == ["Background", "Brainstem", "Mandible"]
        unpacked(again.post("/api/support/undo"))
        assert set(np.unique(whole(again.get("/api/support"), shape))) == {0, 1, 255}


def test_names_are_names(page: Page) -> None:
    choose(page)
    for names in ("background", "a\x00b", "x" * 200):
        assert page.post("/api/support/structures", names=names).status_code == 409
    assert page.post("/api/support/structures", names="Drüse links").status_code == 200
    assert page.post("/api/support/structures", names="drüse  LINKS").status_code == 409
    described, _ = unpacked(page.post("/api/support/structures", remove=1))
    assert [one["name"] for one in described["segments"]] == ["Background"]


def test_strokes_grow_as_soon_as_there_is_background(page: Page) -> None:
    described = choose(page)
    depth, height, width = described["image"]["shape"]
    page.post("/api/support/structures", names="Brainstem")
    unpacked(page.post("/api/support/stroke", stroke=stroke(1, (depth / 2, height / 2, width / 2), width_mm=25.0)))
    assert "waiting" in unpacked(page.post("/api/support/grow"))[0]
    line = ((depth / 2, height / 4, width / 4), (depth / 2, height / 4, 3 * width / 4))
    unpacked(page.post("/api/support/stroke", stroke=stroke(255, *line)))
    grown, part = unpacked(page.post("/api/support/grow"))
    assert grown["volumes_ml"]["Brainstem"] > 0
    assert set(np.unique(part)) == {0, 1}


def test_propagating_checks_the_strokes_and_writes_them(page: Page, cts: Cts, monkeypatch: pytest.MonkeyPatch) -> None:
    described = choose(page)
    depth, height, width = described["image"]["shape"]
    page.post("/api/support/structures", names="Brainstem, Mandible")
    answer = page.post("/api/propagate")
    assert answer.status_code == 409
    assert "Background" in answer.json()["error"] or "background" in answer.json()["error"]
    middle = (round(depth / 2), round(height / 2))
    for value, x in ((1, width / 2), (255, width / 3), (2, width / 2 + 6)):
        line = ((*middle, x), (*middle, x + 4))
        unpacked(page.post("/api/support/stroke", stroke=stroke(value, *line, width_mm=9.0)))
    plans: list[RunPlan] = []
    monkeypatch.setattr(type(page.app.state.desk.runs), "start", lambda self, plan, done=None: plans.append(plan))
    assert page.post("/api/propagate").status_code == 200
    words = list(plans[0].arguments)
    scribbles = Path(words[words.index("--scribbles") + 1])
    assert words[words.index("--support") + 1] == str(cts / "phantom_00.nii.gz")
    assert words[words.index("--weights") + 1] == "phantom"
    assert words[words.index("--") + 1 :] == [str(cts)]
    assert [one.name for one in read_label_map(scribbles).segments] == ["Background", "Brainstem", "Mandible"]


def test_a_study_goes_on_with_its_own_strokes(study: StudyPaths) -> None:
    with Page(study=study.root) as page:
        described, _ = unpacked(page.get("/api/support"))
        assert described["ct"] == "phantom_00.nii.gz"
        assert described["strokes"] == 0
        own = read_label_map(next(study.supports.glob("*.seg.nrrd")))
        assert np.array_equal(whole(page.get("/api/support"), described["image"]["shape"]), own.volume.array)
        page.post("/api/support/structures", names="Tongue")
        segments = unpacked(page.get("/api/support"))[0]["segments"]
        values = [one["value"] for one in segments]
        assert len(set(values)) == len(values)
        assert segments[-1]["name"] == "Tongue"
