"""The page in a real Chromium, from the first stroke to an export; and what may happen on the way."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import read_label_map
from OneShotSegLib.report.html import write_report
from OneShotSegLib.study.description import StudyDescription
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.review import ReviewLedger
from Testing.browser.chromium import CUT_SHORT, FLAGS, Served, Window, program
from Testing.helpers.tiny_batch import TinyBatch

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed (the extra browser-test)")

MIDDLE = (0.31, 0.5)
SLOW = 120_000
VIEWPORT: Any = {"width": 1000, "height": 640}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    with ExitStack() as stack:

        def start(*arguments: object, **named: Any) -> Served:
            served = Served(*arguments, **named)
            stack.callback(served.stop)
            return served

        yield start


@pytest.fixture
def window(chromium: Any) -> Iterator[Window]:
    context = chromium.new_context(viewport=VIEWPORT)
    opened = Window(context.new_page())
    yield opened
    context.close()
    assert opened.troubles == []


def states(study: StudyPaths) -> dict[str, str]:
    return {entry.case: entry.state for entry in ReviewLedger.load(study.review)}


def wait_until_over(window: Window) -> None:
    window.until("document.querySelector('#runTitle')?.textContent.endsWith('over')")


def test_a_whole_session_from_the_first_stroke_to_an_export(
    tiny: TinyBatch, serve: Callable[..., Served], window: Window, tmp_path: Path
) -> None:
    cts = tmp_path / "cts"
    shutil.copytree(tiny.files.support.parent, cts)
    study = StudyPaths(tmp_path / "cts-study")
    served = serve(cts, "--weights", tiny.weights)
    page = window.page
    window.open(served.address)
    window.shot("01-choose")
    page.get_by_label("CT of the support").select_option("phantom_00.nii.gz")
    page.get_by_label("Add structures").fill("Brainstem, Mandible")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Mandible", exact=True).check()
    window.shot("02-named")
    page.get_by_role("slider", name="Size").fill("30")  # the phantoms' voxels are coarse
    window.draw((0.4, 0.6), (0.41, 0.66))
    page.get_by_label("Paint").select_option("Brainstem")
    page.get_by_role("slider", name="Size").fill("30")
    window.draw((0.28, 0.52), (0.33, 0.54))
    page.get_by_label("Paint").select_option("Background")
    window.draw((0.18, 0.35), (0.44, 0.35))
    page.wait_for_selector("body[data-grown]")
    page.locator(".ml", has_text="ml").first.wait_for()
    window.shot("03-grown")

    page.get_by_role("button", name="Propagate").click()
    page.wait_for_selector("#runBar:not([hidden])")
    window.shot("04-propagating")
    wait_until_over(window)
    window.tab("Review")
    page.wait_for_selector("body[data-case]")
    window.wait_for_case(page.evaluate("document.body.dataset.case"))
    window.shot("05-review")
    first, second, third = page.evaluate(
        "[...document.querySelectorAll('#side tbody tr td:first-child')].map((e) => e.innerText)"
    )

    page.get_by_label("Comment").fill("<b>left out</b>")
    page.get_by_role("button", name="Accept").click()
    window.wait_for_case(second)
    page.get_by_role("button", name="Regrow").click()
    window.draw(MIDDLE, (0.34, 0.5))
    window.wait_for_message(f"{second}: ")
    window.until("!document.querySelector('#message').hidden")
    window.shot("06-regrown")
    page.get_by_role("button", name="Stop painting").click()
    page.get_by_role("button", name="Edit").click()
    window.draw((0.25, 0.4), (0.27, 0.4))
    window.wait_for_message("painted; saved as its correction")
    window.shot("07-edited")
    page.get_by_role("button", name="Accept").click()
    window.wait_for_case(third)
    page.get_by_role("button", name="Reject").click()
    window.wait_for_message("All cases are reviewed.")
    assert states(study) == {first: "accepted", second: "edited", third: "rejected"}
    assert ReviewLedger.load(study.review)[first].comment == "<b>left out</b>"

    page.get_by_role("button", name="propagate again").click()
    wait_until_over(window)
    assert states(study) == {first: "accepted", second: "edited", third: "rejected"}

    window.tab("Deliver")
    page.get_by_label("Format").select_option("NIfTI label maps")
    page.get_by_role("button", name="Export", exact=True).click()
    page.wait_for_selector(".exported", timeout=SLOW)
    window.shot("08-exported")
    written = tmp_path / "cts-study-exports" / "cts-study-nifti"
    assert {path.name for path in written.rglob("*.nii.gz")} == {f"{first}.nii.gz", f"{second}.nii.gz"}
    exported = read_label_map(next(written.rglob(f"{second}.nii.gz"))).volume.array
    edited = read_label_map(study.case(second).edited_mask).volume.array
    assert np.array_equal(exported > 0, edited > 0)
    assert served.stop() == 0


def test_a_whole_session_by_keyboard_alone(
    tiny: TinyBatch, serve: Callable[..., Served], window: Window, tmp_path: Path
) -> None:
    cts = tmp_path / "cts"
    shutil.copytree(tiny.files.support.parent, cts)
    study = StudyPaths(tmp_path / "cts-study")
    page = window.page
    window.open(serve(cts, "--weights", tiny.weights).address)
    window.until("document.querySelector('#ct option:nth-child(2)')")
    window.look("keys-1-choose")
    window.tab_to("#ct")
    window.press("ArrowDown")
    window.tab_to("#names")
    page.keyboard.type("Brainstem, Mandible")
    window.press("Enter")
    page.wait_for_selector("#painting:not([hidden])")
    window.tab_to("#gl")
    wider = ["+"] * 12  # the phantoms' voxels are coarse
    window.press(*wider)
    window.press("Space")  # the brainstem, in the middle
    for name, moves in (
        ("Background", [*["ArrowLeft"] * 9, *["ArrowUp"] * 5]),
        ("Mandible", [*["ArrowRight"] * 7, *["ArrowUp"] * 3]),
    ):
        window.tab_to("#label")
        page.keyboard.type(name)
        window.until(f"document.querySelector('#label').selectedOptions[0].text === '{name}'")
        window.tab_to("#gl")
        window.press(*moves, "Shift+ArrowRight", "Shift+ArrowRight")
    page.get_by_text("Too thin to grow: Mandible.").wait_for()
    window.press(*wider, "Shift+ArrowRight", "PageUp", "Space", "PageDown", "PageDown", "Space")
    page.get_by_text("Too thin to grow").wait_for(state="detached")
    window.until("[...document.querySelectorAll('.ml')].filter((e) => parseFloat(e.innerText)).length === 2")
    window.look("keys-2-grown")
    window.tab_to("[data-key=propagate]")
    window.press("Enter")
    page.wait_for_selector("#run:not([hidden])")
    wait_until_over(window)
    window.look("keys-3-propagated")

    window.tab_to("[data-tab=review]")
    window.press("Enter")
    page.wait_for_selector("body[data-case]")
    window.wait_for_case(page.evaluate("document.body.dataset.case"))
    window.wait_until_shown()
    names = page.evaluate("[...document.querySelectorAll('#side tbody tr td:first-child')].map((e) => e.innerText)")
    window.press("r")
    page.wait_for_selector("#painting:not([hidden])")
    window.press("Space")  # the images have the focus
    page.get_by_text("There is a correction").wait_for()
    window.wait_until_shown()
    window.look("keys-4-regrown")
    window.press("Escape", "c")
    page.wait_for_selector("#painting:not([hidden])")
    window.press("b", "b", "Shift+ArrowRight", "Escape")  # an outline
    window.wait_for_message("painted; saved as its correction")
    window.wait_until_shown()
    window.press("a")
    window.wait_for_case(names[1])
    window.wait_until_shown()
    window.press("x")
    window.wait_for_case(names[2])
    window.wait_until_shown()
    window.press("a")
    window.wait_for_message("All cases are reviewed.")
    window.look("keys-5-reviewed")
    assert states(study) == dict(zip(names, ("edited", "rejected", "accepted"), strict=True))

    window.tab_to("[data-tab=deliver]")
    window.press("Enter")
    window.tab_to("[data-key=export]")
    window.press("Enter")
    page.wait_for_selector(".exported", timeout=SLOW)
    window.look("keys-6-exported")
    written = tmp_path / "cts-study-exports" / "cts-study-nifti"
    assert {path.name for path in written.rglob("*.nii.gz")} == {f"{names[0]}.nii.gz", f"{names[2]}.nii.gz"}


def test_the_review_by_keys_alone(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    before = read_label_map(study.case("phantom_01").pseudo_mask).volume.array
    window.press("d", "d", "Shift+D", "n")
    window.wait_for_case("phantom_02")
    window.press("Shift+N")
    window.wait_for_case("phantom_01")
    window.press("r")
    window.page.wait_for_selector("#painting:not([hidden])")
    window.page.get_by_label("Paint").focus()
    window.press("End")  # the background, last of the list
    window.page.locator("#gl").focus()
    window.press("1", "PageUp", "ArrowLeft", "Space")
    window.wait_for_message("saved as its correction")
    assert (read_label_map(study.case("phantom_01").edited_mask).volume.array != before).any()
    window.press("Escape", "c")
    window.page.locator("#gl").focus()
    window.press("Shift+ArrowRight", "Shift+ArrowRight")
    window.wait_for_message("painted; saved as its correction")
    window.press("Escape", "u")
    window.wait_for_message("taken back")
    window.wait_until_shown()
    window.press("a")
    window.wait_for_case("phantom_02")
    window.press("x")
    window.wait_for_case("phantom_03")
    assert states(study) == {"phantom_01": "edited", "phantom_02": "rejected", "phantom_03": "pending"}
    window.press("u")
    window.wait_for_case("phantom_02")
    assert states(study)["phantom_02"] == "pending"
    window.page.get_by_label("Comment").focus()
    window.page.keyboard.type("axn")  # letters in a field are no keys
    window.page.keyboard.press("Tab")
    window.page.wait_for_timeout(300)
    assert states(study)["phantom_02"] == "pending"
    assert ReviewLedger.load(study.review)["phantom_02"].comment == "axn"


def test_a_key_that_is_held_down_decides_one_case(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    for _ in range(5):
        window.page.keyboard.down("a")
    window.wait_for_case("phantom_02")
    window.page.keyboard.up("a")
    assert states(study) == {"phantom_01": "accepted", "phantom_02": "pending", "phantom_03": "pending"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_part_of_the_page_has_serious_findings(
    study: StudyPaths, serve: Callable[..., Served], chromium: Any, theme: str
) -> None:
    write_report(study.root)
    served = serve(study.root)
    context = chromium.new_context(viewport=VIEWPORT, color_scheme=theme)
    window = Window(context.new_page())
    window.open(served.address)
    found = {}
    for tab in ("Review", "Support", "Readers", "Deliver"):
        window.tab(tab)
        window.page.wait_for_timeout(300)
        window.until("document.querySelector('#loading').hidden")
        if tab == "Review":
            window.press("r")
            window.page.wait_for_selector("#painting:not([hidden])")
        found[tab] = window.findings()
        window.shot(f"{theme}-{tab.lower()}")
    window.page.get_by_role("button", name="Keys").click()
    found["keys"] = window.findings()
    window.shot(f"{theme}-keys")
    assert {name: texts for name, texts in found.items() if texts} == {}
    assert window.troubles == []
    context.close()


def test_the_report_works_in_a_browser(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    report = write_report(study.root)
    served = serve(study.root, "--read-only")
    window.open(served.address)
    for address in (f"http://127.0.0.1:{served.port}/report.html", report.as_uri()):
        window.page.goto(address)
        window.page.get_by_text("phantom_01").first.wait_for()
        assert window.findings() == []
    window.shot("report")


def test_names_of_others_are_no_markup(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    text = study.description.read_text(encoding="utf-8")
    name = "<img src=x onerror=alert(1)>"
    study.description.write_text(text.replace('"Brainstem"', f'"{name}"'), encoding="utf-8")
    quality = study.case("phantom_01").quality
    quality.write_text(quality.read_text(encoding="utf-8").replace('"Brainstem"', f'"{name}"'), encoding="utf-8")
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    window.page.get_by_text(name).first.wait_for()
    assert window.page.locator("#side img").count() == 0


class Held:
    """Requests of a page that wait until they are let go.

    Args:
        page: Playwright's.
        pattern: Of their addresses.
    """

    def __init__(self, page: Any, pattern: str | re.Pattern[str]) -> None:
        self.page, self.pattern = page, pattern
        self.routes: list[Any] = []
        self.free = False
        page.route(pattern, self._take)

    def _take(self, route: Any) -> None:
        self.routes.append(route)
        if self.free:
            route.continue_()

    def wait_for(self, count: int) -> None:
        """Wait until so many are held."""
        for _ in range(600):
            if len(self.routes) >= count:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never asked {count} times: {self.pattern}")

    def let_go(self) -> None:
        """Let all of them go on, and those that come."""
        self.free = True
        for route in list(self.routes):
            route.continue_()


def test_what_is_chosen_while_another_case_is_loaded_is_what_is_shown(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    held = Held(window.page, re.compile("/api/cases/phantom_0[13]/mask"))
    cases = window.page.get_by_role("region", name="Cases")
    cases.get_by_role("button", name="phantom_03").click()
    held.wait_for(1)
    cases.get_by_role("button", name="phantom_02").click()
    window.wait_for_case("phantom_02")
    window.wait_until_shown()
    cases.get_by_role("button", name="phantom_03").click()
    window.tab("Support")
    window.page.wait_for_selector("#ct:not([disabled])")
    support = window.page.evaluate("fetch('/api/support').then((r) => r.text())")
    key = re.search(r'"key":"(\w{24})"', support)
    assert key is not None
    window.until(f"document.querySelector('#gl').dataset.shown === '{key[1]}'")
    held.let_go()
    window.page.wait_for_load_state("networkidle")
    assert window.page.evaluate("document.querySelector('#gl').dataset.shown") == key[1]
    window.tab("Review")
    window.wait_for_case("phantom_03")
    window.wait_until_shown()


def test_keys_that_come_too_early_decide_nothing(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    window.wait_until_shown()
    held = Held(window.page, "**/decision")
    window.press("a")
    held.wait_for(1)
    window.press("x", "x")
    held.let_go()
    window.wait_for_case("phantom_02")
    window.wait_until_shown()
    assert len(held.routes) == 1
    assert states(study) == {"phantom_01": "accepted", "phantom_02": "pending", "phantom_03": "pending"}


def test_strokes_that_follow_each_other_quickly_are_all_there(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    window.wait_until_shown()
    window.press("c")
    window.page.wait_for_selector("#painting:not([hidden])")
    held = Held(window.page, "**/paint")
    window.draw((0.2, 0.4), (0.22, 0.4))
    held.wait_for(1)
    window.draw((0.3, 0.55), (0.32, 0.55))
    mouse = window.page.mouse
    mouse.move(*window.place(0.4, 0.4))
    mouse.down()
    mouse.move(*window.place(0.42, 0.4), steps=3)
    held.let_go()  # the first two are answered in the middle of the third
    window.page.wait_for_load_state("networkidle")
    mouse.up()
    window.page.wait_for_load_state("networkidle")
    window.until(
        "JSON.parse(localStorage.getItem(Object.keys(localStorage).find((k) => k.includes('strokes')))).length === 0"
    )
    for _ in range(3):
        window.wait_until_shown()
        window.press("u")
    window.wait_until_shown()
    window.until("!document.querySelector('#side').innerText.includes('There is a correction')")
    assert not study.case("phantom_01").edited_mask.exists()


def test_a_large_ct_is_shown_by_the_voxel(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    window.open(serve(study.root, large_voxels=9_000).address)
    window.wait_for_case("phantom_01")
    window.until("document.querySelector('#gl').dataset.whole === document.querySelector('#gl').dataset.shown")
    hu = np.rint(read_volume(StudyDescription.read(study).cases[0].source).array)
    window.page.locator("#gl").focus()
    places = []
    for key in ("PageUp", "PageDown", "ArrowRight", "ArrowUp", "ArrowUp"):
        window.press("1", key)
        text = window.page.locator("#where").inner_text()
        found = re.search(r"x (\d+), y (\d+), z (\d+) · (-?\d+) HU", text)
        assert found is not None, text
        x, y, z, value = map(int, found.groups())
        assert value == hu[z, y, x]
        places.append((z, y, x))
    assert np.abs(np.diff(places, axis=0)).sum(axis=1).tolist() == [1, 1, 1, 1]
    window.shot("large")


def test_two_tabs_show_the_same(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    served = serve(study.root)
    window.open(served.address)
    other = Window(window.page.context.new_page())
    other.open(f"http://127.0.0.1:{served.port}/")
    other.wait_for_case("phantom_01")
    window.wait_for_case("phantom_01")
    window.press("a")
    window.wait_for_case("phantom_02")
    other.page.locator("tr", has_text="phantom_01").get_by_text("accepted").wait_for()
    window.press("r")
    window.page.wait_for_selector("#painting:not([hidden])")
    other.press("n")
    other.wait_for_case("phantom_02")
    window.draw(MIDDLE, (0.34, 0.5))
    window.wait_for_message("phantom_02: ")
    other.page.get_by_text("There is a correction").wait_for()
    other.wait_until_shown()
    other.press("a")
    other.wait_for_case("phantom_03")
    assert states(study)["phantom_02"] == "edited"
    assert other.troubles == []


def test_a_comment_is_kept_when_the_tab_is_closed(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    served = serve(study.root)
    window.open(served.address)
    window.wait_for_case("phantom_01")
    window.page.get_by_label("Comment").fill("seen")
    window.page.close(run_before_unload=True)
    again = Window(window.page.context.new_page())
    again.open(f"http://127.0.0.1:{served.port}/")
    again.wait_for_case("phantom_01")
    again.until("document.querySelector('#comment').value === 'seen'")


def test_a_reload_in_mid_stroke_loses_nothing(study: StudyPaths, serve: Callable[..., Served], window: Window) -> None:
    window.open(serve(study.root).address)
    window.wait_for_case("phantom_01")
    window.press("c")
    window.page.wait_for_selector("#painting:not([hidden])")
    mouse = window.page.mouse
    mouse.move(*window.place(0.25, 0.4))
    mouse.down()
    mouse.move(*window.place(0.3, 0.4), steps=5)
    window.page.reload()
    window.page.wait_for_selector("body[data-ready]")
    window.page.get_by_text("There is a correction").wait_for()
    before = read_label_map(study.case("phantom_01").pseudo_mask).volume.array
    assert (read_label_map(study.case("phantom_01").edited_mask).volume.array != before).any()


def test_a_server_that_was_killed_loses_nothing(
    study: StudyPaths, serve: Callable[..., Served], window: Window
) -> None:
    served = serve(study.root)
    window.open(served.address)
    window.wait_for_case("phantom_01")
    window.press("a")
    window.wait_for_case("phantom_02")
    window.press("c")
    window.page.wait_for_selector("#painting:not([hidden])")
    window.no_troubles += CUT_SHORT
    served.kill()
    window.draw((0.25, 0.4), (0.3, 0.4))
    window.wait_for_message("Nothing is lost")
    window.shot("09-gone")
    assert not study.case("phantom_02").edited_mask.exists()
    window.open(served.again())
    window.wait_for_message("What the server had not got yet is there now.")
    assert study.case("phantom_02").edited_mask.is_file()
    assert states(study)["phantom_01"] == "accepted"


def test_a_run_is_cancelled_and_leaves_what_was_done(
    tiny: TinyBatch, serve: Callable[..., Served], window: Window, tmp_path: Path, study: StudyPaths
) -> None:
    window.open(serve(study.root, "--weights", tiny.weights).address)
    window.wait_for_case("phantom_01")
    window.page.get_by_role("button", name="propagate again").click()
    window.page.get_by_role("button", name="Cancel").click()
    window.wait_for_message(re.compile("Cancelled").pattern)
    wait_until_over(window)
    assert len(states(study) or {"": ""}) >= 1
