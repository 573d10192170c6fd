"""A page without a browser: the server's application, asked as the page asks it."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from starlette.testclient import TestClient

from OneShotSegLib.browser.app import make_app
from OneShotSegLib.browser.desk import BrowseRequest, Desk
from OneShotSegLib.browser.security import Door, host_names

HOST = "127.0.0.1:8731"
ORIGIN = f"http://{HOST}"
EVENTS = f"ws://{HOST}/api/events"


class Page:
    """A server and a browser that is let in.

    Args:
        study: The study folder.
        request: The rest of the request.
    """

    def __init__(self, study: Path, **request: Any) -> None:
        self.door = Door(host_names(8731))
        self.app = make_app(lambda: Desk(BrowseRequest(study=study, **request)), self.door)
        self.client = TestClient(self.app, base_url=ORIGIN)

    def __enter__(self) -> Page:
        self.client.__enter__()
        assert self.client.get(f"/?token={self.door.token}").status_code == 200
        return self

    def __exit__(self, *error: object) -> None:
        self.client.__exit__()

    def get(self, path: str) -> httpx.Response:
        """Ask for something."""
        return self.client.get(path)

    def post(self, path: str, **body: Any) -> httpx.Response:
        """Do something, as the page's script does."""
        return self.client.post(path, json=body, headers={"origin": ORIGIN})

    def state(self) -> dict[str, Any]:
        """What a page begins with."""
        content: dict[str, Any] = self.get("/api/state").json()
        return content

    def row(self, case: str) -> dict[str, Any]:
        """How a case stands."""
        return next(row for row in self.state()["rows"] if row["case"] == case)

    def decide(self, case: str, do: str) -> httpx.Response:
        """Decide a case that is on the screen."""
        return self.post(f"/api/cases/{case}/decision", do=do, seen=self.row(case)["version"])

    def mask(self, case: str) -> NDArray[np.uint8]:
        """The whole mask of a case as the page shows it."""
        image = self.get(f"/api/cases/{case}/image").json()
        return whole(self.get(f"/api/cases/{case}/mask"), image["shape"])


def unpacked(response: httpx.Response) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """A description and the voxels of its box."""
    assert response.status_code == 200, response.text
    (length,) = struct.unpack_from("<I", response.content)
    described = json.loads(response.content[4 : 4 + length])
    voxels = np.frombuffer(response.content[4 + length :], np.uint8)
    box = described.get("box")
    return described, voxels.reshape([stop - start for start, stop in box]) if box else voxels


def whole(response: httpx.Response, shape: list[int]) -> NDArray[np.uint8]:
    """The labels of an answer on the whole grid."""
    described, voxels = unpacked(response)
    labels = np.zeros(shape, np.uint8)
    if described.get("box"):
        labels[tuple(slice(start, stop) for start, stop in described["box"])] = voxels
    return labels


def stroke(value: int, *points: tuple[float, float, float], axis: int = 0, width_mm: float = 4.0) -> dict[str, Any]:
    """A stroke as the page sends it."""
    return {"value": value, "axis": axis, "points": points, "width_mm": width_mm}
