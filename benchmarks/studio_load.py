"""Load test of the studio over loopback: eight clients with mixed requests, one in ten of them hostile.

    python benchmarks/studio_load.py --out studio_load.json

Starts `ganvas studio` on a free port with a run of random weights and a private temporary folder. Good requests upload,
redact, translate, read and remove; hostile ones send wrong types, bombs, truncated bodies or huge forms, are too slow,
or try paths and foreign origins. All good requests must succeed, no hostile one may be accepted, the memory must return
to within 10 % of that after a first round, and no file may remain. Takes about two minutes.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganvas.image.picture import PictureSpec
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record

CLIENTS, REQUESTS, HOSTILE_EVERY = 8, 200, 10
WARM_UP = 24
SLOW_SECONDS = 17.0
"""Pause longer than the studio's timeout for the next piece of an upload."""
HUGE = 600 * 2**20
KEPT_MEMORY = 1.10


def picture(number: int, side: int = 256) -> bytes:
    """Return a PNG file of smooth noise."""
    small = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(small).resize((side, side)).save(file, format="PNG")
    return file.getvalue()


def bomb() -> bytes:
    """Return a PNG file whose header declares 3.6 billion pixels."""
    head = bytearray(picture(0))
    head[16:24] = (60_000).to_bytes(4) * 2
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4)
    return bytes(head)


class Client:
    """Client of the studio, with a new connection for each request."""

    def __init__(self, port: int) -> None:
        self.port, self.origin = port, f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return status and content. In header names, _ stands for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        sent = {"origin": self.origin} | {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            content = answer.read()
            is_json = answer.getheader("content-type", "").startswith("application/json")
            return answer.status, json.loads(content) if is_json else content
        except (ConnectionError, http.client.HTTPException):
            return 0, None
        finally:
            connection.close()

    def upload(self, content: bytes, name: str = "a.png", **headers: str) -> tuple[int, Any]:
        """Upload a file."""
        return self.ask(
            "POST", "/api/files", content, **{"content_type": "application/octet-stream", "x_name": name} | headers
        )

    def job(self, kind: str, **request: Any) -> bool:
        """Start a job and wait for its end; return whether it succeeded."""
        status, started = self.ask("POST", f"/api/jobs/{kind}", json.dumps(request).encode())
        while status == 202:
            _, jobs = self.ask("GET", "/api/jobs")
            (state,) = [one["state"] for one in jobs if one["id"] == started["id"]]
            if state not in ("queued", "running"):
                return bool(state == "done")
            time.sleep(0.2)
        return False

    def partial(self, head: bytes, pieces: list[bytes], pause: float) -> int:
        """Send the head of a request and pieces of its body, with pauses; return the status, 0 if it disconnects."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.connect()
            assert connection.sock is not None
            connection.sock.sendall(head)
            for piece in pieces:
                connection.sock.sendall(piece)
                time.sleep(pause)
            found = re.match(rb"HTTP/1\.1 (\d+)", connection.sock.recv(1000))
            return int(found[1]) if found else 0
        except OSError:
            return 0
        finally:
            connection.close()


def head(port: int, length: int, kind: str = "application/octet-stream") -> bytes:
    """Return the head of an upload request."""
    return (
        f"POST /api/files HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def good(client: Client, number: int, run: str) -> bool:
    """Send one of the good requests, and remove the upload; return whether it succeeded."""
    if number % 4 == 3:
        paths = ("/", "/api/state", "/api/library", "/api/files", "/assets/style.css", f"/api/runs/{run}")
        return client.ask("GET", paths[number % len(paths)])[0] == 200
    status, upload = client.upload(picture(number), f"{number}.png")
    if status != 201:
        return False
    done = client.ask("GET", f"/pieces/{upload['view']}")[0] == 200
    if number % 4 == 1:
        mask = Image.new("L", (256, 256))
        mask.paste(255, (20, 20, 90, 90))
        file = BytesIO()
        mask.save(file, format="PNG")
        address = f"/api/files/{upload['id']}/mask"
        done &= client.ask("PUT", address, file.getvalue(), content_type="application/octet-stream")[0] == 200
        done &= client.job("redact", files=[upload["id"]], strength={"style": "mosaic"})
    if number % 4 == 2:
        done &= client.job("translate", files=[upload["id"]], run=run)
    return done and client.ask("DELETE", f"/api/files/{upload['id']}")[0] == 200


def hostile(client: Client, number: int) -> tuple[str, int]:
    """Send a request that must be refused; return its kind and the status."""
    port = client.port
    tricks: dict[str, Callable[[], int]] = {
        "wrong type": lambda: client.upload(b"\x7fELF" + bytes(5000))[0],
        "bomb": lambda: client.upload(bomb())[0],
        "cut short": lambda: client.upload(picture(1)[:-2000])[0],
        "connection cut": lambda: client.partial(head(port, 10_000), [bytes(100)], 0.1),
        "huge form": lambda: client.partial(head(port, HUGE, "multipart/form-data; boundary=x"), [bytes(2**16)], 0),
        "huge file": lambda: client.upload(b"", content_length=str(HUGE))[0],
        "slow upload": lambda: client.partial(head(port, 10_000), [bytes(10)], SLOW_SECONDS),
        "path": lambda: client.ask("GET", "/pieces/..%2f..%2f..%2fetc%2fpasswd")[0],
        "foreign host": lambda: client.ask("GET", "/api/files", host="evil.example")[0],
        "foreign origin": lambda: client.upload(picture(2), origin="http://evil.example")[0],
    }
    name = list(tricks)[number % len(tricks)]
    return name, tricks[name]()


def tree(pid: int) -> list[int]:
    """Return a process and its descendants, whichever thread started them."""
    lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    return [pid, *(one for children in lists for child in map(int, children) for one in tree(child))]


def memory(pid: int) -> float:
    """Return the resident memory of the studio and its workers, in MB."""
    rss = (re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{one}/status").read_text()) for one in tree(pid))
    return sum(int(found[1]) for found in rss if found) / 1024


def make_run(folder: Path) -> None:
    """Write a run with random weights."""
    method = Pix2PixConfig(width=8, depth=3, dropout=0.0)
    record = RunRecord(method=method, input=PictureSpec(), output=PictureSpec(), image_size=(64, 64))
    write_run_record(folder, record)
    torch.manual_seed(0)
    network = build(method, input_channels=3, output_channels=3, image_size=(64, 64))
    save_snapshot(snapshot_path(folder, "last"), network.eval(), images_seen=1)


class Load:
    """Requests that the clients take one after the other, and their results."""

    def __init__(self, port: int, run: str) -> None:
        self.port, self.run = port, run
        self.seconds: list[float] = []
        self.failed: list[int] = []
        self.refused: Counter[str] = Counter()
        self.accepted: list[str] = []
        self._lock = threading.Lock()

    def go(self, numbers: range) -> None:
        """Send all requests from `CLIENTS` threads."""
        left = iter(numbers)

        def work() -> None:
            client = Client(self.port)
            while True:
                with self._lock:
                    number = next(left, None)
                if number is None:
                    return
                self._one(client, number)

        threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _one(self, client: Client, number: int) -> None:
        started = time.monotonic()
        if number % HOSTILE_EVERY == HOSTILE_EVERY - 1:
            name, status = hostile(client, number // HOSTILE_EVERY)
            with self._lock:
                self.refused[f"{name}: {status}"] += 1
                if status and status < 400:
                    self.accepted.append(name)
        else:
            succeeded = good(client, number, self.run)
            with self._lock:
                self.seconds.append(time.monotonic() - started)
                if not succeeded:
                    self.failed.append(number)


def measure(place: Path) -> dict[str, Any]:
    """Start a studio, run the load test, and return the figures."""
    make_run(place / "root" / "run")
    (place / "tmp").mkdir()
    words = [
        sys.executable,
        "-u",
        "-m",
        "ganvas",
        "studio",
        "--port",
        "0",
        "--no-browser",
        "--root",
        str(place / "root"),
    ]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(place / "tmp")}
    ) as studio:
        assert studio.stdout is not None
        found = re.search(r":(\d+)/", studio.stdout.readline())
        assert found
        port = int(found[1])
        (run,) = [one["id"] for one in Client(port).ask("GET", "/api/library")[1]["runs"]]
        warm = Load(port, run)
        warm.go(range(WARM_UP))
        before = memory(studio.pid)
        load, started = Load(port, run), time.monotonic()
        load.go(range(1000, 1000 + REQUESTS))
        seconds = time.monotonic() - started
        time.sleep(2)
        after = memory(studio.pid)
        left = [str(path.relative_to(place / "tmp")) for path in (place / "tmp").rglob("*") if path.is_file()]
        studio.terminate()
        studio.wait()
    gone = not any((place / "tmp").iterdir())
    return {
        "requests": REQUESTS, "clients": CLIENTS, "seconds": round(seconds, 1), "good": len(load.seconds),
        "good failed": load.failed, "median seconds": round(statistics.median(load.seconds), 2),
        "slowest seconds": round(max(load.seconds), 2),
        "hostile": dict(load.refused), "hostile accepted": load.accepted,
        "memory before, MB": round(before), "memory after, MB": round(after), "files left": left,
        "folder removed at exit": gone, "exit code": studio.returncode,
    }  # fmt: skip


def main() -> int:
    """Print the figures, write them as JSON, and return 1 if a requirement is not met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("studio_load.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measure(Path(place))
    options.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=2))
    grown = figures["memory after, MB"] > KEPT_MEMORY * figures["memory before, MB"]
    wrong = figures["good failed"] or figures["hostile accepted"] or figures["files left"] or grown
    return int(bool(wrong) or not figures["folder removed at exit"])


if __name__ == "__main__":
    sys.exit(main())
