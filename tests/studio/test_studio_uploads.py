"""Uploads: those that are too slow, truncated or too large are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from ganvas.studio.storage import Limits
from ganvas.studio.uploads import TYPE, UploadProblem, receive_file

LIMITS = Limits(bytes=100, idle_seconds=0.05, upload_seconds=0.2)


def received(path: Path, messages: Iterator[dict[str, Any]], *, pause: float = 0.0, length: int | None = None) -> int:
    """Receive a body whose pieces arrive with pauses."""

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause)
        return next(messages)

    headers = [(b"content-type", TYPE.encode())]
    headers += [] if length is None else [(b"content-length", str(length).encode())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    return asyncio.run(receive_file(request, path, LIMITS))


def pieces(*sizes: int) -> Iterator[dict[str, Any]]:
    last = len(sizes) - 1
    return iter([
        {"type": "http.request", "body": bytes(size), "more_body": number < last} for number, size in enumerate(sizes)
    ])  # fmt: skip


def test_a_body_is_written_piece_by_piece(tmp_path: Path) -> None:
    assert received(tmp_path / "a", pieces(30, 40), length=70) == 70
    assert (tmp_path / "a").stat().st_size == 70


@pytest.mark.parametrize(
    ("messages", "options", "status"),
    [
        (pieces(1, 1), {"pause": 0.5}, 408),
        (pieces(*[1] * 50), {"pause": 0.02}, 408),
        (pieces(60, 60), {}, 413),
        (pieces(10), {"length": 200}, 413),
        (pieces(10), {"length": 20}, 400),
        (pieces(0), {}, 400),
        (iter([{"type": "http.request", "body": b"1", "more_body": True}, {"type": "http.disconnect"}]), {}, 400),
    ],
    ids=["idle", "slow", "large", "announced large", "short", "empty", "cut"],
)
def test_what_is_not_whole_and_in_time_is_refused(
    tmp_path: Path, messages: Iterator[dict[str, Any]], options: dict[str, Any], status: int
) -> None:
    with pytest.raises(UploadProblem) as problem:
        received(tmp_path / "a", messages, **options)
    assert problem.value.status == status
