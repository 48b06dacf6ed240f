"""Request guard of the studio: Host, Origin, token, sizes, and the headers of every response."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ganvas.studio.guard import CSP, Guard

OWN = {"host": "127.0.0.1:8765"}
POST = {**OWN, "origin": "http://127.0.0.1:8765"}


def client(token: str | None = None, host: str = "127.0.0.1") -> TestClient:
    inner = Starlette(routes=[Route("/{path:path}", lambda _: PlainTextResponse("in"), methods=["GET", "POST"])])
    return TestClient(Guard(inner, host=host, port=8765, token=token, uploads=("/api/files",)), follow_redirects=False)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OWN, 200),
        ({"host": "localhost:8765"}, 200),
        ({"host": "[::1]:8765"}, 200),
        ({"host": "evil.example:8765"}, 421),
        ({"host": "127.0.0.1.evil.example:8765"}, 421),
        ({"host": "127.0.0.1:80"}, 421),
        ({"host": "127.0.0.1"}, 421),
        ({"host": ""}, 421),
        ({**OWN, "origin": "http://evil.example"}, 403),
        ({**OWN, "origin": "https://127.0.0.1:8765"}, 403),
        ({**OWN, "origin": "null"}, 403),
        ({**OWN, "sec-fetch-site": "cross-site"}, 403),
        ({**OWN, "sec-fetch-site": "same-site"}, 403),
        ({**OWN, "sec-fetch-site": "none"}, 200),
        ({**OWN, "content-length": "2000000"}, 413),
        ({**OWN, "content-length": "-1"}, 413),
        ({**OWN, "transfer-encoding": "chunked"}, 413),
    ],
)
def test_a_request_must_come_from_the_page_itself(headers: dict[str, str], status: int) -> None:
    assert client().get("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (POST, 200),
        (OWN, 403),  # browsers always send Origin here, and a form of another page must not pass
        ({**OWN, "origin": "http://localhost:8765"}, 403),
        ({"host": "localhost:8765", "origin": "http://localhost:8765"}, 200),
        ({**POST, "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_a_change_needs_the_origin(headers: dict[str, str], status: int) -> None:
    assert client().post("/api/jobs/redact", headers=headers).status_code == status


def test_uploads_limit_themselves() -> None:
    assert client().post("/api/files", headers={**POST, "content-length": "9000000"}).status_code == 200


@pytest.mark.parametrize("headers", [OWN, {"host": "evil.example"}])
def test_every_answer_has_the_policy(headers: dict[str, str]) -> None:
    answer = client().get("/", headers=headers)
    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "http:" not in CSP.replace("'self'", "")


def test_another_address_needs_the_token() -> None:
    away = client(token="secret", host="192.0.2.7")
    own = {"host": "192.0.2.7:8765"}
    assert away.get("/", headers=own).status_code == 401
    assert away.get("/api/state?token=secret", headers=own).status_code == 401
    assert away.get("/?token=wrong", headers=own).status_code == 401
    entered = away.get("/?token=secret", headers=own)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    known = {**own, "cookie": cookie.partition(";")[0]}
    assert away.get("/", headers=known).status_code == 200
    assert away.get("/", headers={**known, "host": "evil.example:8765"}).status_code == 421
    assert away.get("/", headers={**known, "cookie": "ganvas-studio-8765=wrong"}).status_code == 401
