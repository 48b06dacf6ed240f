"""HTTP as a download needs it: the rest of a file, no scheme but http(s), no step down from https."""

from __future__ import annotations

from email.message import Message
from http.client import HTTPMessage, HTTPResponse
from typing import IO
from urllib import request
from urllib.parse import urlsplit

from ganvas.errors import WeightsError

__all__ = ["open_rest", "starts_at", "version_mark"]

TIMEOUT = 30.0
"""Seconds without an answer or a byte."""
SCHEMES = ("http", "https")


def open_rest(address: str, *, start: int, mark: str) -> HTTPResponse:
    """The file from byte `start`, if the server still has the version `mark`; else the whole file.

    Raises:
        WeightsError: the address is, or redirects to, another scheme.
        OSError, http.client.HTTPException: no answer, or urllib.error.HTTPError.
    """
    if urlsplit(address).scheme not in SCHEMES:
        raise WeightsError(f"{address}: only http and https addresses are fetched")
    response = _opener().open(_Rest(address, start=start, mark=mark), timeout=TIMEOUT)
    assert isinstance(response, HTTPResponse), "the only handlers are those of http"
    return response


def starts_at(response: HTTPResponse) -> int:
    """The first byte that an answer gives: not 0 only where the server could resume."""
    if response.status != 206:
        return 0
    _, _, extent = (response.getheader("Content-Range") or "").partition("bytes ")
    first = extent.partition("-")[0]
    return int(first) if first.isdecimal() else -1


def version_mark(headers: Message) -> str:
    """What If-Range takes: a strong entity tag, else the date of the last change, else nothing (RFC 9110, 13.1.5)."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


class _Rest(request.Request):
    """A GET of a file from one byte on."""

    def __init__(self, address: str, *, start: int, mark: str) -> None:
        headers = {"User-Agent": "ganvas", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": mark}
        super().__init__(address, headers=headers)


class _SafeRedirect(request.HTTPRedirectHandler):
    """Follows to https, and from http to http."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> request.Request | None:
        """The request to follow with, refused where it is less safe."""
        if urlsplit(newurl).scheme not in ("https", urlsplit(req.full_url).scheme):
            raise WeightsError(f"{req.full_url} redirects to {newurl}; that is not followed, only https is")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Of urllib's handlers those for http(s) and the system's proxy; its default opener reads file: and ftp: too."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        _SafeRedirect(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
