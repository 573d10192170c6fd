"""A package index of tiny wheels on this machine, in place of PyPI and PyTorch's own; it can break off, and refuse."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import pytest

from OneShotSegLib.backend.record import WANTED

VERSION = "99.0"
FILLING = 40_000
"""Bytes that do not shrink in each wheel, so that a download can break off in the middle."""
IN_ENVIRONMENT = ("PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_EXTRA_INDEX_URL", "PYTHONPATH", "PIP_CERT")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def package_names() -> list[str]:
    """The packages that an environment has, as they are asked for."""
    return [re.match(r"[\w.-]+", text)[0] for text in WANTED]  # type: ignore[index]


def build_wheel(
    folder: Path, name: str, version: str = VERSION, code: str = "", filling: int = FILLING, package: bool = False
) -> Path:
    """Write a wheel with one module of the package's name.

    Args:
        folder: Where it goes.
        name: Of the package and its module.
        version: Of the package.
        code: Of the module.
        filling: Bytes of a file that is in it too.
        package: Whether it is a package that can be run, in place of a module.
    """
    stem = re.sub(r"[-.]+", "_", name)
    info = f"{stem}-{version}.dist-info"
    content = {
        f"{name}/__main__.py" if package else f"{name}.py": f"__version__ = {version!r}\n{code}".encode(),
        f"{stem}_data.bin": os.urandom(filling),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_hash(data)},{len(data)}" for path, data in content.items()]
    content[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,"]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name_inside, data in content.items():
            wheel.writestr(name_inside, data)
    return path


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def build_all(folder: Path, **code: str) -> list[Path]:
    """Write a wheel of each package that an environment has; the code of a module by its name."""
    return [build_wheel(folder, name, code=code.get(name, "")) for name in package_names()]


class PackageIndex:
    """What is served, and how badly.

    Attributes:
        folder: The wheels of the usual index.
        torch_folder: Those of PyTorch's own.
        breaks_after: Bytes of a wheel after which the connection is closed; None for never.
        refuses: Whether each wheel is refused.
        pause: Set while a server may go on sending a wheel; cleared, it stops in the middle.
        asked: Path and Range of each request for a wheel.
    """

    def __init__(self, folder: Path, torch_folder: Path) -> None:
        self.folder, self.torch_folder = folder, torch_folder
        self.breaks_after: int | None = None
        self.refuses = False
        self.pause = threading.Event()
        self.pause.set()
        self.asked: list[tuple[str, str]] = []
        self.address = ""

    def environment(self) -> Mapping[str, str]:
        """What sends pip and the downloads here, and nowhere else."""
        return {
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": f"{self.address}/simple",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "ONESHOTSEG_TORCH_INDEX": f"{self.address}/torch",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def wheels_of(self, path: str) -> Path:
        """The folder that a path of the index lists."""
        return self.torch_folder if path.startswith("/torch") else self.folder


def use(index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set pip and the downloads up for an index, and for nothing else."""
    for name in (*IN_ENVIRONMENT, *PROXIES, *(name.upper() for name in PROXIES)):
        monkeypatch.delenv(name, raising=False)
    for name, value in index.environment().items():
        monkeypatch.setenv(name, value)


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _metadata(file: Path) -> bytes:
    """What a wheel says of itself, which an index serves apart."""
    with zipfile.ZipFile(file) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return wheel.read(name)


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = unquote(self.path.partition("?")[0])
        if path.endswith(".whl"):
            self._send_wheel(path, with_body)
        elif path.endswith(".whl.metadata"):
            file = self.server.index.wheels_of(path) / path.rpartition("/")[2].removesuffix(".metadata")
            self._send_small(_metadata(file))
        else:
            self._list(path)

    def _list(self, path: str) -> None:
        """The wheels of one package, each with its hash."""
        wanted = _normalized(path.rstrip("/").rpartition("/")[2])
        prefix = "torch" if path.startswith("/torch") else "wheels"
        files = sorted(self.server.index.wheels_of(path).glob("*.whl"))
        lines = [
            f'<a href="/{prefix}/{file.name}#sha256={_hex(file.read_bytes())}" '
            f'data-dist-info-metadata="sha256={_hex(_metadata(file))}">{file.name}</a>'
            for file in files
            if _normalized(file.name.partition("-")[0]) == wanted
        ]
        self._send_small("\n".join(lines).encode(), 200 if lines else 404)

    def _send_small(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send_wheel(self, path: str, with_body: bool) -> None:
        index = self.server.index
        file = index.wheels_of(path) / path.rpartition("/")[2]
        if with_body:
            index.asked.append((file.name, self.headers.get("Range") or ""))
        if index.refuses or not file.is_file():
            self.send_error(403 if index.refuses else 404)
            return
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        body = file.read_bytes()[int(found[1]) if found else 0 :]
        self.send_response(206 if found else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self._send(index, body)

    def _send(self, index: PackageIndex, body: bytes) -> None:
        first = len(body) // 2 if index.breaks_after is None else index.breaks_after
        try:
            self.wfile.write(body[:first])
            self.wfile.flush()
            index.pause.wait(60)
            if index.breaks_after is None:
                self.wfile.write(body[first:])
        except OSError:  # who asked is gone
            self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    index: PackageIndex


@contextmanager
def serve(folder: Path, torch_folder: Path) -> Iterator[PackageIndex]:
    """Serve wheels on 127.0.0.1 while the block lasts."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.index = index = PackageIndex(folder, torch_folder)
    index.address = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield index
    finally:
        index.pause.set()
        server.shutdown()
        server.server_close()
