"""`oneshotseg browse`: the server of the page, on this machine alone, until Ctrl+C."""

from __future__ import annotations

import contextlib
import signal
import socket
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from OneShotSegLib.errors import InputError
from OneShotSegLib.study.inputs import is_study

try:
    import uvicorn
except ModuleNotFoundError as error:
    raise InputError(
        'The page in a browser needs further packages: pip install "OneShotSegLib[browser]" installs them.'
    ) from error

from OneShotSegLib.browser.app import make_app
from OneShotSegLib.browser.desk import BrowseRequest, Desk
from OneShotSegLib.browser.security import Door, host_names

HOST = "127.0.0.1"
USUAL_PORT = 8731
"""The same one each time, where it is free: then a page that was open finds the server again."""
STUDY_SUFFIX = "-study"
SHUTDOWN_SECONDS = 1


def request_of(
    path: Path, study: Path | None, read_only: bool, reader: str, device: str, weights: str
) -> BrowseRequest:
    """What to show, from the command line.

    Args:
        path: A study, or a folder or file with CTs.
        study: The study folder for these CTs; next to them if left out.
        read_only: Whether nothing may be changed.
        reader: Whose decisions.
        device: Where runs compute.
        weights: The weights of runs.

    Raises:
        InputError: If the path is not there.
    """
    from OneShotSegLib.study.layout import StudyPaths

    path = path.absolute()
    if is_study(StudyPaths(path)):
        return BrowseRequest(study=path, read_only=read_only, reader=reader, device=device, weights=weights)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")
    if path == path.parent:
        raise InputError(f"{path}: expected a study or a folder with CTs, found the root of a disk.")
    target = study.absolute() if study is not None else path.with_name(path.name + STUDY_SUFFIX)
    return BrowseRequest(study=target, cts=(path,), read_only=read_only, reader=reader, device=device, weights=weights)


def browse(request: BrowseRequest, port: int | None = None, show: bool = True) -> None:
    """Serve a study until Ctrl+C.

    Args:
        request: What to show.
        port: On which port; the usual one, or another that is free, if left out.
        show: Open the page in the user's browser.

    Raises:
        InputError: If the port is taken, or the study cannot be opened.
    """
    listening = listen(port)
    number = listening.getsockname()[1]
    door = Door(
        host_names(number), cookie=f"oneshotseg-{number}", on_used=lambda token: _print_address(number, token, True)
    )
    app = make_app(lambda: Desk(request), door)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        server_header=False,
        proxy_headers=False,
        ws="websockets-sansio",
    )
    server = Server(config)
    _print_address(number, door.token, False)
    if show:
        threading.Thread(
            target=_open_soon, args=(server, f"http://{HOST}:{number}/?token={door.token}"), daemon=True
        ).start()
    with contextlib.closing(listening):
        server.run(sockets=[listening])
    print("The page is closed. Everything that was decided is in the study.", file=sys.stderr)


class Server(uvicorn.Server):
    """A server that Ctrl+C ends without an error."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While the block lasts, a signal ends the server; the command line's own way with signals comes back then."""

        def stop(_number: int, _frame: FrameType | None) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        wakeup = signal.set_wakeup_fd(-1)
        before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
            signal.set_wakeup_fd(wakeup)


def listen(port: int | None) -> socket.socket:
    """A socket on this machine alone.

    Raises:
        InputError: If the port that was asked for is taken.
    """
    for number in (USUAL_PORT, 0) if port is None else (port,):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform != "win32":
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((HOST, number))
            found.listen()  # the address is printed before the server is at work: who is early waits a moment
        except OSError:
            found.close()
            continue
        return found
    raise InputError(f"--port: expected a free port, found that {port} is taken.")


def _print_address(port: int, token: str, again: bool) -> None:
    what = "For another browser" if again else "The page, for this machine alone (Ctrl+C ends it)"
    print(f"{what}: http://{HOST}:{port}/?token={token}", file=sys.stderr, flush=True)


def _open_soon(server: uvicorn.Server, address: str) -> None:
    while not server.started and not server.should_exit:
        time.sleep(0.05)
    if server.started and not webbrowser.open(address):
        print("No browser could be started: open the address by hand.", file=sys.stderr)
