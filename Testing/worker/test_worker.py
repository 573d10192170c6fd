"""The live worker: one answer to each request, whatever comes, and an end when its client is gone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from OneShotSegLib.imaging.files import write_volume
from OneShotSegLib.imaging.labelmaps import LabelMap, read_label_map, write_label_map
from OneShotSegLib.imaging.volume import Volume
from OneShotSegLib.study.layout import StudyPaths
from OneShotSegLib.worker import sessions
from OneShotSegLib.worker.client import WorkerClient, WorkerError
from OneShotSegLib.worker.requests import LONGEST_LINE, Request, RequestError
from OneShotSegLib.worker.server import Server
from Testing.helpers.small_study import BACKGROUND, CORD, GLAND, STROKE, STRUCTURES, write_small_study

SHAPE = (22, 60, 60)
LEAK = (slice(8, 14), slice(30, 36), slice(26, 34))
COMMAND = [sys.executable, "-m", "OneShotSegLib", "worker"]


def scan() -> Volume:
    """A bright cord and a bright block in grey tissue, in air."""
    hu = np.full(SHAPE, -1000, np.int16)
    hu[:, 5:55, 5:55] = -100
    hu[:, 10:52, 10:52] = 30
    hu[truth() > 0] = 150
    return Volume.create(hu, (3.0, 2.0, 2.0), (-40.0, 12.5, 7.25))


def truth() -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:, 20:25, 20:25] = CORD
    labels[6:16, 36:50, 26:44] = GLAND
    return labels


@pytest.fixture
def ct(tmp_path: Path) -> Path:
    write_volume(scan(), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


@pytest.fixture
def study(tmp_path: Path, ct: Path) -> StudyPaths:
    found = write_small_study(tmp_path / "study", {"pt_1": ct}, ("pending",))
    mask = truth()
    mask[LEAK] = GLAND
    write_label_map(LabelMap(scan().with_array(mask), STRUCTURES), found.case("pt_1").pseudo_mask)
    return found


@pytest.fixture
def scribbles(tmp_path: Path) -> Path:
    strokes = np.zeros(SHAPE, np.uint8)
    for z in (8, 11, 14):
        strokes[z, 22, 21:24] = CORD
        strokes[z, 42:44, 32:38] = GLAND
        strokes[z, 14:16, 12:48] = BACKGROUND
        strokes[z, 29, 12:48] = BACKGROUND
        strokes[z, 16:28, 14] = BACKGROUND
        strokes[z, 16:28, 31] = BACKGROUND
    write_label_map(LabelMap(scan().with_array(strokes), (*STRUCTURES, STROKE)), tmp_path / "scribbles.seg.nrrd")
    return tmp_path / "scribbles.seg.nrrd"


@pytest.fixture(scope="module")
def running() -> Iterator[WorkerClient]:
    with WorkerClient() as client:
        yield client


@pytest.fixture
def worker(running: WorkerClient) -> WorkerClient:
    """The worker, with nothing open."""
    running.ask("close")
    return running


def array_of_strokes(folder: Path, name: str = "strokes.npy") -> tuple[Path, list[list[int]]]:
    """Background in the leak, as an array of a part of the CT."""
    np.save(folder / name, np.full((1, 2, 4), BACKGROUND, np.uint8))
    return folder / name, [[11, 12], [32, 34], [28, 32]]


def test_a_case_regrows_is_undone_and_saved(worker: WorkerClient, study: StudyPaths, tmp_path: Path) -> None:
    opened = worker.ask("open_case", study=str(study.root), case="pt_1")
    assert (opened["case"], opened["shape"], opened["state"]) == ("pt_1", list(SHAPE), "pending")
    assert [s["name"] for s in opened["segments"]] == [*(s.name for s in STRUCTURES), "Background"]
    file, box = array_of_strokes(tmp_path)
    done = worker.ask("regrow", strokes=str(file), box=box, to=str(tmp_path / "mask.npy"))
    part = tuple(slice(a, b) for a, b in done["box"])
    found = read_label_map(study.case("pt_1").pseudo_mask).volume.array.copy()
    before = found.copy()
    found[part] = np.load(tmp_path / "mask.npy")
    assert done["changed_voxels"] == (found != before).sum() > 0
    assert done["changed_ml"]["Drüse links"] < 0
    assert (found[LEAK] == GLAND).mean() < 0.15
    assert not study.case("pt_1").edited_mask.exists()
    again = worker.ask("regrow", strokes=str(file), box=box)
    assert again["changed_voxels"] == 0
    worker.ask("save")
    np.testing.assert_array_equal(read_label_map(study.case("pt_1").edited_mask).volume.array, found)
    assert read_label_map(study.case("pt_1").strokes).volume.array.any()
    undone = worker.ask("undo", to=str(tmp_path / "back.npy"))
    found[tuple(slice(a, b) for a, b in undone["box"])] = np.load(tmp_path / "back.npy")
    np.testing.assert_array_equal(found, before)
    with pytest.raises(WorkerError, match="Expected a stroke to take back"):
        worker.ask("undo")
    # With the last stroke its correction goes, and none is left to be discarded.
    assert worker.ask("save")["mask"] == str(study.case("pt_1").pseudo_mask)
    assert sorted(path.name for path in study.case("pt_1").folder.glob("*.seg.nrrd")) == ["pseudo.seg.nrrd"]


def test_strokes_of_one_sitting_leave_one_correction_and_what_others_wrote_stays(
    worker: WorkerClient, study: StudyPaths, tmp_path: Path
) -> None:
    files = study.case("pt_1")
    worker.ask("open_case", study=str(study.root), case="pt_1")
    file, box = array_of_strokes(tmp_path)
    worker.ask("regrow", strokes=str(file), box=box)
    worker.ask("save")
    worker.ask("save")
    assert not list(files.folder.glob("*discarded*"))
    # Another program wrote the correction meanwhile: it is kept, and undoing the stroke does not remove it.
    write_label_map(LabelMap(scan().with_array(truth()), STRUCTURES), files.edited_mask)
    worker.ask("undo")
    worker.ask("save")
    assert files.edited_mask.is_file()
    np.testing.assert_array_equal(read_label_map(files.folder / "edited.discarded.seg.nrrd").volume.array, truth())


def test_a_support_s_own_mask_grows_and_is_saved(
    worker: WorkerClient, ct: Path, scribbles: Path, tmp_path: Path
) -> None:
    assert worker.ask("open_support", ct=str(ct))["shape"] == list(SHAPE)
    done = worker.ask("grow", scribbles=str(scribbles), to=str(tmp_path / "own.seg.nrrd"))
    part = tuple(slice(a, b) for a, b in done["box"])
    shown = read_label_map(tmp_path / "own.seg.nrrd")
    assert {segment.name for segment in shown.segments} == {s.name for s in STRUCTURES}
    np.testing.assert_allclose(shown.volume.origin, scan().to_world([p.start for p in part]))
    assert set(done["volumes_ml"]) == {s.name for s in STRUCTURES}
    worker.ask("save", to=str(tmp_path / "whole.seg.nrrd"))
    whole = read_label_map(tmp_path / "whole.seg.nrrd").volume
    assert whole.same_grid(scan())
    np.testing.assert_array_equal(whole.array[part], shown.volume.array)
    gland, wanted = whole.array == GLAND, truth() == GLAND
    assert 2 * (gland & wanted).sum() / (gland.sum() + wanted.sum()) > 0.7


def test_arrays_of_scribbles_come_with_their_segments(
    worker: WorkerClient, ct: Path, scribbles: Path, tmp_path: Path
) -> None:
    worker.ask("open_support", ct=str(ct))
    file = worker.ask("grow", scribbles=str(scribbles), to=str(tmp_path / "a.npy"))
    np.save(tmp_path / "all.npy", read_label_map(scribbles).volume.array)
    segments = [{"value": s.value, "name": s.name} for s in (*STRUCTURES, STROKE)]
    array = worker.ask("grow", scribbles=str(tmp_path / "all.npy"), segments=segments, to=str(tmp_path / "b.npy"))
    assert file["volumes_ml"] == array["volumes_ml"]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_what_cannot_be_done_is_a_sentence_and_the_worker_goes_on(
    worker: WorkerClient, study: StudyPaths, ct: Path, tmp_path: Path
) -> None:
    def refused(sentence: str, do: str, **fields: Any) -> None:
        with pytest.raises(WorkerError, match=sentence):
            worker.ask(do, **fields)

    refused("open_case or open_support comes first", "regrow", strokes="x")
    refused("do: expected one of", "dance")
    refused("expected a study", "open_case", study=str(tmp_path / "none"), case="pt_1")
    refused("study: expected a text", "open_case", study=3, case="pt_1")
    refused("no such file", "open_support", ct=str(tmp_path / "none.nii.gz"))
    refused("comes first", "grow", scribbles="x")
    worker.ask("open_case", study=str(study.root), case="pt_1")
    refused("strokes: expected a text", "regrow")
    refused("no such file", "regrow", strokes=str(tmp_path / "none.seg.nrrd"))
    refused("expected a NumPy array", "regrow", strokes=str(tmp_path / "none.npy"))
    file, box = array_of_strokes(tmp_path)
    refused("expected an array of uint8 of the box's shape", "regrow", strokes=str(file), box=[[0, 3], [0, 3], [0, 3]])
    refused("box: expected three ranges", "regrow", strokes=str(file), box=[[0, 300], [0, 3], [0, 3]])
    refused("box: expected three ranges", "regrow", strokes=str(file), box="all")
    refused("do: expected regrow, undo or save", "grow", scribbles="x")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    refused("expected a NumPy array", "regrow", strokes=str(tmp_path / "objects.npy"), box=box)
    (tmp_path / "a file").write_text("")
    refused("a file", "regrow", strokes=str(file), box=box, to=str(tmp_path / "a file" / "mask.npy"))
    # Nothing of it changed the case.
    assert worker.ask("regrow", strokes=str(file), box=box)["changed_voxels"] > 0


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"3",
        b'{"do": "save"}',
        b'{"id": "a", "do": "save"}',
        b'{"id": true, "do": "x"}',
        b"\xff\xfe",
        b"[" * 9999,
    ],
)
def test_a_line_that_is_no_request_is_said(line: bytes) -> None:
    with pytest.raises(RequestError):
        Request.parse(line)
    with pytest.raises(RequestError, match="at most"):
        Request.parse(b" " * (LONGEST_LINE + 1))


def raw_worker() -> subprocess.Popen[bytes]:
    return subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_broken_lines_get_an_answer_each_and_standard_output_has_nothing_else(ct: Path) -> None:
    lines = [
        b"{",
        b"",
        b'{"id": 4}',
        b"\xff",
        json.dumps({"id": 7, "do": "close"}).encode(),
        b'{"id": 8, "do": "quit"}',
    ]
    with raw_worker() as child:
        out, _ = child.communicate(b"\n".join(lines) + b"\n", timeout=120)
    answers = [json.loads(line) for line in out.splitlines()]
    assert answers[0] == {"ready": 1}
    # What waits when the worker is to end is given up, and answered all the same.
    assert sorted(answer["id"] for answer in answers[1:] if answer["id"]) == [4, 7, 8]
    assert sum(a["id"] is None and "Expected a JSON object" in a["error"] for a in answers[1:]) == 2
    assert child.returncode == 0


def test_an_endless_line_takes_no_memory_and_the_next_request_is_answered() -> None:
    class Endless(io.RawIOBase):
        """Many times the longest line, then a request; never more at once than it is asked for."""

        def __init__(self) -> None:
            self.left = 40 * LONGEST_LINE
            self.most = 0

        def readline(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size > 0
            self.most = max(self.most, size)
            if self.left:
                part = min(size, self.left)
                self.left -= part
                return b"x" * part if self.left else b"x" * (part - 1) + b"\n"
            return b'{"id": 3, "do": "quit"}\n'

    requests, answers = Endless(), io.BytesIO()
    Server(requests, answers).run()  # type: ignore[arg-type]
    found = [json.loads(line) for line in answers.getvalue().splitlines()]
    assert [one.get("id") for one in found[1:]] == [None, 3]
    assert requests.most <= LONGEST_LINE + 1


@pytest.mark.parametrize(
    ("write", "box", "sentence"),
    [
        (lambda path: np.save(path, np.full((1, 2, 4), 200, np.uint8)), None, "expected values of the segments"),
        (lambda path: np.savez(path.open("wb"), strokes=np.zeros((1, 2, 4), np.uint8)), None, "an archive of arrays"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + b"x" * 99), None, "none that can be read"),
        (lambda path: np.save(path, np.ones((1, 2, 4), np.uint8)), [[float("inf"), 1], [0, 2], [0, 4]], "three ranges"),
    ],
)
def test_strokes_that_are_none_change_nothing(
    worker: WorkerClient, study: StudyPaths, tmp_path: Path, write: Any, box: Any, sentence: str
) -> None:
    worker.ask("open_case", study=str(study.root), case="pt_1")
    write(tmp_path / "strokes.npy")
    with pytest.raises(WorkerError, match=sentence):
        worker.ask("regrow", strokes=str(tmp_path / "strokes.npy"), box=box or [[11, 12], [32, 34], [28, 32]])
    with pytest.raises(WorkerError, match="Expected a stroke to take back"):
        worker.ask("undo")


def test_the_end_of_its_input_ends_it() -> None:
    with raw_worker() as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        started = time.monotonic()
        child.stdin.close()
        assert child.wait(30) == 0
        assert time.monotonic() - started < 15


def test_what_was_to_be_saved_is_saved_though_the_client_is_gone(study: StudyPaths, tmp_path: Path) -> None:
    file, box = array_of_strokes(tmp_path)
    requests: list[dict[str, Any]] = [
        {"id": 1, "do": "open_case", "study": str(study.root), "case": "pt_1"},
        {"id": 2, "do": "regrow", "strokes": str(file), "box": box},
        {"id": 3, "do": "save"},
    ]
    with raw_worker() as child:
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdin.write(b"".join(json.dumps(request).encode() + b"\n" for request in requests[:2]))
        child.stdin.flush()
        for _ in range(3):
            child.stdout.readline()
        child.stdin.write(json.dumps(requests[2]).encode() + b"\n")
        child.stdin.close()
        assert child.wait(60) == 0
    assert (read_label_map(study.case("pt_1").edited_mask).volume.array[LEAK] == GLAND).mean() < 0.15


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_worker_that_is_killed_is_told_to_whoever_waits(ct: Path) -> None:
    with WorkerClient() as client:
        client.ask("close")
        os.kill(client.pid, signal.SIGKILL)
        with pytest.raises(WorkerError, match="Expected a worker that runs"):
            client.wait(10**6, timeout=60)
        client.close()
        assert client.exit_status == -signal.SIGKILL
        with pytest.raises(WorkerError, match="Expected a worker that runs"):
            client.send("close")


class Gate:
    """A session whose work waits to be let on, so that what comes meanwhile can be tested."""

    def __init__(self, request: Request) -> None:
        self.begun = 0

    def opened(self) -> dict[str, Any]:
        return {}

    def handle(self, request: Request, check: Any) -> dict[str, Any]:
        GATE.begun.put(request.id)
        while not GATE.open.is_set():
            check()
            time.sleep(0.005)
        if request.fields.get("fail"):
            raise ZeroDivisionError("of a kind that nobody thought of")
        return {"result": request.id}


class GATE:
    begun: queue.SimpleQueue[int]
    open: threading.Event


class InProcess:
    """A server in a thread of this process."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        self.out = io.BytesIO()
        self.server = Server(os.fdopen(read, "rb"), self.out)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def send(self, **request: Any) -> None:
        os.write(self.write, json.dumps(request).encode() + b"\n")

    def answers(self, count: int) -> dict[int, dict[str, Any]]:
        """The first answers, by number."""
        for _ in range(2000):
            lines = [json.loads(line) for line in self.out.getvalue().splitlines()]
            if len(lines) > count:
                return {line["id"]: line for line in lines[1:]}
            time.sleep(0.005)
        raise AssertionError(self.out.getvalue())


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    GATE.begun, GATE.open = queue.SimpleQueue(), threading.Event()
    monkeypatch.setitem(sessions.OPENERS, "open_case", Gate)
    server = InProcess()
    server.send(id=1, do="open_case")
    server.answers(1)
    yield server
    GATE.open.set()
    with contextlib.suppress(OSError):
        server.send(id=999, do="quit")
    server.thread.join(10)
    assert not server.thread.is_alive()


def test_cancel_ends_what_runs_and_what_waits(gate: InProcess) -> None:
    gate.send(id=2, do="regrow")
    gate.send(id=3, do="save")
    assert GATE.begun.get(timeout=10) == 2
    gate.send(id=4, do="cancel")
    found = gate.answers(4)
    assert found[4]["done"] == {"cancelled": 2}
    assert (found[2]["ended"], found[3]["ended"]) == ("cancelled", "cancelled")
    assert GATE.begun.empty()


def test_cancel_can_name_one(gate: InProcess) -> None:
    gate.send(id=2, do="save")
    gate.send(id=3, do="save")
    assert GATE.begun.get(timeout=10) == 2
    gate.send(id=4, do="cancel", cancel=2)
    gate.send(id=5, do="cancel", cancel=77)
    gate.send(id=6, do="cancel", cancel="2")
    GATE.begun.get(timeout=10)
    GATE.open.set()
    found = gate.answers(6)
    assert (found[4]["done"], found[5]["done"]) == ({"cancelled": 1}, {"cancelled": 0})
    assert "expected a whole number" in found[6]["error"]
    assert found[2]["ended"] == "cancelled"
    assert found[3]["done"] == {"result": 3}


def test_a_newer_stroke_supersedes_an_older_one_but_nothing_else(gate: InProcess) -> None:
    gate.send(id=2, do="save")
    assert GATE.begun.get(timeout=10) == 2
    for number in (3, 4, 5):
        gate.send(id=number, do="regrow")
    gate.send(id=6, do="cancel", cancel=77)  # all are taken when this is answered
    gate.answers(2)
    GATE.open.set()
    found = gate.answers(6)
    assert found[2]["done"] == {"result": 2}
    assert (found[3]["ended"], found[4]["ended"]) == ("superseded", "superseded")
    assert found[5]["done"] == {"result": 5}


def test_what_nobody_thought_of_is_one_sentence(gate: InProcess, capsys: pytest.CaptureFixture[str]) -> None:
    GATE.open.set()
    gate.send(id=2, do="save", fail=True)
    gate.send(id=3, do="save")
    found = gate.answers(3)
    assert "An unexpected error stopped this request (ZeroDivisionError" in found[2]["error"]
    assert "Traceback" not in json.dumps(found)
    assert found[3]["done"] == {"result": 3}
