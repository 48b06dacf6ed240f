"""Reception of uploads: writes request bodies to files, with limits on size and time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.requests import ClientDisconnect, Request

from ganvas.studio.storage import Limits

__all__ = ["UploadProblem", "receive_file"]

TYPE = "application/octet-stream"
"""Media type of uploads, which a form of another page cannot send without a CORS preflight."""


class UploadProblem(Exception):
    """Refused upload.

    Args:
        status: HTTP status of the response.
        problem: message.
    """

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        super().__init__(problem)


async def receive_file(request: Request, path: Path, limits: Limits, *, most: int | None = None) -> int:
    """Write the body of a request to a file and return its size.

    Args:
        request: request with the file as its body.
        path: path of the file.
        limits: bytes and times.
        most: largest number of bytes, instead of `limits.bytes`.

    Raises:
        UploadProblem: the upload has another media type, or is too large, too slow, empty or truncated.
    """
    limit = limits.bytes if most is None else most
    if request.headers.get("content-type", "") != TYPE:
        raise UploadProblem(415, f"send the bytes of the file as {TYPE}")
    announced = request.headers.get("content-length")
    if announced is not None and (not announced.isdigit() or int(announced) > limit):
        raise UploadProblem(413, f"larger than {limit / 2**20:.0f} MB")
    received, deadline = 0, time.monotonic() + limits.upload_seconds
    with path.open("wb") as file:
        async for piece in _pieces(request, limits, deadline):
            received += len(piece)
            if received > limit:
                raise UploadProblem(413, f"larger than {limit / 2**20:.0f} MB")
            await asyncio.to_thread(file.write, piece)
    if received == 0 or (announced is not None and received != int(announced)):
        raise UploadProblem(400, "the upload is empty or truncated")
    return received


async def _pieces(request: Request, limits: Limits, deadline: float) -> AsyncIterator[bytes]:
    """Yield the pieces of a body; raise if the next one takes too long."""
    stream = aiter(request.stream())
    while True:
        patience = min(limits.idle_seconds, deadline - time.monotonic())
        try:
            yield await asyncio.wait_for(anext(stream), max(patience, 0.0))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadProblem(408, "the upload was too slow") from None
        except ClientDisconnect:
            raise UploadProblem(400, "the upload was interrupted") from None
