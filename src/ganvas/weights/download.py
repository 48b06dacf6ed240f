"""Downloads over HTTP: resumed after interruptions, verified and published atomically."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPMessage, HTTPResponse
from io import FileIO
from pathlib import Path
from typing import IO
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from filelock import FileLock

from ganvas.errors import NO_SPACE_ERRORS, WeightsError
from ganvas.filesystem.paths import sha256_of
from ganvas.progress import Progress, progress_bars

__all__ = ["Download", "download", "open_rest", "starts_at", "version_mark"]

FAILURES = 3
"""Number of consecutive failures without data after which a download is aborted."""
PAUSE = 1.0
"""Seconds before the second attempt; doubles before each further one."""
CHUNK = 1 << 20
NO_SPACE_REMEDY = "free some, or set GANVAS_CACHE to another folder"
TRANSIENT = (408, 416, 425, 429)
"""HTTP status codes from 400 to 499 that justify another attempt."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """Address, size and hash of a file."""

    address: str
    """http or https; a proxy is taken from the environment."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 as 64 hexadecimal digits."""


def download(wanted: Download, target: Path, *, progress: bool = True) -> None:
    """Download a file, unless it exists.

    A partial download is a hidden file beside the target, and this call or a later one resumes it. A file with a wrong
    hash is removed. One of several processes downloads, and the others wait for it.

    Args:
        wanted: the file.
        target: output path in an existing folder.
        progress: whether to show a progress bar.

    Raises:
        WeightsError: no connection, no disk space, or a wrong hash.
    """
    with FileLock(target.with_name(f".{target.name}.lock")):
        if target.is_file():
            return
        part = _Part(target)
        _require_space(target.parent, wanted.size - part.size)
        with progress_bars(shown=progress) as report_progress:
            _fetch_verified(wanted, part, report_progress)
        part.become(target)


class _Part:
    """Partial download, and the server's validator (entity tag or date) of its version."""

    def __init__(self, target: Path) -> None:
        self.name = target.name
        self.path = target.with_name(f".{target.name}.part")
        self._mark = target.with_name(f".{target.name}.version")

    @property
    def mark(self) -> str:
        """Validator; empty if the server sent none, and then the download cannot resume."""
        return self._mark.read_text(encoding="utf-8") if self._mark.is_file() else ""

    @property
    def size(self) -> int:
        """Return the number of bytes from which to resume."""
        return self.path.stat().st_size if self.mark and self.path.is_file() else 0

    def restart(self, mark: str) -> None:
        """Discard the downloaded bytes, because another version follows."""
        self.path.unlink(missing_ok=True)
        self._mark.write_text(mark, encoding="utf-8")

    def remove(self) -> None:
        """Remove all files of the partial download."""
        self.path.unlink(missing_ok=True)
        self._mark.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Verify the download, and move it to the target atomically."""
        self.path.replace(target)
        self._mark.unlink(missing_ok=True)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise WeightsError(
            f"{folder} has {free / 1e6:.0f} MB free, {needed / 1e6:.0f} MB are needed; {NO_SPACE_REMEDY}"
        )


def _fetch_verified(wanted: Download, part: _Part, report_progress: Progress) -> None:
    was_resumed = part.size > 0
    _fetch(wanted, part, report_progress)
    found = sha256_of(part.path)
    if found != wanted.sha256 and was_resumed:  # an earlier partial download may belong to another file
        part.remove()
        _fetch(wanted, part, report_progress)
        found = sha256_of(part.path)
    if found != wanted.sha256:
        part.remove()
        raise WeightsError(
            f"{wanted.address} returned a file with SHA-256 {found}, expected {wanted.sha256}; it is removed"
        )


def _fetch(wanted: Download, part: _Part, report_progress: Progress) -> None:
    """Download with retries, at most `FAILURES` times in a row without data."""
    failures = 0
    while True:
        before = part.size
        try:
            _fetch_rest(wanted, part, report_progress)
            return
        except (OSError, HTTPException) as problem:
            reason = problem
        _require_transient(wanted, part, reason)
        failures = 1 if part.size > before else failures + 1
        if failures == FAILURES:
            raise WeightsError(f"{wanted.address} cannot be downloaded: {reason}") from reason
        time.sleep(PAUSE * 2 ** (failures - 1))


def _require_transient(wanted: Download, part: _Part, reason: Exception) -> None:
    if not isinstance(reason, HTTPError):
        return
    reason.close()
    if reason.code == 416:  # the partial download is longer than the server's file
        part.remove()
    elif reason.code < 500 and reason.code not in TRANSIENT:
        raise WeightsError(f"{wanted.address} responded with {reason.code} {reason.reason}") from reason


def _fetch_rest(wanted: Download, part: _Part, report_progress: Progress) -> None:
    """Download the rest over one connection.

    Raises:
        OSError, http.client.HTTPException: the connection ended early.
        WeightsError: no disk space, or more bytes than expected.
    """
    if 0 < part.size == wanted.size:
        return
    with open_rest(wanted.address, start=part.size, mark=part.mark) as response:
        first = starts_at(response)
        if first not in (0, part.size):
            part.remove()
            raise ConnectionError(f"the server resumed at byte {first}")
        if first == 0:
            part.restart(version_mark(response.headers))
        done = _copy(response, part, report_progress, wanted.size)
    if done < wanted.size:
        raise ConnectionError(f"the connection ended after {done} of {wanted.size} bytes")


def _copy(response: HTTPResponse, part: _Part, report_progress: Progress, size: int) -> int:
    """Append the response; return the total number of bytes."""
    try:
        with FileIO(part.path, "a") as file:
            done = file.tell()
            while chunk := response.read(CHUNK):
                done += _write(file, chunk)
                report_progress(f"{part.name} (kB)", done // 1000, size // 1000)
                if done > size:
                    raise WeightsError(f"the server sends more than the {size} bytes of {part.name}")
            os.fsync(file.fileno())
    except WeightsError:
        part.remove()
        raise
    return done


def _write(file: FileIO, chunk: bytes) -> int:
    """Write all bytes; return their number."""
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as problem:
        if problem.errno in NO_SPACE_ERRORS:
            raise WeightsError(f"{file.name}: {problem.strerror}; {NO_SPACE_REMEDY}") from problem
        raise
    return len(chunk)


TIMEOUT = 30.0
"""Timeout in seconds without a response or data."""
SCHEMES = ("http", "https")


def open_rest(address: str, *, start: int, mark: str) -> HTTPResponse:
    """Request the file from byte `start`, if the server still has the version `mark`; else the whole file.

    Raises:
        WeightsError: the address is, or redirects to, another scheme.
        OSError, http.client.HTTPException: no response, or urllib.error.HTTPError.
    """
    if urlsplit(address).scheme not in SCHEMES:
        raise WeightsError(f"{address}: only http and https addresses are supported")
    response = _opener().open(_Rest(address, start=start, mark=mark), timeout=TIMEOUT)
    assert isinstance(response, HTTPResponse), "the only handlers are those of http"
    return response


def starts_at(response: HTTPResponse) -> int:
    """Return the first byte of a response: nonzero only if the server resumed."""
    if response.status != 206:
        return 0
    _, _, extent = (response.getheader("Content-Range") or "").partition("bytes ")
    first = extent.partition("-")[0]
    return int(first) if first.isdecimal() else -1


def version_mark(headers: Message) -> str:
    """Return the validator for If-Range (RFC 9110, 13.1.5): a strong entity tag, else the last change, else nothing."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "")


class _Rest(request.Request):
    """Response with a file from a given byte on."""

    def __init__(self, address: str, *, start: int, mark: str) -> None:
        headers = {"User-Agent": "ganvas", "Accept-Encoding": "identity"}
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": mark}
        super().__init__(address, headers=headers)


class _SafeRedirect(request.HTTPRedirectHandler):
    """Redirect handler that follows to https, and from http to http."""

    def redirect_request(
        self, req: request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> request.Request | None:
        """Return the redirected request; refuse a less secure scheme."""
        if urlsplit(newurl).scheme not in ("https", urlsplit(req.full_url).scheme):
            raise WeightsError(f"{req.full_url} redirects to {newurl}; only redirects to https are followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """Return an opener for http(s) and the system's proxy only; urllib's default also reads file: and ftp:."""
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
