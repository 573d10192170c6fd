"""Routes of the review: what a case looks like, what is decided of it, how it is corrected."""

from __future__ import annotations

import asyncio
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from OneShotSegLib.browser.corrections import Change
from OneShotSegLib.browser.desk import Desk, version_text
from OneShotSegLib.browser.masks import box_json
from OneShotSegLib.browser.packing import packed
from OneShotSegLib.browser.replies import answered, body_of, desk_of, stroke_of, text_of
from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.case_files import version_of
from OneShotSegLib.study.review import StructureDecision


async def state(request: Request) -> Response:
    """What a page needs to begin."""
    return JSONResponse(desk_of(request).state())


async def image_file(request: Request) -> Response:
    """A file of a CT, or the part of it that was asked for (Range)."""
    images = desk_of(request).images
    path = await asyncio.to_thread(images.file, request.path_params["key"], request.path_params["name"])
    return FileResponse(path, media_type="application/octet-stream")


async def image(request: Request) -> Response:
    """A case's CT: where its files are."""
    found = await desk_of(request).image_of(_case(request))
    return JSONResponse(found.as_json())


async def mask(request: Request) -> Response:
    """The mask of a case that counts."""
    desk, case = desk_of(request), _case(request)
    path = desk.session.mask(case)
    version = version_text(version_of(path))
    found = await desk.mask_of(case, path)
    return await asyncio.to_thread(lambda: packed({"case": case, "version": version, **found.as_json()}, found.voxels))


async def decide(request: Request) -> Response:
    """Accept, reject, or open a case again."""
    desk, case = desk_of(request), _case(request)
    desk.require_writable()
    content = await body_of(request)
    what = text_of(content, "do")
    decisions = {"accept": desk.session.accept, "reject": desk.session.reject, "reopen": desk.session.reopen}
    if what not in decisions:
        raise InputError(f"do: expected one of {', '.join(decisions)}, found {what[:40]!r}.")
    async with desk.live.lock:  # a correction that is being saved is on disk before the decision that it counts
        desk.session.refresh()
        if what == "accept" or not content.get("unreadable"):
            _require_seen(desk, case, text_of(content, "seen"))
        notes = decisions[what](case)
    desk.tell_rows()
    return JSONResponse({"notes": list(notes), "next": desk.session.next_open(case)})


async def structure(request: Request) -> Response:
    """Decide on one structure of a case; the same once more takes it back."""
    desk, case = desk_of(request), _case(request)
    desk.require_writable()
    content = await body_of(request)
    name, wanted = text_of(content, "structure"), text_of(content, "decision")
    desk.session.refresh()
    _require_seen(desk, case, text_of(content, "seen"))
    known = {one.name: one.decision for one in desk.session.row(case).details}
    if name not in known or wanted not in get_args(StructureDecision):
        raise InputError("Expected a structure of the case and a decision on it, found another.")
    decision = cast(StructureDecision, wanted)
    notes = desk.session.decide_structure(case, name, None if known[name] == decision else decision)
    undecided = desk.session.row(case).undecided
    desk.tell_rows()
    return JSONResponse({"notes": list(notes), "next": undecided[0] if undecided else ""})


async def comment(request: Request) -> Response:
    """Keep a comment."""
    desk, case = desk_of(request), _case(request)
    desk.require_writable()
    text = text_of(await body_of(request), "text").strip()
    desk.session.refresh()
    notes = desk.session.comment(case, text) if text != desk.session.row(case).comment else ()
    desk.tell_rows()
    return JSONResponse({"notes": list(notes)})


async def undo(request: Request) -> Response:
    """Take back the latest correction of the case that is looked at; if there is none, the last decision."""
    desk = desk_of(request)
    desk.require_writable()
    case = text_of(await body_of(request), "case")
    # Whether there is a stroke to take back is known when the one before is taken back: else a decision would be.
    async with desk.stroking:
        if case and desk.corrections.can_undo(case):
            grid = (await desk.image_of(case)).grid
            change = await desk.corrections.undo(case, grid)
            desk.tell_rows()
            return _changed(desk, case, change)
        decided = desk.session.undo()
        desk.tell_rows()
    return packed({"case": decided, "text": "" if decided else "There is nothing to take back."})


async def prepare(request: Request) -> Response:
    """Strokes are about to be painted in a case."""
    desk = desk_of(request)
    desk.require_writable()
    await body_of(request)
    await desk.corrections.prepare(_case(request))
    return JSONResponse({})


async def stroke(request: Request) -> Response:
    """A stroke, around which the mask regrows."""
    return await _corrected(request, "regrow")


async def paint(request: Request) -> Response:
    """A stroke, whose voxels are given its label."""
    return await _corrected(request, "paint")


async def _corrected(request: Request, how: str) -> Response:
    desk, case = desk_of(request), _case(request)
    desk.require_writable()
    painted, number, _key = await stroke_of(request)
    grid = (await desk.image_of(case)).grid
    correct = desk.corrections.regrow if how == "regrow" else desk.corrections.paint
    async with desk.stroking:
        if desk.is_known(number):
            return _changed(desk, case, Change(""), repeated=True)
        change = await correct(case, painted, grid, desk.hounsfield_of(case))
        desk.remember(number)
        desk.tell_rows()
        return _changed(desk, case, change)


def _changed(desk: Desk, case: str, change: Change, repeated: bool = False) -> Response:
    version = version_text(version_of(desk.session.mask(case)))
    described: dict[str, Any] = {"case": case, "version": version, "text": change.text, "number": desk.number}
    if repeated:
        described["repeated"] = True
    if change.box is not None:
        described["box"] = box_json(change.box)
    return packed(described, change.voxels)


def _require_seen(desk: Desk, case: str, seen: str) -> None:
    if seen != version_text(version_of(desk.session.mask(case))):
        raise InputError(f"{case}: its mask is not the one on the screen any more: look before you decide.")


def _case(request: Request) -> str:
    case: str = request.path_params["case"]
    return case


ROUTES = [
    Route("/api/state", answered(state)),
    Route("/api/images/{key}/{name}.nii", answered(image_file)),
    Route("/api/cases/{case}/image", answered(image)),
    Route("/api/cases/{case}/mask", answered(mask)),
    Route("/api/cases/{case}/decision", answered(decide), methods=["POST"]),
    Route("/api/cases/{case}/structure", answered(structure), methods=["POST"]),
    Route("/api/cases/{case}/comment", answered(comment), methods=["POST"]),
    Route("/api/cases/{case}/prepare", answered(prepare), methods=["POST"]),
    Route("/api/cases/{case}/stroke", answered(stroke), methods=["POST"]),
    Route("/api/cases/{case}/paint", answered(paint), methods=["POST"]),
    Route("/api/undo", answered(undo), methods=["POST"]),
]
