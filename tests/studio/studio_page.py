"""Running studio with its guard, queues and worker processes, for tests that act as its page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient
from studio_workers import refuse_red

from ganvas.image.picture import PictureSpec
from ganvas.methods import Pix2PixConfig
from ganvas.methods.base import build
from ganvas.runs.record import RunRecord, save_snapshot, snapshot_path, write_run_record
from ganvas.studio import StudioConfig
from ganvas.studio.app import make_app
from ganvas.studio.guard import Guard
from ganvas.studio.job_requests import Studio
from ganvas.studio.serve import opened_studio
from ganvas.studio.storage import Limits

ORIGIN = {"origin": "http://127.0.0.1"}
BYTES = {"content-type": "application/octet-stream"}
LIMITS = Limits(bytes=2**20, pixels=250_000, files=20, idle_seconds=0.3)


def png(color: tuple[int, int, int] = (40, 90, 200), size: tuple[int, int] = (48, 32)) -> bytes:
    """Return a PNG file of a picture with some structure."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8) + np.array(color, np.uint8)
    pixels[4:12, 4:20] = 250 - pixels[4:12, 4:20]
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def make_run(folder: Path) -> Path:
    """Write a run with random weights."""
    method = Pix2PixConfig(width=4, depth=2, dropout=0.0, discriminator_width=4, receptive_field=16)
    record = RunRecord(method=method, input=PictureSpec(), output=PictureSpec(), image_size=(16, 16))
    write_run_record(folder, record)
    with torch.random.fork_rng():
        network = build(method, input_channels=3, output_channels=3, image_size=(16, 16))
    save_snapshot(snapshot_path(folder, "last"), network.eval(), images_seen=1)
    return folder


@dataclass
class Page:
    """Requests of the page."""

    client: TestClient
    studio: Studio

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, json: dict[str, Any] | None = None) -> Any:
        return self.client.post(path, json=json or {}, headers=ORIGIN)

    def upload(self, content: bytes, name: str = "a.png") -> Any:
        return self.client.post("/api/files", content=content, headers={**ORIGIN, **BYTES, "x-name": name})

    def job(self, kind: str, **request: Any) -> dict[str, Any]:
        """Start a job, wait for its end, and return it."""
        started = self.post(f"/api/jobs/{kind}", request)
        assert started.status_code == 202, started.text
        job = self.studio.work._jobs[started.json()["id"]]
        assert job.over.wait()
        return next(one for one in self.get("/api/jobs") if one["id"] == job.id)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a root folder with a run, a report and a model."""
    folder = tmp_path_factory.mktemp("root")
    make_run(folder / "runs" / "tiny")
    (folder / "compared").mkdir()
    (folder / "compared" / "report.html").write_text("<title>Methods &amp; more</title><script>1</script>")
    (folder / "model.onnx").write_bytes(b"no model")
    return folder


@pytest.fixture(scope="module")
def page(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Start a studio whose gate refuses red pictures; return its page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANVAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        with opened_studio(StudioConfig(root=root), LIMITS, prepare=refuse_red) as studio:
            app = Guard(make_app(studio), host="127.0.0.1", port=80, token=None, uploads=("/api/files",))
            with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as client:
                yield Page(client, studio)
