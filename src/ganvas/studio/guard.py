"""Request guard of the studio: checks Host, Origin, token and body size, and sets security headers.

The check of Host prevents DNS rebinding (a foreign name that resolves to this machine), that of Origin and
Sec-Fetch-Site prevents requests from other pages in the same browser. Responses have a content security policy that
blocks external resources.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["CSP", "REPORT_CSP", "Guard", "new_token"]

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_CSP = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'"
"""Content security policy of reports, which are user files and therefore run without scripts and origin."""
SAFE = ("GET", "HEAD")
JSON_BYTES = 2**20
"""Largest size of a request body in bytes, except for uploads."""
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def new_token() -> str:
    """Return a random token."""
    return secrets.token_urlsafe(24)


class Guard:
    """ASGI middleware that refuses requests that do not come from the studio's own page.

    Args:
        app: the application.
        host: address of the server, as the user gave it.
        port: port of the server.
        token: token required in every request, as a cookie that `/?token=...` sets; None if not required.
        uploads: prefix of the paths that accept large bodies and limit them themselves.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int, token: str | None, uploads: Sequence[str]) -> None:
        self._app, self._host, self._port, self._token = app, host.casefold(), port, token
        self._uploads = tuple(uploads)
        self._cookie = f"ganvas-studio-{port}"  # browsers share cookies among the ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # WebSockets are not used
        answer = self._refusal(scope)
        if answer is not None:
            await answer(scope, receive, _with_headers(send))
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response to a refused request, else None."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return _refused(421, "this address does not belong to the studio")
        origins = headers.getlist("origin")
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return _refused(403, "requests from other pages are refused")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _refused(403, "requests from other pages are refused")
        if scope["method"] not in SAFE and not origins:
            return _refused(403, "a request that changes data needs the header Origin")
        return self._oversized(scope, headers) or self._unknown(scope, headers)

    def _oversized(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"].startswith(self._uploads):
            return None
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit() or int(length) > JSON_BYTES:
            return _refused(413, "the request is too large")
        return None

    def _unknown(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the response to a request without the cookie, which is set if the address contains the token."""
        if self._token is None:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and _same(given, self._token):
            answer = RedirectResponse("/", status_code=303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        if _same(_cookie(headers, self._cookie), self._token):
            return None
        return _refused(401, "open the address with the token that `ganvas studio` printed")

    def _is_own(self, host: str) -> bool:
        """Return whether a Host header names this server."""
        name, port = _split(host.casefold())
        if port != str(self._port):
            return False
        if self._token is None or name == self._host:
            return name in {"127.0.0.1", "localhost", "[::1]", self._host}
        return _is_address(name) or name in {socket.gethostname().casefold(), "localhost"}


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and port.isdigit() else (host, "80")


def _is_address(name: str) -> bool:
    """Return whether a name is an IP address, which DNS cannot redirect."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _cookie(headers: Headers, name: str) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


def _refused(status: int, problem: str) -> Response:
    return JSONResponse({"error": problem}, status_code=status)


def _with_headers(send: Send) -> Send:
    """Add the headers of every response, unless the application has set them."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
