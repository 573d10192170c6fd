"""Routes of the support: choosing a CT, naming structures, painting, seeing what grows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from OneShotSegLib.browser.choices import Offer
from OneShotSegLib.browser.desk import Desk
from OneShotSegLib.browser.masks import box_json, segments_json
from OneShotSegLib.browser.packing import packed
from OneShotSegLib.browser.replies import answered, body_of, desk_of, stroke_of, text_of
from OneShotSegLib.errors import InputError
from OneShotSegLib.imaging.boxes import Box, bounding_box
from OneShotSegLib.imaging.inputs import FoundCT
from OneShotSegLib.interface.growth_sentence import growth_sentence
from OneShotSegLib.worker.client import WorkerError


async def cts(request: Request) -> Response:
    """The CTs to choose from: a number and a name for each; paths stay here."""
    return _offered(await desk_of(request).offer())


async def series(request: Request) -> Response:
    """Use a series of a folder with several, or none of them."""
    desk = desk_of(request)
    desk.require_author()
    content = await body_of(request)
    folder, number = content.get("folder"), content.get("series")
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in (folder, number)):
        raise InputError("Expected the numbers of a folder and a series, found others.")
    offer = await desk.choices.choose(cast(int, folder), cast(int, number))
    desk.events.send("cts")
    return _offered(offer)


def _offered(offer: Offer) -> Response:
    chosen = {ct.series for ct in offer.cts}
    return JSONResponse(
        {
            "cts": [
                {"number": number, "name": _name(ct, offer.cts), "key": _key(ct.path, ct.series)}
                for number, ct in enumerate(offer.cts)
            ],
            "folders": [
                {
                    "name": _name(FoundCT(path=folder), [FoundCT(path=other) for other in offer.folders]),
                    "series": [
                        {"text": _series_text(one), "chosen": one.series in chosen} for one in offer.folders[folder]
                    ],
                }
                for folder in offer.folders
            ],
            "left_out": list(offer.left_out),
        }
    )


async def support(request: Request) -> Response:
    """The support as it stands: its CT and its strokes."""
    desk = desk_of(request)
    await desk.support.load()
    return _described(desk)


async def choose(request: Request) -> Response:
    """Paint in this CT from now on."""
    desk = desk_of(request)
    desk.require_author()
    number = (await body_of(request)).get("number")
    found = (await desk.offer()).cts
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(found):
        raise InputError("Expected a CT of the list, found another.")
    await desk.support.choose(found[number])
    _tell(desk)
    return _described(desk)


async def structures(request: Request) -> Response:
    """Name structures, or remove one."""
    desk = desk_of(request)
    desk.require_author()
    draft, _image = desk.support.require()
    content = await body_of(request)
    if "remove" in content:
        value = content["remove"]
        if not isinstance(value, int):
            raise InputError("Expected a structure's value, found another.")
        draft.remove_structure(value)
    else:
        names = text_of(content, "names").replace(";", ",").split(",")
        draft.add_structures([name for name in names if name.strip()], desk.support.known_structures())
    _tell(desk)
    return _described(desk)


async def stroke(request: Request) -> Response:
    """A stroke; it is on disk when this is answered."""
    desk = desk_of(request)
    desk.require_author()
    painted, number, key = await stroke_of(request)
    async with desk.stroking:
        draft, _image = desk.support.require()
        if key and key != _key(Path(draft.text.ct), draft.text.series):
            raise InputError("Expected a stroke in the CT that is chosen, found one in another: choose that one again.")
        if desk.is_known(number):
            return _part(desk, None, repeated=True)
        box = draft.add(painted)
        desk.remember(number)
        _tell(desk)
        return _part(desk, box)


async def undo(request: Request) -> Response:
    """Take the latest stroke back."""
    desk = desk_of(request)
    desk.require_author()
    await body_of(request)
    desk.support.require()[0].undo()
    _tell(desk)
    return _described(desk)


async def grow(request: Request) -> Response:
    """What the strokes grow into."""
    desk = desk_of(request)
    desk.require_writable()
    await body_of(request)
    try:
        grown = await desk.support.grow()
    except (InputError, WorkerError) as error:
        return packed({"waiting": str(error)})  # the first strokes grow into nothing yet: no error of anybody's
    if grown is None:
        return packed({"superseded": True})
    described: dict[str, Any] = {
        "volumes_ml": grown.volumes_ml,
        "text": growth_sentence(grown.volumes_ml),
        "segments": segments_json(grown.segments),
        "without_strokes": list(grown.without_strokes),
    }
    if grown.box is not None:
        described["box"] = box_json(grown.box)
    return packed(described, grown.voxels)


async def check(request: Request) -> Response:
    """What is missing before the strokes can be propagated."""
    findings = await desk_of(request).support.check()
    return JSONResponse([{"severity": finding.severity, "text": finding.text} for finding in findings])


def _described(desk: Desk) -> Response:
    draft, image = desk.support.draft, desk.support.image
    if draft is None or image is None:
        return packed({"ct": ""})
    box = bounding_box(draft.labels > 0)
    described: dict[str, Any] = {
        "ct": draft.text.ct.replace("\\", "/").rsplit("/", 1)[-1],
        "key": _key(Path(draft.text.ct), draft.text.series),
        "image": image.as_json(),
        "segments": [
            {**entry, "background": segment.is_background_stroke}
            for entry, segment in zip(segments_json(draft.text.segments), draft.text.segments, strict=True)
        ],
        "strokes": len(draft.text.strokes),
        "number": draft.number,
        "box": box_json(box) if box is not None else None,
    }
    return packed(described, draft.labels[box] if box is not None else None)


def _part(desk: Desk, box: Box | None, repeated: bool = False) -> Response:
    draft, _image = desk.support.require()
    key = _key(Path(draft.text.ct), draft.text.series)
    described = {"number": draft.number, "strokes": len(draft.text.strokes), "key": key, "repeated": repeated}
    if box is None:
        return packed(described)
    return packed({**described, "box": box_json(box)}, draft.labels[box])


def _tell(desk: Desk) -> None:
    draft = desk.support.draft
    desk.events.send("support", number=draft.number if draft is not None else 0)


def _name(ct: FoundCT, others: Sequence[FoundCT]) -> str:
    """A CT's name; with its folder where two have one name."""
    alike = len({other.path for other in others if other.path.name == ct.path.name}) > 1
    name = f"{ct.path.parent.name}/{ct.path.name}" if alike else ct.path.name
    return f"{name}: {_series_text(ct)}" if ct.series else name


def _series_text(ct: FoundCT) -> str:
    return f"{' '.join(ct.description.split()) or ct.series} ({ct.size[-1]} slices)"


def _key(path: Path, series: str) -> str:
    """The same for the same CT; it says nothing of where it lies."""
    return hashlib.sha256(f"{path.absolute()}|{series}".encode(errors="surrogateescape")).hexdigest()[:16]


ROUTES = [
    Route("/api/cts", answered(cts)),
    Route("/api/cts/series", answered(series), methods=["POST"]),
    Route("/api/support", answered(support)),
    Route("/api/support/check", answered(check)),
    Route("/api/support/choose", answered(choose), methods=["POST"]),
    Route("/api/support/structures", answered(structures), methods=["POST"]),
    Route("/api/support/stroke", answered(stroke), methods=["POST"]),
    Route("/api/support/undo", answered(undo), methods=["POST"]),
    Route("/api/support/grow", answered(grow), methods=["POST"]),
]
