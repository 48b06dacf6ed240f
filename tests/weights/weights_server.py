"""Local server of one file, with simulated failures."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Server with its file, its failures, and the received requests."""

    content: bytes
    etag: str | None = '"first"'
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """For each request in turn, number of bytes of the body after which the connection is cut."""
    statuses: list[int] = field(default_factory=list)
    """For each request in turn, an error status."""
    location: str | None = None
    address: str = ""
    asked: list[str | None] = field(default_factory=list)
    """Range header of each request."""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.asked.append(asked)
        if self.location:
            handler.send_response(302)
            handler.send_header("Location", self.location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
        elif self.statuses:
            handler.send_error(self.statuses.pop(0))
        else:
            fits = handler.headers.get("If-Range") == self.etag
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges and fits else 0
            self.send_from(handler, start)

    def send_from(self, handler: BaseHTTPRequestHandler, start: int) -> None:
        body = self.content[start:]
        handler.send_response(206 if start else 200)
        if start:
            last = len(self.content) - 1
            handler.send_header("Content-Range", f"bytes {start}-{last}/{len(self.content)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve during the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

        def log_error(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.address = f"http://127.0.0.1:{listener.server_address[1]}/weights.bin"
        thread = threading.Thread(target=lambda: listener.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
