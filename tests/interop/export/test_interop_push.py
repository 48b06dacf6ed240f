"""Uploads to a local hub: private, complete, verified, and downloaded again with the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hub_server import Exchange, Hub, Repository
from inference_runs import write_tiny_run

import ganvas
from ganvas import api
from ganvas.cli import main
from ganvas.content_gate import gate
from ganvas.errors import (
    ConfigError,
    GanvasError,
    HubError,
    InputError,
    MissingDependency,
    PolicyRefusal,
    RunError,
)
from ganvas.image.picture import Picture

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=")  # huggingface_hub's own use of its client
TOKEN = "hf_write"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "flowers")


@pytest.fixture
def authorized(hub: Hub, tmp_path: Path) -> Hub:
    """Return the hub, with a write token where the library looks for one."""
    hub.token = TOKEN
    (tmp_path / "token").write_text(TOKEN)
    return hub


def photo(path: Path) -> Path:
    ganvas.write_image(path, Picture(np.random.default_rng(0).integers(0, 256, (21, 37, 3)).astype(np.uint8)))
    return path


def test_what_was_pushed_translates_like_the_run(authorized: Hub, run: Path, tmp_path: Path) -> None:
    result = api.push(run, "user/flowers", license="mit")
    repository = authorized.repositories["user/flowers"]
    assert repository.private
    assert set(repository.newest) == {".gitattributes", "README.md", "config.json", "export.json", "model.safetensors"}
    path = photo(tmp_path / "in.png")
    api.translate(run, path, tmp_path / "own.png")
    for address in ("hf://user/flowers", f"hf://user/flowers@{result.commit}"):
        api.translate(Path(address), path, tmp_path / "pulled.png")
        assert (tmp_path / "pulled.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    assert b'ganvas.load("hf://user/flowers")' in repository.newest["README.md"]
    assert all(word in str(result) for word in ("user/flowers (private)", "model.safetensors", "license: mit"))
    assert result.page == f"{authorized.address}/user/flowers"


@pytest.mark.slow
def test_a_second_push_is_a_new_revision(authorized: Hub, run: Path) -> None:
    first = api.push(run, "user/flowers")
    second = api.push(run, "hf://user/flowers", license="mit")
    repository = authorized.repositories["user/flowers"]
    assert [first.commit, second.commit] == list(repository.commits)[1:]
    assert b"mit" in repository.newest["config.json"]


def test_public_is_only_what_the_user_makes_public(authorized: Hub, run: Path) -> None:
    assert "public: everybody" in str(api.push(run, "user/open", public=True))
    assert not authorized.repositories["user/open"].private
    before = dict(authorized.repositories["user/open"].commits)
    with pytest.raises(ConfigError, match="exists and is public; pass --public"):
        api.push(run, "user/open")
    authorized.repositories["user/closed"] = Repository(private=True)
    authorized.repositories["user/closed"].add({"README.md": b""})
    with pytest.raises(ConfigError, match="exists and is private; make it public in its settings"):
        api.push(run, "user/closed", public=True)
    assert authorized.repositories["user/open"].commits == before
    assert len(authorized.repositories["user/closed"].commits) == 1


def test_a_hub_that_ignores_the_wish_for_privacy_gets_nothing(
    authorized: Hub, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(self: Exchange) -> None:
        self.hub.repositories["user/flowers"] = Repository(private=False)
        self.hub.repositories["user/flowers"].add({".gitattributes": b""})
        self.json({"url": f"{self.hub.address}/user/flowers"})

    monkeypatch.setattr(Exchange, "create", create)
    with pytest.raises(ConfigError, match="is public"):
        api.push(run, "user/flowers")
    assert set(authorized.repositories["user/flowers"].newest) == {".gitattributes"}


def test_an_exported_folder_is_pushed_as_it_is(authorized: Hub, run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    api.export(run, folder, format="huggingface", examples=(photo(tmp_path / "in.png"),))
    (folder / "README.md").write_text("---\nlibrary_name: ganvas\n---\n# My own card\n")
    (folder / "notes.txt").write_text("private")
    (folder / "weights.pth").write_bytes(b"a pickle")
    result = api.push(folder, "user/flowers")
    newest = authorized.repositories["user/flowers"].newest
    assert newest["README.md"].endswith(b"My own card\n")
    assert {"examples/1-input.png", "examples/1-translation.png"} < set(newest)
    assert not {"notes.txt", "weights.pth"} & set(newest)
    assert result.left_out == ("notes.txt", "weights.pth")
    with pytest.raises(ConfigError, match="already exported: pass --license to ganvas export"):
        api.push(folder, "user/other", license="mit")
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(RunError, match="damaged"):
        api.push(folder, "user/other")
    assert "user/other" not in authorized.repositories


def test_examples_of_an_exported_folder_pass_the_gate_and_are_labeled(
    hub: Hub, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have been replaced after the export."""
    folder, path = tmp_path / "model", photo(tmp_path / "in.png")
    api.export(run, folder, format="huggingface", examples=(path,))
    (folder / "examples" / "mine.png").write_bytes(path.read_bytes())
    assert api.push(folder, "user/flowers", dry_run=True).left_out == ("examples/mine.png",)
    (folder / "examples" / "1-translation.png").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"1-translation\.png has no label"):
        api.push(folder, "user/flowers", dry_run=True)
    monkeypatch.setattr(gate, "load_scorer", lambda: lambda rgb: 0.9)
    gate.forget_scorer()
    with pytest.raises(PolicyRefusal, match=r"examples/1-input\.png"):
        api.push(folder, "user/flowers", dry_run=True)


def test_a_dry_run_asks_nobody(hub: Hub, run: Path) -> None:
    result = api.push(run, "user/flowers", dry_run=True)
    assert hub.asked == []
    assert set(result.files) == {"README.md", "config.json", "export.json", "model.safetensors"}
    assert "nothing was uploaded" in str(result)
    assert "license: not stated" in str(result)


@pytest.mark.parametrize("name", ["flowers", "a/b/c", "user/flowers@v1", "hf://user", "user/flo wers"])
def test_odd_names_of_repositories_are_refused_before_the_export(hub: Hub, tmp_path: Path, name: str) -> None:
    with pytest.raises(GanvasError, match=r"hf://user/name|omit @v1"):
        api.push(tmp_path / "nothing", name)
    assert hub.asked == []


def test_a_name_that_the_hub_does_not_allow_is_refused(authorized: Hub, run: Path) -> None:
    with pytest.raises(RunError, match="not a valid repository name"):
        api.push(run, "user/-flowers-")


def test_without_a_token_the_remedy_is_named(hub: Hub, run: Path) -> None:
    with pytest.raises(ConfigError, match="no token; `hf auth login`"):
        api.push(run, "user/flowers")
    assert hub.asked == []


def test_a_token_that_may_not_write_is_said(authorized: Hub, run: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_read")
    with pytest.raises(RunError, match="hf://user/flowers: your token has no permission"):
        api.push(run, "user/flowers")
    assert authorized.repositories == {}


def test_another_model_is_not_overwritten(authorized: Hub, run: Path) -> None:
    authorized.repositories["user/bert"] = Repository()
    authorized.repositories["user/bert"].add({"config.json": b'{"model_type": "bert"}', "model.safetensors": b"x"})
    with pytest.raises(RunError, match="it would be overwritten: use another repository"):
        api.push(run, "user/bert")
    assert len(authorized.repositories["user/bert"].commits) == 1


@pytest.mark.parametrize(("status", "message"), [(500, "responded with 500"), (503, "responded with 503")])
def test_a_hub_out_of_order_is_named(authorized: Hub, run: Path, status: int, message: str) -> None:
    authorized.status = status
    with pytest.raises(HubError, match=f"hf://user/flowers: .*{message}"):
        api.push(run, "user/flowers")


def test_without_a_network_the_repository_is_named(authorized: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(HubError, match="hf://user/flowers: the Hugging Face Hub cannot be reached"):
        api.push(run, "user/flowers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="HF_HUB_OFFLINE"):
        api.push(run, "user/flowers")


@pytest.mark.slow
def test_an_upload_that_breaks_off_changes_nothing(authorized: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Exchange, "store", lambda self, digest: self.json({"error": "full"}, status=507))
    with pytest.raises(HubError, match="hf://user/flowers"):
        api.push(run, "user/flowers")
    assert set(authorized.repositories["user/flowers"].newest) == {".gitattributes"}


@pytest.mark.slow
def test_weights_that_arrive_changed_are_noticed(authorized: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def store(self: Exchange, digest: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == digest
        self.hub.objects[digest] = self.body[:-1] + b"x"
        self.bytes(b"", status=200, headers={})

    monkeypatch.setattr(Exchange, "store", store)
    with pytest.raises(HubError, match="differ from the uploaded ones"):
        api.push(run, "user/flowers")


def test_without_the_library_the_message_installs_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.runs.hub.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="ganvas push needs huggingface_hub"):
        api.push(run, "user/flowers")


def test_the_command_prints_the_summary(hub: Hub, run: Path, capsys: Any) -> None:
    assert main(["push", str(run), "user/flowers", "--dry-run"]) == 0
    assert "nothing was uploaded (--dry-run)" in capsys.readouterr().out
    assert main(["push", str(run), "flowers"]) == 2
