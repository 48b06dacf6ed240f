"""Runs on a local hub: downloaded, verified and cached; every failure names its remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hub_server import Hub, Repository
from inference_runs import write_tiny_run
from published_runs import published_files

import ganvas
from ganvas import api
from ganvas.errors import HubError, MissingDependency, RunError
from ganvas.inference.translator import Translator
from ganvas.runs.hub import CachedCopyWarning, HubAddress, parse_address, resolve_run


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    return published_files(tmp_path / "scratch")


@pytest.fixture
def repository(hub: Hub, files: dict[str, bytes]) -> Repository:
    """Return user/name of a public repository, which also contains a pickle."""
    hub.repositories["user/name"] = Repository(private=False)
    hub.repositories["user/name"].add({**files, "README.md": b"# Card", "model.pth": b"a pickle", "x.json": b"{}"})
    return hub.repositories["user/name"]


def test_addresses_are_recognized_and_paths_are_left_alone() -> None:
    assert parse_address("hf://user/name") == parse_address(Path("hf://user/name")) == HubAddress("user/name")
    assert parse_address("hf://a/b@v1.0") == HubAddress("a/b", "v1.0")
    assert parse_address(Path("hf://a/b@refs/pr/1")) == HubAddress("a/b", "refs/pr/1")
    assert str(parse_address(Path("hf://a/b@v1"))) == "hf://a/b@v1"
    for wrong in ("hf://a", Path("hf://a"), Path("hf://a/b@")):  # a `Path` keeps one slash, a message shows both
        with pytest.raises(RunError, match=r"^hf://a"):
            parse_address(wrong)
    for path in (Path("runs/hf"), Path("a/b"), Path("/x/y@z")):
        assert resolve_run(path) == path
    assert resolve_run("runs/x") == Path("runs/x")


@pytest.mark.parametrize("odd", ["hf://name", "hf://a/b/c", "hf:a/b", "hf://", "hf://a/b@", "hf://a /b", "hf://@x/y"])
def test_what_only_starts_like_an_address_is_an_error(odd: str) -> None:
    with pytest.raises(RunError, match="hf://user/name"):
        resolve_run(odd)


def test_a_web_address_is_answered_with_the_form_to_give() -> None:
    with pytest.raises(RunError, match="is hf://user/name"):
        resolve_run("https://huggingface.co/user/name")


def test_a_run_is_fetched_without_its_pickles_and_then_cached(
    hub: Hub, repository: Repository, files: dict[str, bytes]
) -> None:
    folder = resolve_run("hf://user/name")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert not any("pth" in line or "README" in line or "x.json" in line for line in hub.asked)
    hub.asked.clear()
    assert resolve_run(Path("hf://user/name")) == folder
    assert not any(line.startswith("GET") and "safetensors" in line for line in hub.asked)


def test_it_translates_like_the_run_that_was_published(hub: Hub, repository: Repository, tmp_path: Path) -> None:
    ganvas.write_image(tmp_path / "in.png", ganvas.Picture(np.full((20, 24, 3), 99, np.uint8)))
    api.translate(write_tiny_run(tmp_path / "tiny"), tmp_path / "in.png", tmp_path / "own.png")
    api.translate(Path("hf://user/name"), tmp_path / "in.png", tmp_path / "hub.png")
    assert (tmp_path / "hub.png").read_bytes() == (tmp_path / "own.png").read_bytes()
    assert Translator.load("hf://user/name@main", device="cpu").method.generators


def test_revisions_are_branches_tags_or_commits(hub: Hub, repository: Repository, files: dict[str, bytes]) -> None:
    first = next(iter(repository.commits))
    second = repository.add({"config.json": files["config.json"].replace(b'"tiny"', b'"second"')})
    assert resolve_run("hf://user/name").name == second
    assert resolve_run(f"hf://user/name@{first}").name == first
    hub.asked.clear()
    assert resolve_run(f"hf://user/name@{first}").name == first
    assert hub.asked == []  # a commit never changes
    with pytest.raises(RunError, match="no such revision"):
        resolve_run("hf://user/name@none")


def test_other_models_are_told_apart_before_their_weights_are_fetched(hub: Hub) -> None:
    hub.repositories["a/pickle"] = Repository(private=False)
    hub.repositories["a/pickle"].add({"pytorch_model.bin": b"a pickle", "config.json": b"{}"})
    with pytest.raises(RunError, match=r"hf://a/pickle is not a model of ganvas: it has no model\.safetensors"):
        resolve_run("hf://a/pickle")
    hub.repositories["a/other"] = Repository(private=False)
    hub.repositories["a/other"].add({"model.safetensors": b"x" * 100, "config.json": b'{"model_type": "bert"}'})
    with pytest.raises(RunError, match=r"hf://a/other .*another library"):
        resolve_run("hf://a/other")
    assert not any("resolve" in line and ("safetensors" in line or "bin" in line) for line in hub.asked)


@pytest.mark.parametrize(
    ("gated", "private", "message"),
    [(True, False, "gated: request access"), (False, True, "no such repository, or a private one")],
)
def test_closed_repositories_name_the_remedy(
    hub: Hub, repository: Repository, gated: bool, private: bool, message: str
) -> None:
    hub.token, repository.gated, repository.private = "hf_secret", gated, private
    with pytest.raises(RunError, match=f"hf://user/name.*{message}.*hf auth login"):
        resolve_run("hf://user/name")


def test_the_token_of_the_library_opens_a_private_repository(hub: Hub, repository: Repository, tmp_path: Path) -> None:
    hub.token, repository.private = "hf_secret", True
    (tmp_path / "token").write_text("hf_secret")
    assert resolve_run("hf://user/name").is_dir()


def test_a_missing_repository_is_named(hub: Hub) -> None:
    with pytest.raises(RunError, match="hf://no/body: no such repository"):
        resolve_run("hf://no/body")


def test_without_a_network_the_cached_copy_serves(
    hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = resolve_run("hf://user/name")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.warns(CachedCopyWarning, match="earlier download"):
        assert resolve_run("hf://user/name") == folder
    with pytest.raises(HubError, match="hf://no/body: the Hugging Face Hub cannot be reached"):
        resolve_run("hf://no/body")


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "GANVAS_OFFLINE"])
def test_offline_means_no_request(hub: Hub, repository: Repository, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    folder = resolve_run("hf://user/name")
    hub.asked.clear()
    if how == "HF_HUB_OFFLINE":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setenv("GANVAS_OFFLINE", "1")
    assert resolve_run("hf://user/name") == folder
    with pytest.raises(HubError, match=r"hf://user/name@other is not in the cache, and HF_HUB_OFFLINE"):
        resolve_run("hf://user/name@other")
    assert hub.asked == []


def test_a_download_that_is_cut_off_goes_on_where_it_stopped(
    hub: Hub, repository: Repository, files: dict[str, bytes]
) -> None:
    hub.cuts = [1000, 1000]
    assert (resolve_run("hf://user/name") / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_download_that_stays_cut_off_says_so_and_is_complete_the_next_time(
    hub: Hub, repository: Repository, files: dict[str, bytes]
) -> None:
    hub.cuts = [0] * 50
    with pytest.raises(HubError, match=r"hf://user/name: .*(interrupted|cannot be reached)"):
        resolve_run("hf://user/name")
    hub.cuts = []
    assert (resolve_run("hf://user/name") / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_download_with_a_wrong_hash_is_removed(
    hub: Hub, repository: Repository, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.corrupt = True
    with pytest.raises(HubError, match=r"hf://user/name: .*SHA-256.*download is removed"):
        resolve_run("hf://user/name")
    hub.corrupt = False
    assert (resolve_run("hf://user/name") / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_damaged_cache_is_fetched_anew(hub: Hub, repository: Repository, files: dict[str, bytes]) -> None:
    weights = resolve_run("hf://user/name") / "model.safetensors"
    weights.resolve().write_bytes(b"other")
    with pytest.raises(HubError, match="removed"):
        resolve_run("hf://user/name")
    assert (resolve_run("hf://user/name") / "model.safetensors").read_bytes() == files["model.safetensors"]


def test_a_hub_out_of_order_is_named(hub: Hub, repository: Repository) -> None:
    hub.status = 500
    with pytest.raises(HubError, match="hf://user/name: the Hugging Face Hub responded with 500"):
        resolve_run("hf://user/name")


def test_without_the_library_the_message_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganvas.runs.hub.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match="hf://user/name needs huggingface_hub"):
        resolve_run("hf://user/name")


def test_every_verb_that_takes_a_run_takes_an_address(hub: Hub, tmp_path: Path) -> None:
    """Each fails because of the missing repository, not because of a missing folder."""
    missing, out = Path("hf://no/body"), tmp_path / "out"
    data = ganvas.RunConfig(training=ganvas.TrainingConfig(start_from=missing))
    for call in (
        lambda: api.translate(missing, tmp_path, out),
        lambda: api.sample(missing, out),
        lambda: api.evaluate(missing, data=tmp_path, out=out),
        lambda: api.benchmark("sr", (missing,), data=tmp_path, out=out),
        lambda: api.audit(tmp_path, run=missing, out=out),
        lambda: api.resume(missing),
        lambda: api.train(data, out),
        lambda: api.export(missing, out),
        lambda: api.push(missing, "user/other", dry_run=True),
        lambda: api.load("hf://no/body"),
    ):
        with pytest.raises(RunError, match="hf://no/body: no such repository"):
            call()
    assert not out.exists()


@pytest.mark.slow
def test_the_environment_names_hub_and_cache(hub: Hub, repository: Repository, tmp_path: Path) -> None:
    """As a user sets it, on the command line, without patched constants."""
    ganvas.write_image(tmp_path / "in.png", ganvas.Picture(np.full((20, 24, 3), 99, np.uint8)))
    settings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home"), "GANVAS_CACHE": str(tmp_path / "cache")}

    clean = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | settings

    def run(out: str, **more: str) -> subprocess.CompletedProcess[str]:
        words = ["translate", "hf://user/name", str(tmp_path / "in.png"), str(tmp_path / out)]
        command = [sys.executable, "-m", "ganvas", *words]
        return subprocess.run(command, check=False, capture_output=True, text=True, env=clean | more)

    offline = run("no.png", HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr.count("\n")) == (7, 1)
    assert run("one.png").returncode == 0
    hub.asked.clear()
    assert run("two.png", HF_HUB_OFFLINE="1").returncode == 0
    assert hub.asked == []
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
