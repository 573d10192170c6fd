"""The review ledger: decisions survive reruns, hostile text, broken files and a second writer."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from OneShotSegLib.errors import InputError
from OneShotSegLib.study import review
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.study.quality import CaseQuality
from OneShotSegLib.study.review import ReviewEntry, ReviewLedger, ledger_on_disk

HEADER = "case,state,score,comment,time\n"


def quality(case: str, score: float = 0.5) -> CaseQuality:
    return CaseQuality(case=case, score=score, structures=())


def ledger(path: Path, *cases: str) -> ReviewLedger:
    made = ReviewLedger.load(path)
    made.ensure_cases(quality(case) for case in cases)
    made.save()
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "review.csv"


def test_a_missing_file_is_an_empty_ledger_and_is_not_created_by_reading(path: Path) -> None:
    assert len(ReviewLedger.load(path)) == 0
    assert not path.exists()


def test_new_cases_are_pending_with_their_score(path: Path) -> None:
    ledger(path, "pt_1", "pt_2")
    assert path.read_text(encoding="utf-8") == HEADER + "pt_1,pending,0.5,,\npt_2,pending,0.5,,\n"


def test_a_decision_is_there_again_after_loading(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "rejected", "leaks into the airway, see slice 40\nand 41")
    made.save()
    entry = ReviewLedger.load(path)["pt_1"]
    assert (entry.state, entry.comment) == ("rejected", "leaks into the airway, see slice 40\nand 41")
    assert entry.time.endswith("+00:00")


def test_a_rerun_updates_scores_and_keeps_decisions(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "accepted", "good")
    made.save()
    rerun = ReviewLedger.load(path)
    rerun.ensure_cases([quality("pt_1", 0.91), quality("pt_2", 0.2)])
    rerun.save()
    again = ReviewLedger.load(path)
    assert (again["pt_1"].state, again["pt_1"].comment, again["pt_1"].score) == ("accepted", "good", 0.91)
    assert again["pt_2"].state == "pending"


def test_a_decision_without_comment_keeps_the_comment_of_before(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "rejected", "cut")
    assert made.decide("pt_1", "accepted").comment == "cut"


def test_a_saved_correction_is_never_passed_over(path: Path) -> None:
    made = ledger(path, "pt_1")
    files = StudyPaths(path.parent).case("pt_1")
    files.folder.mkdir(parents=True)
    assert made.decide("pt_1", "accepted").state == "accepted"
    files.edited_mask.write_bytes(b"")
    assert made.decide("pt_1", "accepted", "good").state == "edited"
    assert made.decide("pt_1", "rejected").state == "rejected"
    made.save()
    files.edited_mask.unlink()
    assert ReviewLedger.load(path).decide("pt_1", "accepted").state == "accepted"


def test_undo_takes_back_decision_after_decision(path: Path) -> None:
    made = ledger(path, "pt_1", "pt_2")
    made.decide("pt_1", "accepted")
    made.decide("pt_2", "rejected")
    assert made.can_undo
    undone = made.undo()
    assert undone is not None
    assert undone.case == "pt_2"
    assert made["pt_2"].state == "pending"
    made.undo()
    assert made["pt_1"].state == "pending"
    assert made.undo() is None


def test_undo_after_saving_reaches_the_file(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "accepted")
    made.save()
    made.undo()
    assert made.save() == ()
    assert ReviewLedger.load(path)["pt_1"].state == "pending"


def test_undo_keeps_a_score_that_came_since(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "accepted")
    made.ensure_cases([quality("pt_1", 0.8)])
    made.undo()
    assert made["pt_1"].score == 0.8


def test_counts_name_every_state(path: Path) -> None:
    made = ledger(path, "pt_1", "pt_2")
    made.decide("pt_1", "edited")
    assert made.counts() == {"pending": 1, "accepted": 0, "rejected": 0, "edited": 1}


def test_a_case_or_state_that_does_not_exist_is_refused(path: Path) -> None:
    made = ledger(path, "pt_1")
    with pytest.raises(InputError, match="pt_9: expected a case of this study"):
        made.decide("pt_9", "accepted")
    with pytest.raises(InputError, match="expected a state of pending"):
        made.decide("pt_1", "superb")  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''@x", "'plain", "＝1"])
def test_formulas_do_not_reach_a_spreadsheet_and_come_back_unchanged(path: Path, text: str) -> None:
    made = ledger(path, text)
    made.decide(text, "accepted", text)
    made.save()
    cells = path.read_text(encoding="utf-8").split("\n", 1)[1]
    assert cells.lstrip('"')[0] == "'"
    assert ReviewLedger.load(path)[text].comment == text


def test_a_ledger_saved_by_a_spreadsheet_is_read(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.replace(",", ";").encode() + b"pt_1;Accepted;0,75;gut;\r\n")
    entry = ReviewLedger.load(path)["pt_1"]
    assert (entry.state, entry.score, entry.comment) == ("accepted", 0.75, "gut")


def test_columns_that_someone_added_stay(path: Path) -> None:
    path.write_text("case,state,score,comment,time,reader\npt_1,pending,0.5,,,Dr. A\n", encoding="utf-8")
    made = ReviewLedger.load(path)
    made.decide("pt_1", "accepted")
    made.save()
    assert ReviewLedger.load(path)["pt_1"].extra == {"reader": "Dr. A"}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "expected the columns"),
        (b"case,state\npt_1,pending\n", "found none named score, comment, time"),
        (HEADER.encode() + b"pt_1,pending,0.5\n", "line 2: expected 5 cells, found 3"),
        (HEADER.encode() + b"pt_1,great,0.5,,\n", "line 2: expected a state"),
        (HEADER.encode() + b"pt_1,pending,much,,\n", "line 2: expected a score"),
        (HEADER.encode() + b"pt_1,pending,nan,,\n", "line 2: expected a score"),
        (HEADER.encode() + b"pt_1,pending,0.5,,yesterday\n", "line 2: expected an ISO 8601 time"),
        (HEADER.encode() + b",pending,0.5,,\n", "line 2: expected the name of a case"),
        (HEADER.encode() + b"a,pending,,,\na,pending,,,\n", "line 3: expected each case once"),
        (HEADER.encode() + b'pt_1,pending,0.5,"open\n', "cannot be read as one"),
        (b"\xff\xfe\x00", "cannot be read as one"),
    ],
)
def test_a_broken_ledger_is_refused_in_one_sentence_and_left_as_it_is(
    path: Path, content: bytes, sentence: str
) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        ReviewLedger.load(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_ledger_broken_meanwhile_is_not_written_over_and_the_decision_stays(path: Path) -> None:
    made = ledger(path, "pt_1")
    made.decide("pt_1", "accepted")
    path.write_text("gone", encoding="utf-8")
    with pytest.raises(InputError):
        made.save()
    assert path.read_text(encoding="utf-8") == "gone"
    assert made["pt_1"].state == "accepted"


def test_two_writers_keep_each_others_decisions_and_scores(path: Path) -> None:
    ledger(path, "pt_1", "pt_2")
    reviewer, other, rerun = (ReviewLedger.load(path) for _ in range(3))
    reviewer.decide("pt_1", "accepted")
    other.decide("pt_2", "rejected", "cut")
    rerun.ensure_cases([quality("pt_1", 0.9), quality("pt_3")])
    assert [writer.save() for writer in (reviewer, other, rerun)] == [(), (), ()]
    final = ReviewLedger.load(path)
    assert [(e.case, e.state, e.score) for e in final] == [
        ("pt_1", "accepted", 0.9),
        ("pt_2", "rejected", 0.5),
        ("pt_3", "pending", 0.5),
    ]


def test_the_later_of_two_decisions_stays_and_the_other_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger(path, "pt_1")
    early, late = ReviewLedger.load(path), ReviewLedger.load(path)
    monkeypatch.setattr(review, "_now", lambda: "2026-01-01T10:00:00+00:00")
    early.decide("pt_1", "accepted", "fine")
    monkeypatch.setattr(review, "_now", lambda: "2026-01-01T10:00:05+00:00")
    late.decide("pt_1", "rejected")
    late.save()
    (note,) = early.save()
    assert "kept 'rejected'" in note
    assert "over 'accepted' (fine)" in note
    assert ReviewLedger.load(path)["pt_1"].state == "rejected"


def test_a_failed_write_leaves_the_old_file_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ledger(path, "pt_1")
    before = path.read_bytes()
    made.decide("pt_1", "accepted")

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        made.save()
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["review.csv"]


def test_a_ledger_takes_in_what_others_decided_without_writing(tmp_path: Path) -> None:
    path = tmp_path / "review.csv"
    ours, theirs = ReviewLedger(path), ReviewLedger(path)
    for one in (ours, theirs):
        one.ensure_cases(map(quality, ("a", "b")))
    theirs.decide("a", "rejected", "blurred")
    theirs.save()
    written = path.read_bytes()
    ours.decide("b", "accepted")
    assert ours.refresh() == ()
    assert (ours.state_of("a"), ours["a"].comment, ours.state_of("b")) == ("rejected", "blurred", "accepted")
    assert path.read_bytes() == written
    ours.save()
    again = ReviewLedger.load(path)
    assert (again.state_of("a"), again.state_of("b")) == ("rejected", "accepted")


def test_decisions_that_several_programs_save_at_once_are_all_kept(tmp_path: Path) -> None:
    path, names = tmp_path / "review.csv", [f"case_{number}" for number in range(8)]
    first = ReviewLedger(path)
    first.ensure_cases(map(quality, names))
    first.save()
    ledgers = [ReviewLedger.load(path) for _ in names]
    for one, name in zip(ledgers, names, strict=True):
        one.decide(name, "accepted")
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(ReviewLedger.save, ledgers))
    assert ReviewLedger.load(path).counts()["accepted"] == len(names)


def test_decisions_on_structures_are_kept_merged_and_taken_back(path: Path) -> None:
    made = ledger(path, "pt_1", "pt_2")
    made.decide_structure("pt_1", 'Parotid, left; the "big" one', "rejected")
    made.decide_structure("pt_1", "Mandible", "doubtful")
    made.save()
    again = ReviewLedger.load(path)
    assert again.structures_of("pt_1") == {'Parotid, left; the "big" one': "rejected", "Mandible": "doubtful"}
    assert again["pt_1"].state == "pending"
    # Another writer decides on the case meanwhile; what one side alone changed stays.
    other = ReviewLedger.load(path)
    other.decide("pt_2", "accepted")
    other.save()
    again.decide_structure("pt_1", "Mandible", None)
    again.save()
    assert ReviewLedger.load(path)["pt_2"].state == "accepted"
    assert list(ReviewLedger.load(path).structures_of("pt_1")) == ['Parotid, left; the "big" one']
    again.undo()
    again.save()
    assert ReviewLedger.load(path).structures_of("pt_1")["Mandible"] == "doubtful"
    with pytest.raises(InputError, match="expected a decision"):
        again.decide_structure("pt_1", "Mandible", "fine")  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["[1]", "{", '{"Mandible": "good"}', '{"Mandible": ["rejected"]}'])
def test_broken_decisions_on_structures_are_refused_with_their_line(path: Path, cell: str) -> None:
    quoted = cell.replace('"', '""')
    path.write_text(f'{HEADER[:-1]},structures\np,pending,,,,"{quoted}"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"review\.csv, line 2: expected structures"):
        ReviewLedger.load(path)


def test_a_ledger_is_read_again_only_where_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch asks before each case what was decided: reading all rows each time would be quadratic."""
    path = tmp_path / "review.csv"
    assert ledger_on_disk(path).state_of("pt_0") == "pending"
    ledger = ReviewLedger(path, [ReviewEntry(case=f"pt_{number}") for number in range(50)])
    ledger.save()
    reads: list[Path] = []
    real = ReviewLedger.load

    def load(path: Path) -> ReviewLedger:
        reads.append(path)
        return real(path)

    monkeypatch.setattr(ReviewLedger, "load", load)
    assert {ledger_on_disk(path).state_of(f"pt_{number}") for number in range(50)} == {"pending"}
    assert len(reads) == 1
    ledger.decide("pt_7", "rejected")
    ledger.save()
    assert ledger_on_disk(path).state_of("pt_7") == "rejected"
    assert ledger_on_disk(path).state_of("pt_8") == "pending"
    assert len(reads) == 2
    path.unlink()
    assert ledger_on_disk(path).state_of("pt_7") == "pending"


ROWS = "case,state,score,comment,time\n001,accepted,0.5,,2026-01-02T03:04:05+00:00\nMüller,rejected,0.25,,\n"
SPREADSHEETS = {
    "a byte order mark": b"\xef\xbb\xbf" + ROWS.encode(),
    "semicolons and a decimal comma": ROWS.replace(",", ";").replace("0.5", "0,5").encode(),
    "UTF-16 with tabs": ROWS.replace(",", "\t").encode("utf-16"),
    "a line that names the delimiter": b"sep=;\r\n" + ROWS.replace(",", ";").replace("\n", "\r\n").encode(),
    "rows without text": (ROWS + ",,,,\n\n , ,,,\n").encode(),
    "columns without text": "".join(f"{line},,\n" for line in ROWS.splitlines()).encode(),
    "another form of letters with accents": ROWS.replace("ü", "u\u0308").encode(),
    "blanks around names": ROWS.replace("001", " 001 ").replace("Müller", "Müller ").encode(),
    "line ends of old Macs": ROWS.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_a_ledger_that_a_spreadsheet_saved_has_the_same_decisions(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    found = ReviewLedger.load(path)
    assert [(entry.case, entry.state) for entry in found] == [("001", "accepted"), ("Müller", "rejected")]
    assert found["001"].score == 0.5
    assert not found.decisions_on_no_case(["001", "Müller"])


def test_decisions_on_names_that_a_spreadsheet_changed_are_told(path: Path) -> None:
    path.write_text(ROWS.replace("001", "1") + "03. Mrz,edited,,,\nold,pending,,,\n", encoding="utf-8")
    said = ReviewLedger.load(path).decisions_on_no_case(["001", "Müller", "3-3"])
    assert said == "review.csv has decisions on no case of this study, not used: '1' accepted, '03. Mrz' edited."
