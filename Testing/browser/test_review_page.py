"""The review in the page: the study's own ledger, the panel's order, the mask that is on the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from starlette.routing import Route

from OneShotSegLib.imaging.files import read_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.interface.review_keys import REVIEW_KEYS
from OneShotSegLib.study.decisions import Decisions, decide
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.readers import reader_paths
from OneShotSegLib.study.review import ReviewLedger
from Testing.browser.client import EVENTS, ORIGIN, Page, stroke, unpacked
from Testing.browser.conftest import Open

CASES = ["phantom_01", "phantom_02", "phantom_03"]


def state_of(study: StudyPaths, case: str, reader: str = "") -> str:
    return ReviewLedger.load(reader_paths(study, reader).review).state_of(case)


def counting(study: StudyPaths, case: str, name: str = "edited.seg.nrrd") -> np.ndarray:
    return read_label_map(study.case(case).folder / name).volume.array


def test_the_doubtful_come_first_with_the_panel_s_keys(page: Page) -> None:
    state = page.state()
    assert [row["case"] for row in state["rows"]] == CASES
    assert state["keys"] == REVIEW_KEYS
    assert state["rows"][0]["order"][0] == state["rows"][0]["worst"] == "Brainstem"


def test_a_case_comes_as_it_is_on_disk(page: Page, study: StudyPaths) -> None:
    image = page.get("/api/cases/phantom_01/image").json()
    file = page.get(image["steps"][-1]["url"])
    assert "content-encoding" not in file.headers  # packing takes longer than sending
    part = page.client.get(image["steps"][-1]["url"], headers={"range": "bytes=352-451"})
    assert (part.status_code, part.content) == (206, file.content[352:452])
    sent = study.root.parent / "sent.nii"
    sent.write_bytes(file.content)
    ct, own = read_volume(sent), read_volume(page.app.state.desk.case("phantom_01").source)
    assert ct.same_grid(own)
    assert np.array_equal(ct.array, np.rint(own.array))
    assert np.array_equal(page.mask("phantom_01"), counting(study, "phantom_01", "pseudo.seg.nrrd"))
    described, _voxels = unpacked(page.get("/api/cases/phantom_01/mask"))
    assert described["version"] == page.row("phantom_01")["version"]
    for name, (z, y, x) in described["centres"].items():
        value = next(one["value"] for one in described["segments"] if one["name"] == name)
        assert page.mask("phantom_01")[round(z), round(y), round(x)] == value


def test_decisions_are_in_the_ledger_at_once_and_can_be_taken_back(page: Page, study: StudyPaths) -> None:
    assert page.decide("phantom_01", "accept").json()["next"] == "phantom_02"
    assert page.decide("phantom_02", "reject").json()["next"] == "phantom_03"
    assert [state_of(study, case) for case in CASES] == ["accepted", "rejected", "pending"]
    assert unpacked(page.post("/api/undo", case="phantom_03"))[0]["case"] == "phantom_02"
    assert unpacked(page.post("/api/undo", case=""))[0]["case"] == "phantom_01"
    assert [state_of(study, case) for case in CASES] == ["pending"] * 3
    assert "nothing" in unpacked(page.post("/api/undo", case=""))[0]["text"]


def test_what_is_not_on_the_screen_is_not_decided(page: Page, study: StudyPaths) -> None:
    seen = page.row("phantom_01")["version"]
    corrected = read_label_map(study.case("phantom_01").pseudo_mask)
    write_label_map(corrected, study.case("phantom_01").edited_mask)  # the panel corrects it meanwhile
    answer = page.post("/api/cases/phantom_01/decision", do="accept", seen=seen)
    assert answer.status_code == 409
    assert "look before you decide" in answer.json()["error"]
    assert state_of(study, "phantom_01") == "pending"
    assert page.decide("phantom_01", "accept").status_code == 200
    assert state_of(study, "phantom_01") == "edited"


def test_single_structures_are_decided(page: Page, study: StudyPaths) -> None:
    seen = page.row("phantom_01")["version"]
    body = {"structure": "Brainstem", "decision": "rejected", "seen": seen}
    assert page.post("/api/cases/phantom_01/structure", **body).json()["next"] == page.row("phantom_01")["order"][1]
    assert ReviewLedger.load(study.review).structures_of("phantom_01") == {"Brainstem": "rejected"}
    assert page.row("phantom_01")["decisions"]["Brainstem"] == "rejected"
    page.post("/api/cases/phantom_01/structure", **body)
    assert ReviewLedger.load(study.review).structures_of("phantom_01") == {}
    for wrong in ({"structure": "Nose"}, {"decision": "fine"}, {"seen": "another"}):
        assert page.post("/api/cases/phantom_01/structure", **(body | wrong)).status_code == 409


def test_a_case_that_cannot_be_read_can_be_rejected(page: Page, study: StudyPaths) -> None:
    study.case("phantom_02").pseudo_mask.write_bytes(b"no mask")
    assert page.get("/api/cases/phantom_02/mask").status_code == 409
    answer = page.post("/api/cases/phantom_02/decision", do="reject", seen="", unreadable=True)
    assert answer.status_code == 200
    assert state_of(study, "phantom_02") == "rejected"


def test_shell_and_page_are_open_on_one_study_at_once(page: Page, study: StudyPaths) -> None:
    page.decide("phantom_01", "accept")
    decide(study, Decisions(reject=["phantom_02"], comment="by shell"))
    assert page.row("phantom_02")["state"] == "rejected"
    assert page.row("phantom_02")["comment"] == "by shell"
    page.decide("phantom_03", "accept")
    assert [state_of(study, case) for case in CASES] == ["accepted", "rejected", "accepted"]


def test_two_tabs_hear_of_each_other(page: Page) -> None:
    with page.client.websocket_connect(EVENTS, headers={"origin": ORIGIN}) as other:
        assert other.receive_json()["kind"] == "hello"
        page.decide("phantom_01", "accept")
        told = other.receive_json()
        assert told["kind"] == "rows"
        assert next(row for row in told["rows"] if row["case"] == "phantom_01")["state"] == "accepted"


def test_a_comment_stays_with_the_decision(page: Page, study: StudyPaths) -> None:
    text = "<script>alert(1)</script> =HYPERLINK(1)"
    assert page.post("/api/cases/phantom_01/comment", text=text).status_code == 200
    assert page.row("phantom_01")["comment"] == text
    page.decide("phantom_01", "accept")
    assert ReviewLedger.load(study.review)["phantom_01"].comment == text


@pytest.mark.parametrize("body", [{}, {"do": "dance", "seen": ""}, {"do": 3}, {"do": "accept", "seen": None}])
def test_what_is_no_decision_is_refused_in_a_sentence(page: Page, body: dict[str, object]) -> None:
    answer = page.post("/api/cases/phantom_01/decision", **body)
    assert answer.status_code == 409
    assert "expected" in answer.json()["error"]


def test_a_stroke_regrows_the_mask_and_is_the_correction(page: Page, study: StudyPaths) -> None:
    before = page.mask("phantom_01")
    brainstem = np.argwhere(before == 1)
    z, y, x = (float(at) for at in np.median(brainstem, axis=0))
    page.decide("phantom_01", "accept")
    painted = stroke(page.state()["strokes"][-1]["value"], (z, y, x), (z, y, x + 1))  # the background's
    described, part = unpacked(page.post("/api/cases/phantom_01/stroke", stroke=painted, id="one"))
    assert "saved as its correction" in described["text"]
    after = before.copy()
    after[tuple(slice(a, b) for a, b in described["box"])] = part
    assert (after == 1).sum() < (before == 1).sum()
    assert np.array_equal(counting(study, "phantom_01"), after)
    assert np.array_equal(page.mask("phantom_01"), after)
    assert study.case("phantom_01").strokes.is_file()
    assert state_of(study, "phantom_01") == "pending"  # it is open again
    assert described["version"] == page.row("phantom_01")["version"]

    again, _ = unpacked(page.post("/api/cases/phantom_01/stroke", stroke=painted, id="one"))
    assert "box" not in again  # a page that got no answer sends it once more
    undone, _ = unpacked(page.post("/api/undo", case="phantom_01"))
    assert "taken back" in undone["text"]
    assert np.array_equal(page.mask("phantom_01"), before)
    assert not study.case("phantom_01").edited_mask.exists()  # nothing is left of it


def test_filling_between_slices_and_ranges_are_strokes_like_others(page: Page, study: StudyPaths) -> None:
    case = "phantom_01"
    _depth, height, width = page.mask(case).shape
    middle = (height / 2, width / 2)
    for slice_ in (2.0, 6.0):
        unpacked(page.post(f"/api/cases/{case}/paint", stroke=stroke(1, (slice_, *middle), width_mm=40.0)))
    before = page.mask(case)
    between = {**stroke(1), "kind": "between"}
    unpacked(page.post(f"/api/cases/{case}/paint", stroke=between))
    filled = page.mask(case)
    assert (filled[4] == 1).sum() > (before[4] == 1).sum()
    again = page.post(f"/api/cases/{case}/paint", stroke=between)
    assert again.status_code == 409
    assert "empty slices" in again.json()["error"]
    unpacked(page.post("/api/undo", case=case))
    assert np.array_equal(page.mask(case), before)
    refused = page.post(f"/api/cases/{case}/stroke", stroke=between)
    assert refused.status_code == 409
    ranged = {**stroke(2, (4.0, *middle), width_mm=60.0), "kind": "ball", "within": [200, 3000]}
    unpacked(page.post(f"/api/cases/{case}/paint", stroke=ranged))
    hu = read_volume(page.app.state.desk.case(case).source).array
    changed = page.mask(case) != before
    assert changed.any()
    assert (np.rint(hu[changed]) >= 200).all()
    read_label_map(study.case(case).edited_mask)  # whole on disk


def test_painted_voxels_are_the_mask_and_can_be_taken_back(page: Page, study: StudyPaths) -> None:
    before = page.mask("phantom_01")
    painted = stroke(2, (3.0, 5.0, 5.0), (3.0, 5.0, 9.0), width_mm=1.0)
    unpacked(page.post("/api/cases/phantom_01/paint", stroke=painted))
    mask = counting(study, "phantom_01")
    assert (mask[3, 5, 5:10] == 2).all()
    assert (mask != before).sum() == ((mask == 2) & (before != 2)).sum() <= 5
    unpacked(page.post("/api/cases/phantom_01/paint", stroke={**painted, "value": 0}))
    assert not counting(study, "phantom_01")[3, 5, 5:10].any()
    for expected in (mask, before):
        unpacked(page.post("/api/undo", case="phantom_01"))
        assert np.array_equal(page.mask("phantom_01"), expected)
    assert not study.case("phantom_01").edited_mask.exists()


def test_strokes_outside_the_ct_and_of_no_structure_are_refused(page: Page) -> None:
    for painted in (stroke(1, (500.0, 1.0, 1.0)), stroke(77, (3.0, 5.0, 5.0))):
        answer = page.post("/api/cases/phantom_01/stroke", stroke=painted)
        assert answer.status_code == 409
        assert "xpected" in answer.json()["error"]


def test_read_only_changes_nothing(open_page: Open, study: StudyPaths) -> None:
    page = open_page(read_only=True)
    before = {path: path.read_bytes() for path in study.root.rglob("*") if path.is_file()}
    version = page.row("phantom_01")["version"]
    painted = stroke(1, (3.0, 5.0, 5.0))
    for path, body in (
        ("/api/cases/phantom_01/decision", {"do": "accept", "seen": version}),
        ("/api/cases/phantom_01/comment", {"text": "a"}),
        ("/api/cases/phantom_01/structure", {"structure": "Brainstem", "decision": "rejected", "seen": version}),
        ("/api/cases/phantom_01/stroke", {"stroke": painted}),
        ("/api/cases/phantom_01/paint", {"stroke": painted}),
        ("/api/cases/phantom_01/prepare", {}),
        ("/api/undo", {"case": ""}),
        ("/api/support/stroke", {"stroke": painted}),
        ("/api/support/choose", {"number": 0}),
        ("/api/support/structures", {"names": "a"}),
        ("/api/support/undo", {}),
        ("/api/support/grow", {}),
        ("/api/propagate", {}),
        ("/api/cancel", {}),
        ("/api/export", {"format": "zip"}),
        ("/api/report", {}),
    ):
        assert page.post(path, **body).status_code == 403, path
    assert page.mask("phantom_01").any()
    assert {path: path.read_bytes() for path in study.root.rglob("*") if path.is_file()} == before


def test_every_action_is_refused_by_a_page_that_is_read_only(open_page: Open) -> None:
    from OneShotSegLib.browser import review_routes, run_routes, support_routes

    page = open_page(read_only=True)
    routes = [*review_routes.ROUTES, *support_routes.ROUTES, *run_routes.ROUTES]
    actions = [route.path for route in routes if isinstance(route, Route) and "POST" in (route.methods or ())]
    assert len(actions) > 12
    for path in actions:
        assert page.post(path.replace("{case}", "phantom_01")).status_code == 403, path


def test_a_reader_s_decisions_and_corrections_are_kept_apart(open_page: Open, study: StudyPaths) -> None:
    own, ann = open_page(), open_page(reader="ann")
    own.decide("phantom_01", "accept")
    ann.decide("phantom_01", "reject")
    unpacked(ann.post("/api/cases/phantom_02/paint", stroke=stroke(1, (3.0, 5.0, 5.0))))
    ann.decide("phantom_02", "accept")
    own.decide("phantom_02", "accept")
    assert [state_of(study, case) for case in CASES] == ["accepted", "accepted", "pending"]
    assert [state_of(study, case, "ann") for case in CASES] == ["rejected", "edited", "pending"]
    assert not study.case("phantom_02").edited_mask.exists()
    assert (study.root / "readers" / "ann" / "cases" / "phantom_02" / "edited.seg.nrrd").is_file()
    assert not np.array_equal(own.mask("phantom_02"), ann.mask("phantom_02"))
    assert ann.post("/api/propagate").status_code == 403
    found = own.get("/api/readers").json()
    assert found["decisions"]["ann"]["phantom_01"]["state"] == "rejected"
    (pair,) = found["pairs"]
    assert (pair["first"], pair["second"], pair["cases"], pair["same"]) == ("", "ann", 2, 0)
    assert pair["masks"] == 1
    assert 0 < pair["dice"]["Brainstem"] < 1
    assert pair["dice"]["Mandible"] == 1


def test_a_reader_s_stroke_regrows_their_own_mask(open_page: Open, study: StudyPaths) -> None:
    ann = open_page(reader="ann")
    z, y, x = (float(at) for at in np.median(np.argwhere(ann.mask("phantom_01") == 1), axis=0))
    background = ann.state()["strokes"][-1]["value"]
    unpacked(ann.post("/api/cases/phantom_01/stroke", stroke=stroke(background, (z, y, x))))
    files = reader_paths(study, "ann").case("phantom_01")
    assert files.edited_mask.is_file()
    assert files.strokes.is_file()
    assert not study.case("phantom_01").edited_mask.exists()
    assert not study.case("phantom_01").strokes.exists()


def test_a_correction_of_other_voxels_is_shown_on_the_ct_s_grid(page: Page, study: StudyPaths) -> None:
    mask = read_label_map(study.case("phantom_01").pseudo_mask)
    part = mask.volume.array[2:-2]
    moved = mask.volume.to_world((2, 0, 0))
    volume = type(mask.volume).create(part, mask.volume.spacing, moved, mask.volume.direction)
    write_label_map(LabelMap(volume, mask.segments), study.case("phantom_01").edited_mask)
    shown, own = page.mask("phantom_01"), mask.volume.array.copy()
    own[:2] = own[-2:] = 0
    assert np.array_equal(shown, own)


def test_a_study_that_is_gone_is_said(page: Page, study: StudyPaths, tmp_path: Path) -> None:
    version = page.row("phantom_01")["version"]
    study.root.rename(tmp_path / "away")
    answer = page.post("/api/cases/phantom_01/decision", do="accept", seen=version)
    assert answer.status_code == 409
    assert "no longer there" in answer.json()["error"]
