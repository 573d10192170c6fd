"""The report of many cases: pages under 50 MB that together have every case once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report import html
from OneShotSegLib.report.case_figures import CasePictures
from OneShotSegLib.report.content import CaseContent
from OneShotSegLib.report.html import CASE_BYTES, MOST_BYTES, STRUCTURE_BYTES, write_report
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, write_quality

SEGMENTS = tuple(Segment.numbered(value) for value in range(1, 6))


def described(root: Path, names: list[str], source: str = "gone.nii.gz") -> StudyPaths:
    """A study of so many cases that are done; their CT is not there unless it is written."""
    paths = StudyPaths(root)
    for number, name in enumerate(names):
        structures = tuple(
            StructureQuality(value=one.value, name=one.name, state="found", score=0.5) for one in SEGMENTS
        )
        write_quality(CaseQuality(case=name, score=(number % 97) / 97, structures=structures), paths.case(name).quality)
    StudyDescription(
        supports=(),
        labels=label_table(SEGMENTS),
        background_label=0,
        settings={},
        weights={},
        cases=tuple(StudyCase(name, str(root / source)) for name in names),
    ).write(paths)
    return paths


def cases_of(page: Path) -> list[str]:
    return re.findall(r'<article [^>]*data-name="([^"]*)"', page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> StudyPaths:
    names = [f"pt_{number}" for number in range(130)]
    return described(tmp_path_factory.mktemp("large") / "study", names)


def test_every_case_is_on_one_page_in_order_of_doubt(large: StudyPaths) -> None:
    write_report(large.root)
    pages = large.report_pages()
    assert [page.name for page in pages] == ["report.html", "report-2.html", "report-3.html"]
    listed = [name for page in pages for name in cases_of(page)]
    assert sorted(listed) == sorted(f"pt_{number}" for number in range(130))
    scores = [int(name.removeprefix("pt_")) % 97 for name in listed]
    assert scores == sorted(scores)


def test_the_first_page_leads_to_every_case(large: StudyPaths) -> None:
    write_report(large.root)
    first = large.report.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#]+)#([^"]+)">([^<]+)</a>', first)
    assert len(links) == 130
    pages = {page.name: page.read_text(encoding="utf-8") for page in large.report_pages()}
    for file, anchor, name in links:
        assert re.search(rf'id="{anchor}"[^>]*data-name="{name}"', pages[file])


def test_what_is_about_the_study_is_on_the_first_page_alone(large: StudyPaths) -> None:
    write_report(large.root)
    first, second, _ = (page.read_text(encoding="utf-8") for page in large.report_pages())
    assert 'id="summary"' in first
    assert 'id="summary"' not in second
    assert "130</dd>" in first


def test_pages_that_are_no_more_needed_go(tmp_path: Path) -> None:
    paths = described(tmp_path / "study", [f"pt_{number}" for number in range(70)])
    write_report(paths.root)
    (paths.root / "report-of-mine.html").write_text("mine")
    assert len(paths.report_pages()) == 2
    described(paths.root, ["pt_1", "pt_2"])
    write_report(paths.root)
    assert paths.report_pages() == [paths.report]
    assert (paths.root / "report-of-mine.html").is_file()
    assert 'class="panel pages"' not in paths.report.read_text(encoding="utf-8")


def test_pictures_of_one_page_are_held_at_a_time(large: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def draw(case: CaseContent, labels: Sequence[Segment]) -> CasePictures:
        order.append("d")
        return CasePictures()

    monkeypatch.setattr(html, "draw_case", draw)
    monkeypatch.setattr(html, "write_text", lambda path, text: order.append("w"))
    write_report(large.root)
    assert "".join(order) == "d" * 57 + "w" + "d" * 57 + "w" + "d" * 16 + "w"


def test_a_case_takes_no_more_than_a_page_reckons_with(tmp_path: Path) -> None:
    """Noise is what compresses worst, and makes the longest outlines."""
    random = np.random.default_rng(0)
    array = np.full((60, 256, 256), -1000, np.int16)
    array[:, 30:226, 30:226] = random.normal(40, 100, (60, 196, 196))
    ct = Volume.create(array, (3.0, 1.0, 1.0))
    labels = np.zeros(ct.shape, np.uint8)
    for segment in SEGMENTS:
        start = 40 * segment.value
        labels[20:40, start : start + 30, 100:150] = segment.value * (random.random((20, 30, 50)) > 0.2)
    paths = described(tmp_path / "study", ["noise"], "noise.nii.gz")
    write_volume(ct, paths.root / "noise.nii.gz")
    write_label_map(LabelMap(ct.with_array(labels), SEGMENTS), paths.case("noise").pseudo_mask)
    size = write_report(paths.root).stat().st_size
    assert size > 100_000
    assert size < CASE_BYTES + STRUCTURE_BYTES * len(SEGMENTS)
    assert MOST_BYTES < 50e6
