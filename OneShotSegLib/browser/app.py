"""The page's application: its routes, its files, and the guard in front of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from OneShotSegLib.browser import review_routes, run_routes, support_routes
from OneShotSegLib.browser.desk import Desk
from OneShotSegLib.browser.security import Door, Guard

PAGE = Path(__file__).parent / "page"


def make_app(make_desk: Callable[[], Desk], door: Door) -> Starlette:
    """The application.

    Args:
        make_desk: Makes what the pages share, in the event loop's thread.
        door: What lets a browser in.
    """

    @contextlib.asynccontextmanager
    async def life(app: Starlette) -> AsyncIterator[None]:
        desk = app.state.desk = make_desk()
        tasks = [asyncio.create_task(desk.watch()), asyncio.create_task(desk.begin())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            desk.close()

    routes = [
        Route("/", _index),
        *review_routes.ROUTES,
        *support_routes.ROUTES,
        *run_routes.ROUTES,
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Starlette(routes=routes, lifespan=life, middleware=[Middleware(Guard, door=door)])


async def _index(_request: Request) -> Response:
    return FileResponse(PAGE / "index.html", media_type="text/html")
