"""Studio, a local web page to redact, translate and monitor training, and its config; imports no torch."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ganvas.api import command
from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads

__all__ = ["StudioConfig", "studio"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that are reachable only from this machine."""


@dataclass(frozen=True)
class StudioConfig:
    """Local web page for redaction, translation and training."""

    runs: tuple[Path, ...] = ()
    """Run folders to show in addition to those below the root."""
    _: KW_ONLY
    root: Path = Path()
    """Folder to search for runs, reports and .onnx models, four levels deep."""
    port: int = 8765
    """Port of the page; 0: any free port."""
    host: str = "127.0.0.1"
    """Address to listen on. Addresses other than this machine's require the token that is printed at the start."""
    browser: bool = True
    """Open the page in a browser."""
    threads: int | None = None
    """Number of CPU threads of jobs and of resumed training runs; unset: all, or the fastest number."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ConfigError(f"port {self.port} must lie in 0..65535")
        if not self.host or any(letter.isspace() or letter == "/" for letter in self.host):
            raise ConfigError(f"host {self.host!r} must be an address, such as 127.0.0.1")
        check_threads(self.threads)

    @property
    def needs_token(self) -> bool:
        """Return whether other machines may reach the page, so that a token is required."""
        return self.host not in LOOPBACK


@command(StudioConfig)
def studio(config: StudioConfig) -> None:
    """Serve a local web page to redact, translate and monitor training, until interrupted.

    Requires the extra `studio` (Starlette and uvicorn). No data leave this machine: the page loads no resources from
    other servers, and uploads and results are stored in a private temporary folder, which is removed at the end.
    """
    from ganvas.studio.serve import serve  # slow to import

    serve(config)
