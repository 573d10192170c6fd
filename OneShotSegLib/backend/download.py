"""Fetches wheels: the size is known first, what is there already is kept, and a file goes on where it broke off."""

from __future__ import annotations

import functools
import hashlib
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from OneShotSegLib.backend.pip import NETWORK, Wheel
from OneShotSegLib.errors import InputError
from OneShotSegLib.troubles import file_sentence

CHUNK = 1 << 18
TIMEOUT = 30.0
TRIES = 3
"""Attempts without a byte more, before a download is given up."""
PAUSE_SECONDS = 1.0
AT_ONCE = 8
PARTIAL = 206
RANGE_NOT_SATISFIABLE = 416
CERTIFICATES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
AGENT = "OneShotSeg"
Progress = Callable[[int], None]
"""Gets the number of bytes that came."""


def local_file(wheel: Wheel) -> Path | None:
    """The wheel's file, if its address is one on this machine."""
    parts = urlsplit(wheel.url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def sizes(wheels: Iterable[Wheel], folder: Path) -> dict[str, int]:
    """How many bytes of each wheel are still to be fetched, by its name; those whose server does not say are left out.

    Args:
        wheels: The wheels.
        folder: Where those are that were fetched before, whole or in part.
    """
    wheels = list(wheels)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = dict(zip((wheel.name for wheel in wheels), pool.map(_size, wheels), strict=True))
    return {
        wheel.name: max(size - _fetched(wheel, folder), 0)
        for wheel in wheels
        if (size := found[wheel.name]) is not None
    }


def _fetched(wheel: Wheel, folder: Path) -> int:
    for path in (folder / wheel.file, partial(folder / wheel.file)):
        if path.is_file():
            return path.stat().st_size
    return 0


def _size(wheel: Wheel) -> int | None:
    if local_file(wheel) is not None:
        return 0
    try:
        with _open(wheel.url, {}, "HEAD") as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, HTTPException, TypeError, ValueError):
        return None


def fetch(wheel: Wheel, folder: Path, progress: Progress = lambda count: None) -> Path:
    """The file of a wheel: it is fetched, unless it is there.

    Args:
        wheel: The wheel.
        folder: Where it goes; what came of one that broke off is there as a ".part".
        progress: Gets the number of bytes that came, again and again.

    Raises:
        InputError: If the network breaks off, the server refuses, or what came is not what was announced.
        OSError: If it cannot be written.
    """
    there = local_file(wheel)
    if there is not None:
        return there
    target = folder / wheel.file
    if target.is_file() and is_whole(target, wheel):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = partial(target)
    _fetch_part(wheel, part, progress)
    if not is_whole(part, wheel):
        part.unlink()
        raise InputError(f"{wheel.file}: what was fetched is not what was announced (another hash): install again.")
    part.replace(target)
    return target


def _fetch_part(wheel: Wheel, part: Path, progress: Progress) -> None:
    failures = 0
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            if _go_on(wheel, part, before, progress):
                return
            reason: object = "it broke off"
        except urllib.error.HTTPError as error:
            if error.code == RANGE_NOT_SATISFIABLE:  # it was whole, or is of another file
                if is_whole(part, wheel):
                    return
                part.unlink()
            elif error.code < 500:
                raise InputError(f"{wheel.file}: the server refuses it ({error.code} {error.reason}).") from error
            reason = error
        except urllib.error.URLError as error:
            reason = error.reason
        except (ConnectionError, TimeoutError, HTTPException, ssl.SSLError) as error:
            reason = error
        came = (part.stat().st_size if part.is_file() else 0) > before
        failures = 0 if came else failures + 1
        if failures == TRIES:
            raise InputError(f"{wheel.file}: {NETWORK} ({reason}).")
        time.sleep(PAUSE_SECONDS)


def _go_on(wheel: Wheel, part: Path, done: int, progress: Progress) -> bool:
    """Fetch what is missing of a file; whether the server sent all that it announced."""
    with _open(wheel.url, {"Range": f"bytes={done}-"} if done else {}) as answer:
        goes_on = answer.status == PARTIAL
        announced = answer.headers.get("Content-Length")
        came = 0
        with part.open("ab" if goes_on else "wb") as file:
            while chunk := _read(answer):
                _write(file, chunk, part)
                came += len(chunk)
                progress(len(chunk))
    return announced is None or came == int(announced)


def _read(answer: HTTPResponse) -> bytes:
    return answer.read1(CHUNK)


def _write(file: object, chunk: bytes, part: Path) -> None:
    """Write; an error of the disk is the user's to mend, not one of the network to be tried again."""
    try:
        file.write(chunk)  # type: ignore[attr-defined]
    except OSError as error:
        raise InputError(f"{file_sentence(error, part)[:-1]}; what was fetched is kept.") from error


def is_whole(path: Path, wheel: Wheel) -> bool:
    """Whether a file is the wheel that was announced; without an announced hash it counts as such."""
    if not wheel.sha256:
        return path.is_file()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == wheel.sha256


def partial(target: Path) -> Path:
    """Where a file is while it is fetched."""
    return target.with_name(f"{target.name}.part")


def _open(url: str, headers: Mapping[str, str], method: str = "GET") -> HTTPResponse:
    request = urllib.request.Request(url, headers={"User-Agent": AGENT, **headers}, method=method)
    answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT, context=_certificates())
    return answer


@functools.cache
def _certificates() -> ssl.SSLContext:
    """The system's certificates, those that pip is told of, and certifi's where it is there."""
    context = ssl.create_default_context()
    files = [os.environ.get(name, "") for name in CERTIFICATES]
    try:
        import certifi

        files.append(certifi.where())
    except ImportError:
        pass
    for file in files:
        if file and Path(file).is_file():
            context.load_verify_locations(cafile=file)
    return context
