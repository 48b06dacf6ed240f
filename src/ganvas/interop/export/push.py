"""Upload of a run to the Hugging Face Hub: exported, verified, and uploaded as one commit.

Only the files of the export are uploaded. The token is that of huggingface_hub (`hf auth login`, HF_TOKEN).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from ganvas.content_gate import admit
from ganvas.errors import ConfigError, HubError, InputError, RunError
from ganvas.image.files import read_image, read_label
from ganvas.image.label import SOURCE_TYPE
from ganvas.interop.export.config import PushConfig
from ganvas.interop.export.export import REPORT_NAME, export_run
from ganvas.interop.export.huggingface import CARD_NAME, EXAMPLES_NAME
from ganvas.runs.hub import (
    TIMEOUT,
    HubAddress,
    fetch_description,
    hub_errors,
    is_offline,
    require_library,
    upload_address,
)
from ganvas.runs.published import CONFIG_NAME, WEIGHTS_NAME, is_published, read_published
from ganvas.runs.record import load_generators

__all__ = ["Pushed", "push_run"]

NAMES = (CARD_NAME, CONFIG_NAME, WEIGHTS_NAME, REPORT_NAME)
"""Files of a model folder that are uploaded, with the example pictures."""
EXAMPLE = re.compile(r"\d+-(input|translation)\.png")


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """Result of an upload, or of a dry run.

    Attributes:
        repository: `user/name`.
        public: whether the repository is public.
        files: path in the repository -> bytes.
        left_out: files of the folder that are not uploaded.
        license: license of the weights.
        commit: commit on the Hub; None for a dry run.
        page: web page of the repository; None for a dry run.
    """

    repository: str
    public: bool
    files: dict[str, int]
    left_out: tuple[str, ...]
    license: str | None
    commit: str | None = None
    page: str | None = None

    def __str__(self) -> str:
        visible = "public: everybody can see and download it" if self.public else "private"
        lines = [f"{self.repository} ({visible}), {len(self.files)} files, {sum(self.files.values()) / 1e6:.1f} MB:"]
        lines += [f"  {name} ({size} bytes)" for name, size in self.files.items()]
        lines += [f"  not uploaded: {', '.join(self.left_out)}"] if self.left_out else []
        lines.append(f"license: {self.license or 'not stated (--license of export or push)'}")
        if self.commit is None:
            return "\n".join([*lines, "nothing was uploaded (--dry-run)"])
        return "\n".join([*lines, f"uploaded: {self.page}", f"load it as hf://{self.repository}@{self.commit}"])


def push_run(config: PushConfig) -> Pushed:
    """Upload a run, or a folder that was exported for the Hub, to a repository, private by default.

    Raises:
        MissingDependency: huggingface_hub is missing.
        ConfigError: the repository's name or a setting is not valid, it has another visibility, or there is no token.
        RunError: no run; the repository may not be written or holds another model.
        HubError: the Hub cannot be reached or answers with an error.
        ExportError: the export differs from its run.
        PolicyRefusal: the content gate refused an example.
    """
    # 1. Check everything that needs neither the run nor a connection.
    address = upload_address(config.repository)
    require_library("ganvas push")
    if not config.dry_run:
        _require_access(address)
        with hub_errors(address):
            exists = _check_repository(address, public=config.public)
    # 2. Export and verify the run, or verify the folder of an earlier export.
    with _model_folder(config, address) as folder:
        paths = _files(folder)
        others = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        pushed = Pushed(
            repository=address.repository,
            public=config.public,
            files={name: path.stat().st_size for name, path in paths.items()},
            left_out=tuple(sorted(name for name in others if name not in paths)),
            license=read_published(folder).license,
        )
        if config.dry_run:
            return pushed
        # 3. Upload everything as one commit, and verify the uploaded weights.
        with hub_errors(address):
            return _upload(pushed, address, paths, exists=exists, weights_sha256=read_published(folder).weights_sha256)


def _require_access(address: HubAddress) -> None:
    """Raise unless uploads are possible: not in offline mode, and with a token."""
    from huggingface_hub import get_token  # optional dependency

    if is_offline():
        raise HubError(f"{address}: HF_HUB_OFFLINE or GANVAS_OFFLINE is set, so nothing is uploaded; unset it")
    if get_token() is None:
        raise ConfigError(f"{address}: no token; `hf auth login`, or set HF_TOKEN to a token with write access")


def _check_repository(address: HubAddress, *, public: bool) -> bool:
    """Return whether the repository exists already.

    Raises:
        ConfigError: it exists with another visibility.
        RunError: it contains another model.
    """
    from huggingface_hub import HfApi  # optional dependency
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        info = HfApi().model_info(address.repository, timeout=TIMEOUT)
    except GatedRepoError:
        raise
    except RepositoryNotFoundError:
        return False
    if bool(info.private) is public:
        remedy = "make it public in its settings on the Hub" if public else "pass --public, or make it private there"
        raise ConfigError(f"{address} exists and is {'private' if public else 'public'}; {remedy}, or use another name")
    if {CONFIG_NAME, WEIGHTS_NAME} & {file.rfilename for file in info.siblings or ()}:
        try:
            fetch_description(address)
        except RunError as error:
            raise RunError(f"{error}; it would be overwritten: use another repository") from error
    return True


@contextmanager
def _model_folder(config: PushConfig, address: HubAddress) -> Iterator[Path]:
    """Yield the folder to upload: the given one if it is exported already, else a temporary export of the run."""
    if is_published(config.run):
        config.check_exported()
        _check_folder(config.run)
        yield config.run
        return
    with TemporaryDirectory(prefix="ganvas-") as scratch:
        settings = config.of_export(Path(scratch) / "model", address.repository)
        export_run(settings)
        yield settings.out


def _check_folder(folder: Path) -> None:
    """Verify a folder that was exported earlier and may have changed since.

    Raises:
        RunError: the weights are damaged, or do not belong to the record.
        PolicyRefusal: the content gate refused an example picture.
        InputError: a translation among the examples has lost its label.
    """
    load_generators(folder)  # verifies the hash of the weights
    for path in _examples(folder):
        admit(read_image(path), name=f"{EXAMPLES_NAME}/{path.name}")
        if path.stem.endswith("translation") and read_label(path) != SOURCE_TYPE:
            raise InputError(f"{path} has no label that says it is synthetic; export the run again")


def _examples(folder: Path) -> list[Path]:
    """Return the example pictures of a folder."""
    return [path for path in sorted((folder / EXAMPLES_NAME).glob("*.png")) if EXAMPLE.fullmatch(path.name)]


def _files(folder: Path) -> dict[str, Path]:
    """Return path in the repository -> file, for all files to upload."""
    paths = [path for path in (*(folder / name for name in NAMES), *_examples(folder)) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in paths}


def _upload(
    pushed: Pushed, address: HubAddress, paths: dict[str, Path], *, exists: bool, weights_sha256: str
) -> Pushed:
    """Create the repository if there is none, commit the files, and check the hash of the weights on the Hub.

    Raises:
        HubError: the hash of the weights on the Hub differs.
    """
    from huggingface_hub import CommitOperationAdd, HfApi  # optional dependency

    api = HfApi(library_name="ganvas", library_version=version("ganvas"))
    if not exists:
        api.create_repo(address.repository, private=not pushed.public)
        _check_repository(address, public=pushed.public)  # before anything could become public by mistake
    operations = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in paths.items()]
    commit = api.create_commit(address.repository, operations, commit_message=f"Model of ganvas {version('ganvas')}")
    there = api.model_info(address.repository, revision=commit.oid, files_metadata=True)
    found = {file.rfilename: file.lfs.sha256 for file in there.siblings or () if file.lfs is not None}
    if found.get(WEIGHTS_NAME) != weights_sha256:
        raise HubError(
            f"{address}: the weights on the Hub differ from the uploaded ones (commit {commit.oid}); upload again"
        )
    return replace(pushed, commit=commit.oid, page=f"{api.endpoint}/{address.repository}")
