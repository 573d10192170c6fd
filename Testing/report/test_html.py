"""The report: self-contained, in order of doubt, safe against hostile names, whole when things are missing."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from OneShotSegLib import __version__
from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation import Evaluation, StructureFigures
from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, Segment, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.report.content import css_color
from OneShotSegLib.report.html import histogram, write_report
from OneShotSegLib.study.description import StudyCase, StudyDescription, label_table
from OneShotSegLib.study.layout import StudyPaths, write_json
from OneShotSegLib.study.quality import CaseQuality, StructureQuality, read_quality, write_quality
from OneShotSegLib.study.review import ReviewLedger

HOSTILE = '<img src=x onerror="alert(1)">&"\'{{ 7*7 }}'
SEGMENTS = (
    Segment(value=1, name="Gland", color=(0.9, 0.6, 0.0)),
    Segment(value=2, name=HOSTILE, color=(0.3, 0.7, 0.9)),
    Segment(value=8, name="Background", color=(0.5, 0.5, 0.5)),
)


class Page(HTMLParser):
    """The elements of a page, and the text of the cards' headings in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cases: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag == "article":
            self.cases.append(given["data-name"])

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def volumes() -> tuple[Volume, Volume]:
    array = np.full((16, 40, 40), -1000, dtype=np.int16)
    array[1:15, 5:35, 5:35] = 30
    labels = np.zeros(array.shape, dtype=np.uint8)
    labels[5:10, 10:20, 10:20] = 1
    return Volume.create(array, (3.0, 2.0, 2.0)), Volume.create(labels, (3.0, 2.0, 2.0))


def add_done(study: StudyPaths, case: str, score: float, warnings: tuple[str, ...] = ()) -> None:
    paths = study.case(case)
    labels = volumes()[1]
    write_label_map(LabelMap(labels, SEGMENTS), paths.pseudo_mask)
    write_label_map(LabelMap(labels, SEGMENTS), paths.scribbles)
    structures = (
        StructureQuality(
            value=1,
            name="Gland",
            state="found",
            score=score,
            similarity=0.8,
            kept=0.9,
            cycle_mm=2.5,
            volume_ml=4.0,
            volume_ratio=1.1,
            in_view=1.0,
        ),
        StructureQuality(value=2, name=HOSTILE, state="absent", score=0.0),
    )
    write_quality(CaseQuality(case=case, score=score, structures=structures, warnings=warnings), paths.quality)


@pytest.fixture
def study(tmp_path: Path) -> StudyPaths:
    paths = StudyPaths(tmp_path / "study")
    ct, labels = volumes()
    for name in ("support", "good", "doubtful"):
        write_volume(ct, tmp_path / f"{name}.nii.gz")
    write_label_map(LabelMap(labels, SEGMENTS), paths.support_scribbles())
    add_done(paths, "good", 0.9)
    add_done(paths, "doubtful", 0.2, (HOSTILE,))
    add_done(paths, "moved", 0.5)
    write_json(paths.case("failed").failure, {"error": f"no CT {HOSTILE}"})
    ledger = ReviewLedger.load(paths.review)
    ledger.ensure_cases([CaseQuality(case="good", score=0.9, structures=())])
    ledger.decide("good", "accepted", HOSTILE)
    ledger.save()
    cases = {"good": "good", "doubtful": "doubtful", "moved": "gone", "failed": "good", "waiting": "good"}
    StudyDescription(
        created="2026-01-02T03:04:05+00:00",
        supports=({"ct": str(tmp_path / "support.nii.gz"), "scribbles": "scribbles.seg.nrrd"},),
        labels=label_table(SEGMENTS),
        background_label=8,
        settings={},
        weights={"name": HOSTILE},
        cases=tuple(StudyCase(case, str(tmp_path / f"{file}.nii.gz")) for case, file in cases.items()),
        versions={"OneShotSeg": "0.0.1"},
    ).write(paths)
    return paths


def html_of(study: StudyPaths, evaluation: Evaluation | None = None) -> str:
    return write_report(study.root, evaluation).read_text(encoding="utf-8")


def test_failed_cases_come_first_then_the_doubtful_and_those_not_done_last(study: StudyPaths) -> None:
    assert Page(html_of(study)).cases == ["failed", "doubtful", "moved", "good", "waiting"]


def test_nothing_from_the_data_becomes_markup_or_script(study: StudyPaths) -> None:
    html = html_of(study)
    page = Page(html)
    assert "<img src=x" not in html
    assert "{{ 7*7 }}" in html
    assert len(page.all("script")) == 1
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.all("img"))


def test_the_page_asks_for_nothing_from_a_network_and_forbids_it(study: StudyPaths) -> None:
    html = html_of(study)
    assert not re.search(r"https?://|@import|url\(|//cdn", html)
    page = Page(html)
    assert not page.all("link")
    assert not page.all("iframe")
    assert all("src" not in script for script in page.all("script"))
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:")


def test_the_policy_lets_exactly_the_pages_own_script_run(study: StudyPaths) -> None:
    import base64
    import hashlib

    html = html_of(study)
    script = html.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # The browser undoes the escaping of the attribute, as the parser does here.
    policies = [meta.get("content") or "" for meta in Page(html).all("meta")]
    assert any(f"script-src 'sha256-{digest}'" in policy for policy in policies)


def test_both_themes_have_all_colours(study: StudyPaths) -> None:
    html = html_of(study)
    light, dark = (set(re.findall(r"(--[\w-]+):", part)) for part in html.split("prefers-color-scheme: dark")[:2])
    assert {"--page", "--panel", "--text"} <= light
    assert light <= dark


def test_every_picture_can_be_reached_by_keyboard_and_has_words(study: StudyPaths) -> None:
    page = Page(html_of(study))
    views = [button for button in page.all("button") if "view" in (button.get("class") or "")]
    # The support and two cases with a CT: three planes and three close-ups of the one structure.
    assert len(views) == len(page.all("img")) == 3 * 6
    assert all(view.get("aria-label") for view in views)
    assert all(image.get("alt") and image.get("loading") == "lazy" for image in page.all("img"))


def test_a_ct_that_moved_away_is_said_so_and_the_rest_is_there(study: StudyPaths) -> None:
    card = html_of(study).split('data-name="moved"')[1].split("</article>")[0]
    assert "the CT is no longer where it was" in card
    assert "Gland" in card
    assert "<img" not in card


def test_a_support_that_moved_away_does_not_break_the_report(study: StudyPaths, tmp_path: Path) -> None:
    (tmp_path / "support.nii.gz").unlink()
    assert "the CT is no longer where it was" in html_of(study).split('id="support"')[1]


def test_broken_files_of_a_case_become_sentences(study: StudyPaths) -> None:
    study.case("good").pseudo_mask.write_bytes(b"no image")
    study.case("doubtful").quality.write_text("{}", encoding="utf-8")
    study.review.write_text("no ledger", encoding="utf-8")
    html = html_of(study)
    assert "No pictures: " in html.split('data-name="good"')[1].split("</article>")[0]
    assert "expected the quality of a case" in html.split('data-name="doubtful"')[1]
    assert "The review ledger could not be read" in html


def test_figures_against_references_are_shown_where_they_are_given(study: StudyPaths) -> None:
    assert ">Dice</th>" not in html_of(study)
    figures = (
        StructureFigures(case="good", value=1, name="Gland", presence="both", dice=0.876, hd95_mm=3.21, assd_mm=1.0),
        StructureFigures(case="good", value=2, name="x", presence="false negative", dice=0.0),
    )
    card = html_of(study, Evaluation(figures=figures, labels={1: "Gland", 2: "x"})).split('data-name="good"')[1]
    for expected in ("0.88", "3.2", "false negative"):
        assert expected in card


def test_the_edited_mask_is_drawn_for_an_edited_case(study: StudyPaths) -> None:
    labels = volumes()[1]
    write_label_map(LabelMap(labels, SEGMENTS), study.case("good").edited_mask)
    ledger = ReviewLedger.load(study.review)
    ledger.decide("good", "edited")
    ledger.save()
    assert "corrected mask" in html_of(study).split('data-name="good"')[1].split("</article>")[0]


def test_the_mask_that_counts_is_drawn_for_a_case_that_waits_for_a_decision_or_was_accepted(study: StudyPaths) -> None:
    for case in ("good", "doubtful"):  # accepted, pending
        write_label_map(LabelMap(volumes()[1], SEGMENTS), study.case(case).edited_mask)
    html = html_of(study)
    assert "corrected mask" not in html.split('data-name="good"')[1].split("</article>")[0]
    assert "corrected mask" in html.split('data-name="doubtful"')[1].split("</article>")[0]


def test_the_version_that_made_the_study_and_that_of_the_report_are_both_named(study: StudyPaths) -> None:
    assert f"0.0.1, report by {__version__}" in html_of(study)


def test_the_least_certain_structure_is_the_one_that_the_panel_shows_first(study: StudyPaths) -> None:
    quality = read_quality(study.case("good").quality)
    tail = StructureQuality(value=5, name="Tail", state="found", score=0.1)  # not in the study's label table
    write_quality(replace(quality, structures=(*quality.structures, tail)), study.case("good").quality)
    worst = read_quality(study.case("good").quality).worst
    assert worst is not None
    card = html_of(study).split('data-name="good"')[1].split("</article>")[0]
    assert f"<strong>{worst.name}</strong>, the least certain structure" in card


def test_progress_counts_to_the_number_of_cases(study: StudyPaths) -> None:
    seen: list[tuple[int, int]] = []
    write_report(study.root, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(number, 5) for number in range(1, 6)]


def test_a_study_without_any_result_has_a_report(study: StudyPaths) -> None:
    replace(StudyDescription.read(study), labels=(), cases=()).write(study)
    assert "0 of 0" in html_of(study) or "OneShotSeg report" in html_of(study)


def test_a_folder_that_is_no_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a study"):
        write_report(tmp_path)
    (tmp_path / "study.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="expected an OneShotSeg study"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_the_histogram_counts_tenths_with_the_ends() -> None:
    assert histogram([0.0, 0.05, 0.55, 1.0]) == [2, 0, 0, 0, 0, 1, 0, 0, 0, 1]


def test_colours_are_read_from_either_range() -> None:
    assert css_color((1.0, 0.5, 0)) == "rgb(255,128,0)"
    assert css_color((255, 128, 0)) == "rgb(255,128,0)"
