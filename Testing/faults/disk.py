"""Disks that fill up, shares that go away, errors of the disk itself."""

from __future__ import annotations

import errno
import io
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import Tally, batch, check_end, check_step, run_forked, undisturbed


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """A file system of its own in memory, of so many bytes; needs the right to mount."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def full_disk(folder: Path, times: int, seed: int) -> Tally:
    """A small tmpfs that fills up at another place each time; then room is made and the same command goes on."""
    tiny = batch(folder)
    expected = undisturbed(tiny, folder)
    needed = sum(path.stat().st_size for path in (folder / f"undisturbed-{len(expected)}").rglob("*") if path.is_file())
    tally = Tally(fault="disk full (a small tmpfs)")
    for number in range(times):
        size = int(40_000 + (needed - 40_000) * number / times) // 4096 * 4096
        with mounted(folder / "small", size) as disk:
            status = _wait(run_forked(tiny.request(disk / "study")))
            tally.injected += 1
            tally.note(f"exits with status {status}")
            if status not in (0, 1, 2):
                tally.lost.append(f"{size} bytes: status {status}")
            done = check_step(tally, disk / "study", {})
            subprocess.run(["mount", "-o", "remount,size=50M", str(disk)], check=True)
            if _wait(run_forked(tiny.request(disk / "study"))) != 0:
                tally.lost.append(f"{size} bytes: did not go on")
            check_step(tally, disk / "study", done)
            check_end(tally, disk / "study", expected)
    return tally


def lost_share(folder: Path, times: int, seed: int) -> Tally:
    """The study's file system is taken away, or made read-only, in mid-run; then it is back."""
    chance = random.Random(seed)
    tiny = batch(folder)
    expected = undisturbed(tiny, folder)
    tally = Tally(fault="share lost or made read-only in mid-run (tmpfs)")
    for number in range(times):
        with mounted(folder / "real", 50_000_000) as disk, _bound(disk, folder / "share") as share:
            pid = run_forked(tiny.request(share / "study"))
            while not list((disk / "study").glob("cases/*/running.json")):
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 2))
            read_only = number % 2 == 1
            _forbid_writing(disk, share) if read_only else _take_away(share)
            tally.injected += 1
            status = _wait(pid)
            tally.note(f"exits with status {status}")
            if status not in (0, 1, 2):
                tally.lost.append(f"status {status}")
            if not read_only and any(share.iterdir()):
                tally.lost.append("something was written where the share had been")
            done = check_step(tally, disk / "study", {})
            if _wait(run_forked(tiny.request(disk / "study"))) != 0:
                tally.lost.append("did not go on")
            check_step(tally, disk / "study", done)
            check_end(tally, disk / "study", expected)
    return tally


@contextmanager
def _bound(disk: Path, share: Path) -> Iterator[Path]:
    share.mkdir(exist_ok=True)
    subprocess.run(["mount", "--bind", str(disk), str(share)], check=True)
    try:
        yield share
    finally:
        while subprocess.run(["umount", "-l", str(share)], check=False, capture_output=True).returncode == 0:
            pass


def _take_away(share: Path) -> None:
    subprocess.run(["umount", "-l", str(share)], check=True)


def _forbid_writing(disk: Path, share: Path) -> None:
    """Lay a read-only view over it; no mount with files open for writing, as a run has them, can be made so itself."""
    subprocess.run(["mount", "--bind", str(disk), str(share)], check=True)
    # Refused while a run, which writes behind, has a file of it open.
    while subprocess.run(["mount", "-o", "remount,ro,bind", str(share)], check=False, capture_output=True).returncode:
        time.sleep(0.001)


def io_errors(folder: Path, times: int, seed: int) -> Tally:
    """EIO from a random call that opens, syncs, renames or lists, in every run; then the same command goes on."""
    tiny = batch(folder, 2)
    expected = undisturbed(tiny, folder)
    tally = Tally(fault="input/output error (EIO) of one random file operation of a run")
    chance = random.Random(seed)
    calls = _count_calls(tiny.request(folder / "counted"), folder / "calls")
    tally.note("file operations in a run", calls)
    while tally.injected < times:
        study = folder / "io"
        shutil.rmtree(study, ignore_errors=True)
        status = _wait(run_forked(_Broken(tiny.request(study), chance.randrange(calls))))
        tally.injected += 1
        tally.note(f"exits with status {status}")
        if status not in (0, 1, 2):
            tally.lost.append(f"status {status}")
        done = check_step(tally, study, {}) if study.exists() else {}
        if _wait(run_forked(tiny.request(study))) != 0:
            tally.lost.append("did not go on")
        check_step(tally, study, done)
        check_end(tally, study, expected)
    return tally


def _count_calls(request: Any, counter: Path) -> int:
    _wait(run_forked(_Broken(request, -1, counter)))
    return int(counter.read_text())


FSYNC = os.fsync


class _Broken:
    """A request whose first reading, in the child process, breaks the operating system's file operations there."""

    OPERATIONS = ("open", "fsync", "replace", "mkdir", "unlink", "scandir", "listdir", "stat")

    def __init__(self, request: Any, at: int, counter: Path | None = None) -> None:
        self._request, self._at = request, at
        self._counter = None if counter is None else os.open(counter, os.O_CREAT | os.O_WRONLY)
        self._count: int | None = None

    def __getattr__(self, name: str) -> Any:
        if self._count is None:
            self._count = 0
            for operation in self.OPERATIONS:
                setattr(os, operation, self._failing(getattr(os, operation)))
            io.open = self._failing(io.open)
        return getattr(self._request, name)

    def _failing(self, real: Any) -> Any:
        def call(*words: Any, **named: Any) -> Any:
            # Only what concerns the study: a module that cannot be imported is another matter.
            if real is FSYNC or (words and str(self._request.output) in str(words[0])):
                self._count = (self._count or 0) + 1
                if self._counter is not None:
                    os.pwrite(self._counter, b"%-10d" % self._count, 0)
                if self._count == self._at + 1:
                    raise OSError(errno.EIO, os.strerror(errno.EIO), str(words[0]))
            return real(*words, **named)

        return call


def _wait(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
