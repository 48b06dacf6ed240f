"""Local Hugging Face Hub: the endpoints of downloads and uploads, in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

LARGE = (".safetensors", ".bin", ".pth")


@dataclass
class Repository:
    """Repository with its commits, newest last; each is path -> content."""

    private: bool = True
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def add(self, files: dict[str, bytes]) -> str:
        whole = {**self.newest, **files}
        name = hashlib.sha1(repr(sorted(whole.items())).encode() + str(len(self.commits)).encode()).hexdigest()
        self.commits[name] = whole
        return name

    @property
    def newest(self) -> dict[str, bytes]:
        return next(reversed(self.commits.values()), {})

    def commit(self, revision: str) -> str | None:
        if revision in ("main", "HEAD"):
            return next(reversed(self.commits), None)
        return revision if revision in self.commits else None


@dataclass
class Hub:
    """State of the hub: repositories, simulated failures, and received requests."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    token: str | None = None
    """Token for private repositories and for changes; None: none is needed."""
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256."""
    cuts: list[int] = field(default_factory=list)
    """For each download of a large file in turn, number of bytes after which the connection is cut."""
    corrupt: bool = False
    """Whether large files arrive with a changed byte."""
    status: int = 0
    """Error status of every response, if not 0."""
    asked: list[str] = field(default_factory=list)
    address: str = ""


ROUTES: list[tuple[str, re.Pattern[str], str]] = [
    ("GET", re.compile(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/?]+))?(?:\?.*)?"), "describe"),
    ("HEAD", re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)"), "send"),
    ("GET", re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)"), "send"),
    ("GET", re.compile(r"/api/whoami-v2"), "who"),
    ("POST", re.compile(r"/api/repos/create"), "create"),
    ("POST", re.compile(r"/api/validate-yaml"), "accept"),
    ("POST", re.compile(r"/api/models/([^/]+/[^/]+)/preupload/([^/?]+)(?:\?.*)?"), "modes"),
    ("POST", re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch"), "batch"),
    ("PUT", re.compile(r"/objects/([0-9a-f]+)"), "store"),
    ("POST", re.compile(r"/api/models/([^/]+/[^/]+)/commit/([^/?]+)(?:\?.*)?"), "change"),
]


class Exchange:
    """One request and its response."""

    def __init__(self, hub: Hub, handler: BaseHTTPRequestHandler) -> None:
        self.hub, self.handler = hub, handler
        length = int(handler.headers.get("Content-Length") or 0)
        self.body = handler.rfile.read(length)

    def answer(self) -> None:
        method, path = self.handler.command, self.handler.path
        self.hub.asked.append(f"{method} {path}")
        if self.hub.status:
            return self.json({"error": "out of order"}, status=self.hub.status)
        for verb, pattern, name in ROUTES:
            if verb == method and (found := pattern.fullmatch(path)):
                respond: Callable[..., None] = getattr(self, name)
                return respond(*(unquote(part) if part else part for part in found.groups()))
        return self.json({"error": "no such page"}, status=404)

    def json(self, content: Any, *, status: int = 200, code: str = "") -> None:
        headers = {"Content-Type": "application/json"} | ({"X-Error-Code": code} if code else {})
        self.bytes(json.dumps(content).encode(), status=status, headers=headers)

    def bytes(self, data: bytes, *, status: int, headers: dict[str, str], sent: int | None = None) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(data)))
        self.handler.end_headers()
        if self.handler.command != "HEAD":
            self.handler.wfile.write(data[:sent])
        self.handler.close_connection = self.handler.close_connection or sent is not None

    @property
    def authorized(self) -> bool:
        return self.hub.token is None or self.handler.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def opened(self, name: str, revision: str | None) -> tuple[Repository, str] | None:
        """Return the repository and the commit; without them, respond with the Hub's error."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.authorized):
            self.json({"error": "Repository not found"}, status=404, code="RepoNotFound")
            return None
        if repository.gated:
            self.json({"error": "Access to model is restricted"}, status=403, code="GatedRepo")
            return None
        commit = repository.commit(revision or "main")
        if commit is None:
            self.json({"error": "Invalid rev id"}, status=404, code="RevisionNotFound")
            return None
        return repository, commit

    def describe(self, name: str, revision: str | None) -> None:
        if found := self.opened(name, revision):
            repository, commit = found
            files = [
                {"rfilename": path, **_blob(path, content)} for path, content in repository.commits[commit].items()
            ]
            self.json({"id": name, "sha": commit, "private": repository.private, "siblings": files})

    def send(self, name: str, revision: str, path: str) -> None:
        if not (found := self.opened(name, revision)):
            return
        repository, commit = found
        if (content := repository.commits[commit].get(path)) is None:
            self.json({"error": "Entry not found"}, status=404, code="EntryNotFound")
            return
        is_large = path.endswith(LARGE)
        etag = hashlib.sha256(content).hexdigest() if is_large else _git_hash(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if self.hub.corrupt and is_large:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start, whole = self._start(), len(content)
        if start:
            headers["Content-Range"] = f"bytes {start}-{whole - 1}/{whole}"
        is_download = self.handler.command == "GET"
        cut = self.hub.cuts.pop(0) if is_large and is_download and self.hub.cuts else None
        self.bytes(content[start:], status=206 if start else 200, headers=headers, sent=cut)

    def _start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.handler.headers.get("Range") or "")
        return int(found[1]) if found else 0

    def who(self) -> None:
        if self.authorized:
            return self.json({"name": "user", "type": "user", "orgs": []})
        return self.json({"error": "Invalid username or password."}, status=401)

    def create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization'] or 'user'}/{wanted['name']}"
        if not self.authorized:
            self.json({"error": "You don't have the rights"}, status=403)
        elif name in self.hub.repositories:
            self.json({"error": "You already created this model repo", "url": f"/{name}"}, status=409)
        else:
            self.hub.repositories[name] = Repository(private=wanted.get("visibility") == "private")
            self.hub.repositories[name].add({".gitattributes": b""})
            self.json({"url": f"{self.hub.address}/{name}"})

    def accept(self) -> None:
        self.json({"errors": [], "warnings": []})

    def modes(self, name: str, revision: str) -> None:
        if self.opened(name, revision):
            files = [
                {"path": one["path"], "uploadMode": _mode(one["path"]), "shouldIgnore": False, "oid": None}
                for one in json.loads(self.body)["files"]
            ]
            self.json({"files": files})

    def batch(self, name: str) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/objects/{one['oid']}"}}}
            for one in json.loads(self.body)["objects"]
        ]
        self.json({"transfer": "basic", "objects": objects})

    def store(self, digest: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == digest
        self.hub.objects[digest] = self.body
        self.bytes(b"", status=200, headers={})

    def change(self, name: str, revision: str) -> None:
        if not self.authorized:
            self.json({"error": "You don't have the rights"}, status=403)
            return
        files = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "lfsFile":
                files[entry["value"]["path"]] = self.hub.objects[entry["value"]["oid"]]
        commit = self.hub.repositories[name].add(files)
        self.json({"commitUrl": f"{self.hub.address}/{name}/commit/{commit}", "commitOid": commit})


def _blob(path: str, content: bytes) -> dict[str, Any]:
    """Return what the Hub reports about a file besides its name."""
    blob: dict[str, Any] = {"size": len(content), "blobId": _git_hash(content)}
    if path.endswith(LARGE):
        blob["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return blob


def _mode(path: str) -> str:
    return "lfs" if path.endswith((*LARGE, ".png")) else "regular"


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@contextmanager
def serving_hub() -> Iterator[Hub]:
    """Serve the hub on loopback during the block."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            Exchange(hub, self).answer()

        def do_HEAD(self) -> None:
            Exchange(hub, self).answer()

        def do_POST(self) -> None:
            Exchange(hub, self).answer()

        def do_PUT(self) -> None:
            Exchange(hub, self).answer()

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

        def log_error(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        hub.address = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=lambda: listener.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            listener.shutdown()
            thread.join()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Return the hub; huggingface_hub reads the environment on import, so its constants are replaced."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with serving_hub() as hub:
        for name, value in {
            "ENDPOINT": hub.address,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_URL_HOSTS": frozenset({"127.0.0.1"}),
            "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GANVAS_OFFLINE", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield hub
