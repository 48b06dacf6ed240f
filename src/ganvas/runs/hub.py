"""Runs on the Hugging Face Hub: `hf://user/name[@revision]` is downloaded, verified and cached.

Two files are downloaded, `config.json` and `model.safetensors` (`ganvas.runs.published`), neither of which can contain
code. The cache, the token, the address of the Hub and the offline mode are those of huggingface_hub (HF_HOME, HF_TOKEN,
HF_ENDPOINT, HF_HUB_OFFLINE); GANVAS_OFFLINE forbids downloads too; imports no torch.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

from ganvas.errors import ConfigError, GanvasError, HubError, MissingDependency, RunError
from ganvas.runs.published import CONFIG_NAME, WEIGHTS_NAME, check_weights, read_published

__all__ = [
    "HubAddress",
    "fetch_description",
    "hub_errors",
    "is_offline",
    "parse_address",
    "require_library",
    "resolve_run",
    "upload_address",
    "with_local_runs",
]

C = TypeVar("C")
ADDRESS = re.compile(r"hf:/{1,2}([^/@\s]+/[^/@\s]+)(?:@(\S+))?")
"""Pattern of an address; a `Path` keeps only one of the two slashes."""
NAME = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")
"""Pattern of repository names, without the rules that the Hub itself checks."""
COMMIT = re.compile(r"[0-9a-f]{40}")
RUN_FIELDS = ("run", "runs", "start_from")
"""Fields of configs that contain runs."""
TIMEOUT = 10.0
"""Timeout in seconds of requests for the description of a repository."""


@dataclass(frozen=True)
class HubAddress:
    """Address of a model repository.

    Attributes:
        repository: `user/name`.
        revision: branch, tag or commit; None for the newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")


class CachedCopyWarning(UserWarning):
    """Warning that the Hub cannot be reached and an earlier download is used."""


def parse_address(run: Path | str) -> HubAddress | None:
    """Return the address in a run argument, or None for a path.

    Raises:
        RunError: it starts like an address but is invalid.
    """
    text = run.as_posix() if isinstance(run, Path) else run
    if text.startswith(("http:/", "https:/")):
        raise RunError(f"{text} is a web address; the address of a run on the Hugging Face Hub is hf://user/name")
    if not text.startswith("hf:"):
        return None
    if not (found := ADDRESS.fullmatch(text)):
        written = re.sub("^hf:/(?!/)", "hf://", text)
        raise RunError(f"{written}: a run on the Hugging Face Hub is hf://user/name or hf://user/name@revision")
    return HubAddress(found[1], found[2])


def upload_address(repository: str) -> HubAddress:
    """Return the address of a repository to upload to, `user/name`.

    Raises:
        RunError: it names no repository.
        ConfigError: it names a revision of one.
    """
    address = parse_address(repository if repository.startswith("hf:") else f"hf://{repository}")
    assert address is not None
    if address.revision:
        raise ConfigError(f"{repository}: an upload becomes the newest revision; omit @{address.revision}")
    if not NAME.fullmatch(address.repository):
        raise ConfigError(f"{repository!r}: a repository of the Hub is user/name, of letters, digits, '-', '_' and '.'")
    return address


def resolve_run(run: Path | str) -> Path:
    """Return the folder of a run, downloading it from the Hub unless it is cached.

    Args:
        run: a folder, which is returned unchanged, or `hf://user/name[@revision]`.

    Raises:
        MissingDependency: huggingface_hub is not installed.
        RunError: there is no such repository or revision, or it contains no model of ganvas.
        HubError: the Hub cannot be reached and the run is not cached, or the download is damaged.
    """
    address = parse_address(run)
    return Path(run) if address is None else _downloaded(address)


def with_local_runs(config: C) -> C:
    """Return a config in which runs on the Hugging Face Hub are replaced by their folders in the cache.

    Every command that accepts a run uses this function, so each also accepts `hf://user/name`.

    Args:
        config: a dataclass, which may contain runs in the fields `RUN_FIELDS`.

    Raises:
        GanvasError: see `resolve_run`.
    """
    record: Any = config
    given = {one.name: getattr(record, one.name) for one in fields(record) if one.name in RUN_FIELDS}
    several = {name: tuple(map(resolve_run, value)) for name, value in given.items() if isinstance(value, tuple)}
    single = {name: resolve_run(value) for name, value in given.items() if isinstance(value, Path | str)}
    return cast("C", replace(record, **several, **single))


def require_library(purpose: str) -> None:
    """Raise MissingDependency where huggingface_hub is not installed."""
    if find_spec("huggingface_hub") is None:
        raise MissingDependency("huggingface_hub", "hub", purpose)


def _downloaded(address: HubAddress) -> Path:
    """Return the verified folder of the run in the cache."""
    require_library(str(address))
    with hub_errors(address):
        folder = _cached(address) if _is_final(address) or is_offline() else None
        if folder is None and is_offline():
            raise HubError(f"{address} is not in the cache, and HF_HUB_OFFLINE or GANVAS_OFFLINE forbids downloads")
        folder = folder or _fetch(address)
    try:
        check_weights(folder)
    except RunError as error:
        for name in (CONFIG_NAME, WEIGHTS_NAME):
            _forget(folder / name)
        raise HubError(
            f"{address}: {error}; the download is removed, so the same command downloads it again"
        ) from error
    return folder


def _is_final(address: HubAddress) -> bool:
    """Whether the address names a commit, which never changes."""
    return address.revision is not None and COMMIT.fullmatch(address.revision) is not None


def is_offline() -> bool:
    """Return whether requests to the Hub are forbidden by HF_HUB_OFFLINE or GANVAS_OFFLINE."""
    from huggingface_hub import constants  # optional dependency

    return constants.HF_HUB_OFFLINE or bool(os.environ.get("GANVAS_OFFLINE"))


def _cached(address: HubAddress) -> Path | None:
    """Return the folder of an earlier download of both files, or None."""
    from huggingface_hub import try_to_load_from_cache  # optional dependency

    found = [
        try_to_load_from_cache(address.repository, name, revision=address.revision)
        for name in (CONFIG_NAME, WEIGHTS_NAME)
    ]
    paths = [Path(path) for path in found if isinstance(path, str)]
    return paths[0].parent if len(paths) == 2 else None


def _fetch(address: HubAddress) -> Path:
    """Download both files of one commit, the description first, so that weights of other models are not downloaded."""
    from httpx2 import TransportError  # optional dependency
    from huggingface_hub import HfApi

    try:
        info = HfApi().model_info(address.repository, revision=address.revision, timeout=TIMEOUT)
    except TransportError as error:
        if (folder := _cached(address)) is None:
            raise
        reason = f"the Hugging Face Hub cannot be reached ({error}); the copy of an earlier download is used"
        warnings.warn(f"{address}: {reason}", CachedCopyWarning, stacklevel=2)
        return folder
    there = {file.rfilename for file in info.siblings or ()}
    if missing := [name for name in (CONFIG_NAME, WEIGHTS_NAME) if name not in there]:
        raise RunError(
            f"{address} is not a model of ganvas: it has no {missing[0]}; ganvas reads models that `ganvas push` "
            "uploaded"
        )
    return _file(address, WEIGHTS_NAME, fetch_description(address).name).parent


def fetch_description(address: HubAddress) -> Path:
    """Download only `config.json`, and return the folder of its commit in the cache.

    Raises:
        RunError: it does not describe a model of ganvas.
        OSError: errors of the library; see `hub_errors`.
    """
    folder = _file(address, CONFIG_NAME, address.revision).parent
    try:
        read_published(folder)
    except RunError as error:
        raise RunError(f"{address} is not a readable model of ganvas: {error}") from error
    return folder


def _file(address: HubAddress, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download  # optional dependency

    return Path(
        hf_hub_download(
            address.repository, name, revision=revision, library_name="ganvas", library_version=version("ganvas")
        )
    )


def _forget(path: Path) -> None:
    """Remove a file of the cache: the content, and the link to it in the folder of its commit."""
    content = path.resolve()
    path.unlink(missing_ok=True)
    content.unlink(missing_ok=True)


@contextmanager
def hub_errors(address: HubAddress) -> Iterator[None]:
    """Turn errors of huggingface_hub and of the network into errors that name the repository and the remedy.

    System errors on files, such as a full disk, propagate.

    Raises:
        RunError: repository, revision or file do not exist, or may not be read.
        HubError: the Hub cannot be reached, or answers with an error.
    """
    from httpx2 import HTTPError  # optional dependency

    try:
        with _bars_on_terminals():
            yield
    except GanvasError:
        raise
    except (OSError, HTTPError, ValueError, RuntimeError) as error:
        explained = _explained(error, address)
        if explained is None:
            raise
        raise explained from error


@contextmanager
def _bars_on_terminals() -> Iterator[None]:
    """Show the progress bars of huggingface_hub only on terminals, like those of ganvas."""
    # optional dependency
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if hidden:
        disable_progress_bars()
    try:
        yield
    finally:
        if hidden:
            enable_progress_bars()


def _explained(error: Exception, address: HubAddress) -> GanvasError | None:
    """Return the ganvas error for an error of huggingface_hub; None for a system error on a file."""
    from httpx2 import HTTPError  # optional dependency
    from huggingface_hub import errors

    match error:
        case errors.HFValidationError():
            return RunError(f"{address}: not a valid repository name ({error}); use user/name")
        case errors.GatedRepoError():
            return RunError(f"{address} is gated: request access on its page, then run `hf auth login` or set HF_TOKEN")
        case errors.RepositoryNotFoundError():
            return RunError(
                f"{address}: no such repository, or a private one without access by your token; check the name, or run "
                "`hf auth login` or set HF_TOKEN"
            )
        case errors.RevisionNotFoundError():
            return RunError(f"{address}: the repository has no such revision; omit it for the newest")
        case errors.EntryNotFoundError():
            return RunError(f"{address} is not a model of ganvas: {error}")
        case errors.HfHubHTTPError():
            return _refused(error, address)
        case HTTPError() | ConnectionError():
            reason = str(error) or type(error).__name__
            return HubError(f"{address}: the Hugging Face Hub cannot be reached ({reason}); check the network")
        case OSError() if error.errno is None:
            return HubError(
                f"{address}: the download was interrupted ({str(error).splitlines()[0]}); repeat the command"
            )
        case RuntimeError() | ValueError():
            cause = f" ({error.__cause__})" if error.__cause__ else ""
            return HubError(f"{address}: {error}{cause}; repeat the command")
    return None


def _refused(error: Exception, address: HubAddress) -> GanvasError:
    """Return the error for an HTTP status of 400 and more."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    reason = getattr(error, "server_message", None) or str(error).splitlines()[0]
    if status in (401, 403):
        return RunError(f"{address}: your token has no permission ({reason}); run `hf auth login` with one that has")
    return HubError(f"{address}: the Hugging Face Hub responded with {status} ({reason}); try again later")
