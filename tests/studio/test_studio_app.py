"""Application of the studio, as used by its page: uploads, redaction, review, translation, refusals, hidden paths."""

from __future__ import annotations

import io
import json
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from studio_page import BYTES, LIMITS, ORIGIN, Page, png
from studio_workers import Act

from ganvas.image.files import read_image_bytes, read_label
from ganvas.studio.jobs import Job

BOMB = png(size=(48, 32)).replace((48).to_bytes(4) + (32).to_bytes(4), (60000).to_bytes(4) * 2)


def fixed(header: bytes) -> bytes:
    """Return a PNG file whose header has a valid checksum again."""
    return header[:29] + zlib.crc32(header[12:29]).to_bytes(4) + header[33:]


HOSTILE = {
    "a program": b"\x7fELF" + bytes(400),
    "a page": b"<html><script>alert(1)</script></html>",
    "a vector picture": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
    "a bomb": fixed(BOMB),
    "cut short": png()[:-30],
    "a damaged head": png()[:20],
    "a ZIP file": b"PK\x03\x04" + bytes(100),
    "too many pixels": png(size=(600, 600)),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_uploads_are_refused_in_words_and_leave_nothing(page: Page, kind: str) -> None:
    before = set(page.studio.storage.folder.rglob("*"))
    answer = page.upload(HOSTILE[kind])
    assert answer.status_code == 422, answer.text
    problem = answer.json()["error"]
    assert problem
    assert "Traceback" not in problem
    assert str(page.studio.storage.folder) not in problem
    assert set(page.studio.storage.folder.rglob("*")) == before


def test_large_empty_and_mistyped_uploads_are_refused(page: Page) -> None:
    assert page.upload(bytes(LIMITS.bytes + 1)).status_code == 413
    assert page.upload(b"").status_code == 400
    form = {**ORIGIN, "content-type": "multipart/form-data; boundary=x"}
    assert page.client.post("/api/files", content=png(), headers=form).status_code == 415
    assert page.client.post("/api/files", content=png(), headers=BYTES).status_code == 403

    unannounced = (bytes(2**16) for _ in range(LIMITS.bytes // 2**16 + 1))
    assert page.client.post("/api/files", content=unannounced, headers={**ORIGIN, **BYTES}).status_code == 413


@pytest.mark.parametrize(
    "path",
    ["/assets/..%2f..%2fapp.py", "/assets/app.py", "/pieces/..%2f..%2fetc%2fpasswd", "/reports/%2fetc%2fpasswd",
     "/api/runs/..%2f..", "/pieces/", "/nothing"],
)  # fmt: skip
def test_paths_lead_nowhere(page: Page, path: str) -> None:
    assert page.client.get(path).status_code in (404, 405)


def test_names_of_uploads_are_no_paths_and_removed_ones_leave_nothing(page: Page) -> None:
    before = set(page.studio.storage.folder.rglob("*"))
    one = page.upload(png(), "..%2F..%2Fetc%2Fpasswd.png").json()
    assert one["name"] == "passwd.png"
    assert page.client.delete(f"/api/files/{one['id']}", headers=ORIGIN).status_code == 200
    assert page.client.delete(f"/api/files/{one['id']}", headers=ORIGIN).status_code == 404
    assert set(page.studio.storage.folder.rglob("*")) == before


def mask(left: int, top: int, right: int, bottom: int) -> bytes:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[top:bottom, left:right] = 255
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def put_mask(page: Page, key: str, content: bytes) -> int:
    return page.client.put(f"/api/files/{key}/mask", content=content, headers={**ORIGIN, **BYTES}).status_code


def test_a_painted_region_is_covered_reviewed_corrected_and_signed(page: Page) -> None:
    one = page.upload(png(), "painted.png").json()
    assert put_mask(page, one["id"], mask(0, 0, 10, 10)) == 200
    assert put_mask(page, one["id"], png(size=(9, 9))) == 422
    job = page.job("redact", files=[one["id"]], strength={"style": "solid"})
    assert job["state"] == "done", job["message"]
    review = next(file for file in page.get("/api/files") if file["id"] == one["id"])["review"]
    assert review["line"]["region"]["boxes"] == [[0, 0, 10, 10]]
    assert review["why"] == "painted and not verified"
    covered = read_image_bytes(page.client.get(f"/pieces/{review['result']}").content).pixels
    assert not covered[:10, :10].any()
    assert (covered[20:] == read_image_bytes(png()).pixels[20:]).all()
    # The user corrects the region, redacts again, and signs off.
    assert put_mask(page, one["id"], mask(0, 0, 20, 20)) == 200
    assert page.job("redact", files=[one["id"]], strength={"style": "solid"})["state"] == "done"
    assert page.post(f"/api/files/{one['id']}/sign", {"by": "Kim", "original_seen": True}).status_code == 200
    assert page.post(f"/api/files/{one['id']}/sign", {"by": "Kim", "original_seen": "yes"}).status_code == 422
    archive = page.client.get("/api/review.zip")
    with zipfile.ZipFile(io.BytesIO(archive.content)) as file:
        names, log = file.namelist(), file.read("redaction.jsonl").decode()
        words = file.read("READ-ME.txt").decode()
    assert {"painted.png", "redaction.jsonl", "READ-ME.txt"} <= set(names)
    (line,) = [row for row in map(json.loads, log.splitlines()) if row["file"] == "painted.png"]
    assert line["region"]["boxes"] == [[0, 0, 20, 20]]
    assert (line["signed_off"]["by"], line["signed_off"]["original_seen"], line["rounds"]) == ("Kim", True, 2)
    assert "keyed_in" in line
    assert "sha256_in" not in line
    assert "painted.png: solid over painted regions" in words
    assert str(page.studio.storage.folder) not in log + words + json.dumps(page.get("/api/files"))
    # Another redaction revokes the sign-off.
    assert page.job("redact", files=[one["id"]], strength={"style": "mosaic"})["state"] == "done"
    review = next(file for file in page.get("/api/files") if file["id"] == one["id"])["review"]
    assert review["signed"] is None


def test_a_job_that_waits_for_hours_still_has_its_upload(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    work, storage = page.studio.work, page.studio.storage
    unused, one = page.upload(png(), "unused.png").json(), page.upload(png(), "late.png").json()
    assert put_mask(page, one["id"], mask(0, 0, 10, 10)) == 200
    first = work.add(Job(Act("wait"), "act", "first"))
    waiting = page.post("/api/jobs/redact", {"files": [one["id"]]}).json()
    monkeypatch.setattr(storage, "_clock", lambda: time.monotonic() + 2 * LIMITS.seconds)
    page.studio.expire()
    assert unused["id"] not in {upload.id for upload in storage.all()}
    work.cancel(first.id)
    assert work._jobs[waiting["id"]].over.wait()
    assert work._jobs[waiting["id"]].state == "done"


def test_redaction_takes_what_the_gate_refuses(page: Page) -> None:
    red = page.upload(png((230, 20, 20)), "red.png").json()
    assert put_mask(page, red["id"], mask(0, 0, 48, 16)) == 200
    assert page.job("redact", files=[red["id"]])["state"] == "done"


@pytest.mark.slow
def test_translation_is_gated_and_labeled(page: Page, tmp_path: Path) -> None:
    run = next(one for one in page.get("/api/library")["runs"] if one["name"] == "runs/tiny")
    assert (run["usable"], run["method"]) == (True, "Pix2Pix")
    good, red = page.upload(png(), "good.png").json(), page.upload(png((230, 20, 20)), "stop.png").json()
    job = page.job("translate", files=[red["id"]], run=run["id"])
    assert job["state"] == "refused"
    assert "stop.png" in job["message"]
    assert "0.95" in job["message"]
    both = page.job("translate", files=[good["id"], red["id"]], run=run["id"])
    assert both["state"] == "done", both
    made, refused = both["result"]["results"]
    assert "refused" in refused["problem"]
    assert "result" not in refused
    (tmp_path / "made.png").write_bytes(page.client.get(f"/pieces/{made['result']}").content)
    assert read_label(tmp_path / "made.png") is not None
    assert page.client.get(f"/pieces/{made['view']}").headers["content-type"] == "image/png"
    archive = page.client.get("/api/pieces.zip", params={"id": made["result"]})
    assert zipfile.ZipFile(io.BytesIO(archive.content)).namelist() == ["good.png"]
    assert page.client.get("/api/pieces.zip", params={"id": "none"}).status_code == 404


@pytest.mark.slow
def test_pairs_are_gated(page: Page) -> None:
    red = page.upload(png((230, 20, 20)), "pair.png").json()
    put_mask(page, red["id"], mask(0, 0, 16, 16))
    assert page.job("redact", files=[red["id"]], strength={"style": "mosaic"})["state"] == "done"
    job = page.job("pairs", files=[red["id"]], strength={"style": "mosaic"})
    assert job["state"] == "refused", job
    assert not list(page.studio.library.root.glob("studio-pairs-*/train/**/*.png"))


@pytest.mark.slow
def test_a_misspelt_class_gets_a_suggestion(page: Page) -> None:
    one = page.upload(png(), "plain.png").json()
    job = page.job("find", files=[one["id"]], finder={"classifier": "imagenet", "class_name": "zebrra"})
    assert job["state"] == "failed"
    assert "did you mean 'zebra'" in job["message"]


def test_requests_that_do_not_fit_are_refused_in_words(page: Page) -> None:
    one = page.upload(png(), "plain.png").json()
    assert page.post("/api/jobs/redact", {"files": [one["id"]], "strength": {"style": "glitter"}}).status_code == 422
    assert page.post("/api/jobs/redact", {"files": []}).status_code == 422
    assert page.post("/api/jobs/translate", {"files": [one["id"]], "run": "/etc"}).status_code == 404
    assert page.post("/api/jobs/redact", {"files": [one["id"]], "finder": {"detect": ["/x.onnx"]}}).status_code == 404
    assert page.post("/api/jobs/dance", {}).status_code == 404
    assert page.post("/api/jobs/redact", {"unknown": 1}).status_code == 422
    assert page.post(f"/api/files/{one['id']}/sign", {"by": "Kim"}).status_code == 422


def test_reports_open_without_scripts_and_origin(page: Page) -> None:
    (report,) = page.get("/api/library")["reports"]
    assert report["title"] == "Methods & more"
    answer = page.client.get(f"/reports/{report['id']}")
    assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


def test_the_page_names_nothing_outside(page: Page) -> None:
    names = ["", *(f"assets/{path.name}" for path in (Path(__file__).parents[2] / "src/ganvas/studio/page").iterdir())]
    for name in names:
        answer = page.client.get(f"/{name}")
        assert answer.status_code == 200
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    assert page.get("/api/state")["models"][0]["name"] == "model.onnx"
