"""Who may talk to the page's server: this machine's browser, that was given the token, and no other site's pages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_BODY = 2**20
"""Bytes of a request: strokes are points, and nothing else is sent here."""
SAFE = ("GET", "HEAD")
LOCKED = (
    "This page is locked: open the address that `oneshotseg browse` prints, with its token. Each token works once; a "
    "new one is printed then."
)
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self' data: blob:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""On everything that is sent, unless the answer has a header of that name."""


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(32)


@dataclass
class Door:
    """What lets a browser in.

    Attributes:
        hosts: Values of the Host header that are ours; another one is a name that somebody bent to this machine.
        cookie: Name of the cookie; browsers do not tell ports apart.
        token: What the next browser must bring.
        keys: The browsers that are in.
        on_used: Gets the new token when one was used.
    """

    hosts: tuple[str, ...]
    cookie: str = "oneshotseg"
    token: str = field(default_factory=new_token)
    keys: list[str] = field(default_factory=list)
    on_used: Callable[[str], None] = lambda token: None

    def admit(self, token: str) -> str:
        """The key of a browser that brought the token, which is used up then; '' if it is another one."""
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return ""
        self.token = new_token()
        self.keys.append(new_token())
        self.on_used(self.token)
        return self.keys[-1]

    def knows(self, key: str) -> bool:
        """Whether a browser is in."""
        return any([secrets.compare_digest(key.encode(), known.encode()) for known in self.keys])


class Guard:
    """Lets requests through to an application, or not.

    Args:
        app: The application.
        door: What lets a browser in.
    """

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have the application answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if scope["type"] == "websocket":
            if refusal is not None:
                await send({"type": "websocket.close", "code": 4403})
                return
            await self.app(scope, receive, send)
            return
        guarded = _with_headers(send)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self.app(scope, _limited(receive), guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        """What a request gets instead of an answer; None if it may pass."""
        host = headers.get("host", "")
        if host not in self.door.hosts:
            return PlainTextResponse("Expected this server's own name as the host, found another one.", 421)
        is_safe = scope["type"] == "http" and scope["method"] in SAFE
        if not is_safe and headers.get("origin") != f"http://{host}":
            return PlainTextResponse("Expected a request of this server's own page, found another one's.", 403)
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            # Another site's page may lead here (a link), but gets nothing.
            return PlainTextResponse("Expected a request of this server's own page, found another one's.", 403)
        if not self.door.knows(_cookie(headers, self.door.cookie)):
            return self._entrance(scope)
        return None if is_safe or scope["type"] == "websocket" else _unfit_body(headers)

    def _entrance(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "http" and scope["path"] == "/":
            token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
            key = self.door.admit(token)
            if key:
                answer = RedirectResponse("/", 303)
                answer.set_cookie(self.door.cookie, key, httponly=True, samesite="strict", path="/")
                return answer
        return PlainTextResponse(LOCKED, 401)


def _unfit_body(headers: Headers) -> ASGIApp | None:
    if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        return PlainTextResponse("Expected JSON, found other content: files are not taken.", 415)
    length = headers.get("content-length", "")
    if not length.isdecimal() or int(length) > LONGEST_BODY:
        return PlainTextResponse(f"Expected a request of at most {LONGEST_BODY} bytes, found a longer one.", 413)
    return None


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _limited(receive: Receive) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= LONGEST_BODY else {"type": "http.disconnect"}

    return limited


def _with_headers(send: Send) -> Send:
    async def wrapped(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return wrapped


def host_names(port: int, names: Iterable[str] = ("127.0.0.1", "localhost")) -> tuple[str, ...]:
    """The Host headers of a server on this port."""
    return tuple(f"{name}:{port}" for name in names)
