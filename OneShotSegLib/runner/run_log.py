"""A log file for each run in the study's folder: its events and their times; nothing of what the CTs' headers hold."""

from __future__ import annotations

import contextlib
import json
import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import OneShotSegLib
from OneShotSegLib.events import Emit
from OneShotSegLib.study.layout import StudyPaths

LOGS_KEPT = 20
GREATEST_LOG_BYTES = 5_000_000
LEVELS = {"case_failed": logging.ERROR, "warning": logging.WARNING}


class _File(RotatingFileHandler):
    """A log file whose errors are ignored: a full disk must not stop the run."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        pass


@contextmanager
def run_log(paths: StudyPaths, emit: Emit) -> Iterator[Emit]:
    """While the block lasts, write what the run emits to ``STUDY/logs/<time>.log`` too.

    The latest ``LOGS_KEPT`` logs stay, and of a log at most about its latest 10 MB.

    Yields:
        What to emit events to.
    """
    handler = _open(paths)
    # Not in the tree of loggers: two runs in one process have nothing to do with each other.
    log = logging.Logger("run")
    if handler is not None:
        log.addHandler(handler)
    log.info("OneShotSeg %s, Python %s, %s", OneShotSegLib.__version__, platform.python_version(), platform.platform())

    def emit_and_log(event: str, **fields: Any) -> None:
        log.log(LEVELS.get(event, logging.INFO), "%s", line_of(event, fields))
        emit(event, **fields)

    try:
        yield emit_and_log
    except BaseException as error:
        log.error("The run ended early: %s %s", type(error).__name__, _on_one_line(str(error)))
        raise
    finally:
        if handler is not None:
            handler.close()


def line_of(event: str, fields: dict[str, Any]) -> str:
    """An event as one line; no text of it can begin another."""
    counted = {"cases": len(fields["cases"])} if isinstance(fields.get("cases"), list | tuple) else {}
    words = (f"{name}={_on_one_line(value)}" for name, value in {**fields, **counted}.items())
    return " ".join((event, *words))


def _on_one_line(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)


def _open(paths: StudyPaths) -> RotatingFileHandler | None:
    try:
        if paths.logs.is_symlink():
            return None  # it leads to a folder whose files are not ours to remove
        paths.logs.mkdir(exist_ok=True)
        _remove_old(paths.logs)
        path = paths.logs / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ.log")
        handler = _File(path, maxBytes=GREATEST_LOG_BYTES, backupCount=1, encoding="utf-8", errors="replace")
    except OSError:
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def _remove_old(folder: Path) -> None:
    logs = sorted(path for path in folder.glob("*.log") if path.is_file())
    for path in logs[: max(len(logs) - LOGS_KEPT + 1, 0)]:
        for part in (path, path.with_name(path.name + ".1")):
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
