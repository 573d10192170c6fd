"""What routes have in common: JSON that is checked, errors as one sentence."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from OneShotSegLib.browser.desk import Desk, ForbiddenError
from OneShotSegLib.browser.strokes import Stroke
from OneShotSegLib.errors import InputError
from OneShotSegLib.interface.jobs.worker import AlreadyRunningError
from OneShotSegLib.troubles import file_sentence
from OneShotSegLib.worker.client import WorkerError

log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


def answered(handler: Handler) -> Handler:
    """A route whose errors come back as one sentence."""

    async def route(request: Request) -> Response:
        try:
            return await handler(request)
        except ForbiddenError as error:
            return sentence(str(error), 403)
        except (InputError, AlreadyRunningError, WorkerError) as error:
            return sentence(str(error), 409)
        except OSError as error:
            return sentence(file_sentence(error), 409)
        except MemoryError:
            return sentence("Expected enough memory for this, found too little.", 409)

    return route


def sentence(text: str, status: int) -> JSONResponse:
    """An error."""
    return JSONResponse({"error": text}, status)


def desk_of(request: Request) -> Desk:
    """What the pages share."""
    desk: Desk = request.app.state.desk
    return desk


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent.

    Raises:
        InputError: If it is none.
    """
    try:
        content = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InputError("Expected a JSON object, found other content.") from error
    if not isinstance(content, dict):
        raise InputError("Expected a JSON object, found other JSON.")
    return content


def text_of(content: dict[str, Any], name: str, longest: int = 2000) -> str:
    """A text of what was sent.

    Raises:
        InputError: If it is none, or too long.
    """
    value = content.get(name)
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"{name}: expected a text of at most {longest} letters, found another.")
    return value


async def stroke_of(request: Request) -> tuple[Stroke, str, str]:
    """The stroke that was sent, its number, and the key of the CT that it is for; '' for what was not said.

    Raises:
        InputError: If there is none.
    """
    content = await body_of(request)
    number, key = (one if isinstance(one, str) else "" for one in (content.get("id"), content.get("key")))
    return Stroke.parse(content.get("stroke")), number, key
