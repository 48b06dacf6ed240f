"""ASGI application of the studio: the JSON API of its page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from ganvas.errors import GanvasError, problem_of
from ganvas.localization.detectors import DETECTORS
from ganvas.localization.load import CLASSIFIERS
from ganvas.serialization import from_record, parse_json
from ganvas.studio.cover_audit import known_cover_audit
from ganvas.studio.guard import REPORT_CSP
from ganvas.studio.job_requests import JobRequest, Studio, make_job
from ganvas.studio.jobs import Job
from ganvas.studio.library import describe_run, title_of
from ganvas.studio.redaction import Strength
from ganvas.studio.review import PRIVATE, sign, write_archive
from ganvas.studio.storage import Upload, view_path, write_pieces
from ganvas.studio.trainings import previews, read_figures
from ganvas.studio.uploads import UploadProblem, receive_file
from ganvas.studio.views import InspectTask, MaskTask

__all__ = ["make_app"]

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def make_app(studio: Studio) -> Starlette:
    """Return the ASGI application."""
    handlers = Handlers(studio)
    routes = [
        Route("/", handlers.page),
        Route("/assets/{name}", handlers.asset),
        Route("/pieces/{id}", handlers.piece),
        Route("/reports/{id}", handlers.report),
        Route("/api/state", handlers.state),
        Route("/api/files", handlers.upload, methods=["POST"]),
        Route("/api/files", handlers.files, methods=["GET"]),
        Route("/api/files/{id}", handlers.remove, methods=["DELETE"]),
        Route("/api/files/{id}/mask", handlers.mask, methods=["PUT"]),
        Route("/api/files/{id}/mask", handlers.unmask, methods=["DELETE"]),
        Route("/api/files/{id}/sign", handlers.sign, methods=["POST"]),
        Route("/api/review.zip", handlers.archive),
        Route("/api/pieces.zip", handlers.pieces),
        Route("/api/jobs", handlers.jobs, methods=["GET"]),
        Route("/api/jobs/{kind}", handlers.start, methods=["POST"]),
        Route("/api/jobs/{id}", handlers.cancel, methods=["DELETE"]),
        Route("/api/library", handlers.scan),
        Route("/api/cover-audit/{style}", handlers.cover_audit),
        Route("/api/runs/{id}", handlers.run),
        Route("/api/runs/{id}/previews/{number:int}", handlers.preview),
        Route("/api/runs/{id}/{action}", handlers.train, methods=["POST"]),
    ]
    errors: dict[Any, Callable[..., Any]] = {
        UploadProblem: lambda _request, error: _problem(error.status, str(error)),
        KeyError: lambda _request, _error: _problem(404, "this id no longer exists"),
        GanvasError: lambda _request, error: _problem(422, studio.clean(str(error))),
        ValueError: lambda _request, error: _problem(422, studio.clean(str(error))),
        OSError: lambda _request, error: _problem(507, studio.clean(problem_of(error))),
        404: lambda _request, _error: _problem(404, "unknown address"),
        405: lambda _request, _error: _problem(405, "this address does not support the request method"),
    }
    return Starlette(routes=routes, exception_handlers=errors)


def _problem(status: int, problem: str) -> JSONResponse:
    return JSONResponse({"error": problem}, status_code=status)


class Handlers:
    """Handlers of the page's requests."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._assets = {path.name: path for path in PAGE.iterdir() if path.suffix in TYPES}

    def page(self, _request: Request) -> Response:
        """Return the page itself."""
        return FileResponse(self._assets["index.html"])

    def asset(self, request: Request) -> Response:
        """Return a file of the page."""
        path = self._assets[request.path_params["name"]]
        return FileResponse(path, media_type=TYPES[path.suffix])

    def piece(self, request: Request) -> Response:
        """Return a view or a result; reports run without scripts and origin."""
        piece = self._studio.storage.piece(request.path_params["id"])
        headers = {"content-security-policy": REPORT_CSP} if piece.media_type == "text/html" else {}
        shown = "attachment" if "save" in request.query_params else "inline"
        return FileResponse(
            piece.path,
            media_type=piece.media_type,
            filename=piece.name,
            content_disposition_type=shown,
            headers=headers,
        )

    def report(self, request: Request) -> Response:
        """Return a report below the root."""
        entry = self._studio.library.get(request.path_params["id"], "report")
        return FileResponse(entry.path, media_type="text/html", headers={"content-security-policy": REPORT_CSP})

    def state(self, _request: Request) -> Response:
        """Return version, limits, and available classifiers and detectors."""
        limits = self._studio.storage.limits
        models = [one for one in self._studio.library.scan() if one.kind == "model"]
        return JSONResponse({
            "version": version("ganvas"),
            "limits": vars(limits),
            "classifiers": CLASSIFIERS,
            "detectors": DETECTORS,
            "models": [{"id": one.id, "name": one.name} for one in models],
            "root": self._studio.library.root.name,
        })  # fmt: skip

    async def upload(self, request: Request) -> Response:
        """Receive, inspect and store a picture or film."""
        storage = self._studio.storage
        with storage.reserved() as path:
            await receive_file(request, path, storage.limits)
            try:
                facts = await self._inspected(InspectTask(path=path, pixels=storage.limits.pixels), path)
                view = Path(facts.pop("view_path"))
                upload = storage.add(path, unquote(request.headers.get("x-name", "")), facts)
            except BaseException:
                view_path(path).unlink(missing_ok=True)
                raise
        upload.view = storage.publish(view, "image/png", f"{upload.name}.png")
        return JSONResponse(upload.as_record(), status_code=201)

    async def mask(self, request: Request) -> Response:
        """Receive, check and store the painted mask of an upload."""
        storage, upload = self._studio.storage, self._studio.storage.get(request.path_params["id"])
        path = storage.work_folder(upload.id) / "mask.png"
        try:
            await receive_file(request, path, storage.limits, most=2**26)
            size = {"width": upload.facts["width"], "height": upload.facts["height"]}
            facts = await self._inspected(MaskTask(path=path, **size), path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        upload.mask, upload.mask_piece = path, storage.publish(path, "image/png", "mask.png")
        return JSONResponse({**facts, "mask": upload.mask_piece})

    async def _inspected(self, task: InspectTask | MaskTask, path: Path) -> dict[str, Any]:
        job = self._studio.inspection.add(Job(task, "inspect", ""))
        await asyncio.to_thread(job.over.wait)
        if job.result is None:
            raise UploadProblem(422, self._studio.clean(job.message.replace(f"{path}: ", "")))
        return job.result

    def unmask(self, request: Request) -> Response:
        """Remove the painted mask of an upload."""
        upload = self._studio.storage.get(request.path_params["id"])
        upload.mask = upload.mask_piece = None
        return JSONResponse({})

    def files(self, _request: Request) -> Response:
        """Return all uploads."""
        return JSONResponse([_shown(one) for one in self._studio.storage.all()])

    def remove(self, request: Request) -> Response:
        """Remove an upload and all of its results."""
        self._studio.storage.remove(request.path_params["id"])
        return JSONResponse({})

    async def sign(self, request: Request) -> Response:
        """Record or revoke a person's sign-off of a redaction."""
        upload, content = self._studio.storage.get(request.path_params["id"]), await _json(request)
        name, seen = content.get("by"), content.get("original_seen", False)
        if not isinstance(name, str) or not isinstance(seen, bool) or not upload.review.get("path"):
            return _problem(422, "the result or the name for the sign-off is missing")
        sign(upload, name, original_seen=seen)
        return JSONResponse(_shown(upload))

    def archive(self, _request: Request) -> Response:
        """Return the redacted files with the log as a ZIP file."""
        storage = self._studio.storage
        path = storage.work_folder() / "redacted.zip"
        write_archive([storage.get(one.id) for one in storage.all() if one.review], path)
        return FileResponse(path, media_type="application/zip", filename="redacted.zip")

    def pieces(self, request: Request) -> Response:
        """Return several results, by their ids, as a ZIP file."""
        storage = self._studio.storage
        pieces = [storage.piece(key) for key in request.query_params.getlist("id")[: storage.limits.files]]
        path = storage.work_folder() / "results.zip"
        write_pieces(pieces, path)
        return FileResponse(path, media_type="application/zip", filename="results.zip")

    def jobs(self, _request: Request) -> Response:
        """Return all jobs with their positions."""
        records = self._studio.work.records()
        return JSONResponse([{**one, "message": self._studio.clean(one["message"])} for one in records])

    async def start(self, request: Request) -> Response:
        """Start a job."""
        job_request = from_record(JobRequest, await _json(request))
        job = self._studio.work.add(make_job(self._studio, request.path_params["kind"], job_request))
        return JSONResponse({"id": job.id}, status_code=202)

    def cancel(self, request: Request) -> Response:
        """Cancel a job."""
        self._studio.work.cancel(request.path_params["id"])
        return JSONResponse({})

    def cover_audit(self, request: Request) -> Response:
        """Return the stored result of a cover audit; an empty object if there is none."""
        values = {name: float(value) for name, value in request.query_params.items()}
        if blocks := values.pop("blocks", None):
            values["blocks"] = int(blocks)
        strength = from_record(Strength, {"style": request.path_params["style"], **values})
        return JSONResponse(known_cover_audit(strength) or {})

    def scan(self, _request: Request) -> Response:
        """Return runs and reports."""
        entries = self._studio.library.scan()
        runs = [{"id": one.id, "name": one.name, **describe_run(one.path)} for one in entries if one.kind == "run"]
        for run in runs:
            path = self._studio.library.get(run["id"], "run").path
            run |= self._studio.trainings.state(run["id"], path)
        reports = [
            {"id": one.id, "name": one.name, "title": title_of(one.path)} for one in entries if one.kind == "report"
        ]
        return JSONResponse({"runs": runs, "reports": reports})

    def run(self, request: Request) -> Response:
        """Return the figures of a run."""
        entry = self._studio.library.get(request.path_params["id"], "run")
        state = self._studio.trainings.state(entry.id, entry.path)
        about = {"id": entry.id, "name": entry.name, **describe_run(entry.path)}
        figures = read_figures(entry.path)
        if state["state"] == "starting":  # its rows are from before the resumption
            figures |= {"rate": None, "left": None}
        return JSONResponse({**about, **state, **figures})

    def preview(self, request: Request) -> Response:
        """Return a preview grid of a run."""
        entry = self._studio.library.get(request.path_params["id"], "run")
        grids = {int(path.stem): path for path in previews(entry.path)}
        return FileResponse(grids[request.path_params["number"]], media_type="image/png")

    def train(self, request: Request) -> Response:
        """Resume or stop a training run."""
        entry = self._studio.library.get(request.path_params["id"], "run")
        actions: dict[str, Callable[[], None]] = {
            "resume": lambda: self._studio.trainings.resume(entry.id, entry.path),
            "stop": lambda: self._studio.trainings.stop(entry.id),
        }
        actions[request.path_params["action"]]()
        return JSONResponse(self._studio.trainings.state(entry.id, entry.path))


def _shown(upload: Upload) -> dict[str, Any]:
    """Return the description of an upload for the page, without paths of this machine."""
    record = upload.as_record()
    return {**record, "review": {name: value for name, value in record["review"].items() if name not in PRIVATE}}


async def _json(request: Request) -> dict[str, Any]:
    content = parse_json(await request.body() or b"{}")
    if not isinstance(content, dict):
        raise ValueError("expected a JSON object")
    return content
