"""Routes of runs: propagate, cancel, export, report; and the WebSocket that tells how they go."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from OneShotSegLib.browser.desk import Desk
from OneShotSegLib.browser.replies import answered, body_of, desk_of, text_of
from OneShotSegLib.errors import InputError
from OneShotSegLib.evaluation.agreement import agreements, decisions_of
from OneShotSegLib.interface.exports import ExportFormat, plan_export
from OneShotSegLib.interface.jobs import commands
from OneShotSegLib.interface.jobs.runs import RunPlan
from OneShotSegLib.interface.known_inputs import known_queries, known_supports
from OneShotSegLib.runner.request import PropagationRequest

EXPORTS_SUFFIX = "-exports"
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {scripts}; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'; sandbox allow-scripts"
)
"""The report is one file with its script inside, which is named by its hash; a sandbox keeps it from all else here."""
SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


async def propagate(request: Request) -> Response:
    """Propagate the support's strokes; what was decided stays, and reviewed cases are supports too."""
    desk = desk_of(request)
    desk.require_author()
    await body_of(request)
    await desk.support.load()
    supports = known_supports(desk.whole_study)
    draft = desk.support.draft
    if draft is not None and (draft.text.strokes or not supports):
        findings = [finding.text for finding in await desk.support.check() if finding.forbids]
        if findings:
            raise InputError(" ".join(findings))
        own = Path(draft.text.ct)
        others = [(ct, scribbles) for ct, scribbles in supports if ct.resolve() != own.resolve()]
        supports = [(own, await asyncio.to_thread(draft.write)), *others]
    queries, series = list(desk.request.cts), desk.choices.series
    if draft is not None and draft.text.series not in ("", *series):
        series = (*series, draft.text.series)
    if not queries:
        queries, series = known_queries(desk.whole_study)
    if not supports or not queries:
        raise InputError("Expected a support with strokes and CTs to propagate to, found none.")
    wanted = PropagationRequest(
        supports=[ct for ct, _scribbles in supports],
        scribbles=[scribbles for _ct, scribbles in supports],
        queries=queries,
        output=desk.request.study,
        weights=desk.request.weights,
        device=desk.request.device,
        series=series,
    )
    desk.runs.start(
        RunPlan(title="Propagating", arguments=commands.propagate(wanted), folder=desk.request.study, makes_cases=True)
    )
    return JSONResponse(desk.runs.as_json())


async def cancel(request: Request) -> Response:
    """Stop the run; what was done is kept."""
    desk = desk_of(request)
    desk.require_writable()
    await body_of(request)
    desk.runs.cancel()
    return JSONResponse(desk.runs.as_json())


async def export(request: Request) -> Response:
    """Write what was reviewed, next to the study."""
    desk = desk_of(request)
    desk.require_author()
    content = await body_of(request)
    try:
        format_ = ExportFormat(text_of(content, "format"))
    except ValueError as error:
        raise InputError("Expected one of the formats that are offered, found another.") from error
    study = desk.whole_study
    folder = study.root.with_name(study.root.name + EXPORTS_SUFFIX)
    folder.mkdir(exist_ok=True)
    accepted_only = content.get("accepted_only") is not False
    arguments, target = plan_export(study, format_, folder, accepted_only, _free_name(folder, study.root.name, format_))

    def exported() -> None:
        desk.exports[target.name] = target
        desk.events.send("exported", path=str(target), name=target.name if target.is_file() else "")

    desk.runs.start(RunPlan(title=f"Exporting {format_.label()}", arguments=arguments, folder=folder), exported)
    return JSONResponse({"path": str(target)})


def _free_name(folder: Path, study: str, format_: ExportFormat) -> str:
    """A name for an export that nothing has; those of before stay."""
    ending = ".zip" if format_ is ExportFormat.ZIP else ""
    stem, number = f"{study}-{format_.value}", 1
    while (folder / f"{stem}{'' if number == 1 else f'-{number}'}{ending}").exists():
        number += 1
    return f"{stem}{'' if number == 1 else f'-{number}'}{ending}"


async def exported_file(request: Request) -> Response:
    """A zip that was exported here."""
    path = desk_of(request).exports.get(request.path_params["name"])
    if path is None or not path.is_file():
        raise InputError("Expected a file that was exported here, found none of that name.")
    return FileResponse(path, filename=path.name)


async def write_report(request: Request) -> Response:
    """Write the report anew."""
    desk = desk_of(request)
    desk.require_author()
    await body_of(request)
    study = desk.whole_study
    plan = RunPlan(title="Writing the report", arguments=commands.report(study.root), folder=study.root)
    desk.runs.start(plan, lambda: desk.events.send("report"))
    return JSONResponse(desk.runs.as_json())


async def report(request: Request) -> Response:
    """The report, or a further page of it."""
    number = request.path_params.get("number", 1)
    path = desk_of(request).whole_study.report_page(number)
    if not path.is_file():
        raise InputError("Expected a report, found none: write it first.")
    content = await asyncio.to_thread(path.read_bytes)
    hashes = [b64encode(hashlib.sha256(script).digest()).decode() for script in SCRIPT.findall(content)]
    scripts = " ".join(f"'sha256-{one}'" for one in hashes) or "'none'"
    policy = {"content-security-policy": REPORT_POLICY.format(scripts=scripts)}
    return Response(content, media_type="text/html", headers=policy)


async def readers(request: Request) -> Response:
    """The readers' decisions side by side, and how far they agree."""
    study = desk_of(request).whole_study
    decisions = await asyncio.to_thread(decisions_of, study)
    found = await asyncio.to_thread(agreements, study)
    return JSONResponse(
        {
            "decisions": {
                reader: {case: {"state": e.state, "comment": e.comment} for case, e in entries.items()}
                for reader, entries in decisions.items()
            },
            "pairs": [
                {
                    "first": one.first,
                    "second": one.second,
                    "cases": one.cases,
                    "same": one.same,
                    "kappa": one.kappa,
                    "dice": dict(one.dice),
                    "masks": one.masks,
                    "notes": list(one.notes),
                }
                for one in found
            ],
        }
    )


async def events(socket: WebSocket) -> None:
    """Tell a page what happens, until it is closed."""
    desk: Desk = socket.app.state.desk
    await socket.accept()
    with desk.events.listening() as queue:
        await socket.send_json({"kind": "hello", **desk.state()})
        sending = asyncio.create_task(_send_all(socket, queue))
        with contextlib.suppress(WebSocketDisconnect):
            while True:  # nothing is expected but the end
                await socket.receive_text()
        sending.cancel()


async def _send_all(socket: WebSocket, queue: asyncio.Queue[dict[str, Any]]) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.send_json(await queue.get())


ROUTES = [
    Route("/api/propagate", answered(propagate), methods=["POST"]),
    Route("/api/cancel", answered(cancel), methods=["POST"]),
    Route("/api/export", answered(export), methods=["POST"]),
    Route("/api/exports/{name}", answered(exported_file)),
    Route("/api/report", answered(write_report), methods=["POST"]),
    Route("/report.html", answered(report)),
    Route("/report-{number:int}.html", answered(report)),
    Route("/api/readers", answered(readers)),
    WebSocketRoute("/api/events", events),
]
