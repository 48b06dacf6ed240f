"""Cache of content-gate scores in SQLite, each row authenticated with a key of the user.

    <cache folder>/scores.sqlite   key -> score and proof
    <cache folder>/scores.key      32 random bytes, readable by the user alone

A row is valid when its proof is the HMAC-SHA-256 of its key and score. Rows that are corrupted or that were written
without the key are ignored; whoever can read the user's private files can forge rows. A failure of the database or the
key only costs time: the picture is scored again.
"""

from __future__ import annotations

import contextlib
import hmac
import sqlite3
import time
from collections.abc import Iterator
from typing import Final, Self

from ganvas.filesystem.paths import cache_folder, read_or_make_key

__all__ = ["ScoreCache"]

LONGEST_WAIT: Final = 5.0
"""Seconds that a process waits for a locked database in total."""
SHORT_WAIT: Final = 0.05
"""Seconds that each group of pictures waits after that."""


class _Patience:
    """Remaining time that this process waits for a locked database."""

    def __init__(self) -> None:
        self.left = LONGEST_WAIT

    @property
    def timeout(self) -> float:
        """Return the seconds that the next connection may wait."""
        return max(self.left, SHORT_WAIT)

    def spend(self, seconds: float) -> None:
        """Subtract a wait."""
        self.left -= seconds


_PATIENCE = _Patience()


class ScoreCache:
    """Cache of scores, opened for a group of pictures: `with ScoreCache() as cache:`.

    The file may disappear, be damaged, locked or read-only; pictures are then scored again. New scores are written
    together at the end of the block.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._secret: bytes | None = None
        self._new: dict[str, float] = {}

    def __enter__(self) -> Self:
        with self._discarding():
            self._secret = read_or_make_key(cache_folder() / "scores.key")
            if self._secret is not None:
                self._connection = _open_database()
        return self

    def __exit__(self, *_: object) -> None:
        rows = [(key, score, self._proof(key, score)) for key, score in self._new.items()]
        with self._discarding():
            if rows and (connection := self._connection):
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)
        self._close()

    def recall(self, key: str) -> float | None:
        """Return the score cached under this key; None if there is none or it fails authentication."""
        if key in self._new:
            return self._new[key]
        row = None
        with self._discarding():
            if self._connection:
                row = self._connection.execute("SELECT score, proof FROM scores WHERE key = ?", (key,)).fetchone()
        if row is None or not isinstance(row[0], float) or not isinstance(row[1], str) or not row[1].isascii():
            return None
        return row[0] if hmac.compare_digest(row[1], self._proof(key, row[0])) else None

    def remember(self, key: str, score: float) -> None:
        """Add a score, which is written at the end of the block."""
        self._new[key] = score

    def _proof(self, key: str, score: float) -> str:
        return hmac.digest(self._secret or b"", f"{key} {score!r}".encode(), "sha256").hex()

    @contextlib.contextmanager
    def _discarding(self) -> Iterator[None]:
        """Continue without the cache if the file fails; remove the file unless it is locked or read-only."""
        started = time.monotonic()
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._close()
            if isinstance(error, sqlite3.OperationalError):
                _PATIENCE.spend(time.monotonic() - started)
            elif isinstance(error, sqlite3.DatabaseError):
                with contextlib.suppress(OSError):
                    (cache_folder() / "scores.sqlite").unlink(missing_ok=True)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _open_database() -> sqlite3.Connection:
    connection = sqlite3.connect(cache_folder() / "scores.sqlite", timeout=_PATIENCE.timeout)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score REAL, proof TEXT)")
    except BaseException:
        connection.close()
        raise
    return connection
