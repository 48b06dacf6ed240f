"""Studio: a local page to paint, redact, translate and watch trainings, and its config. No torch here."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from ganvas.api import command
from ganvas.errors import ConfigError
from ganvas.hardware.threads import check_threads

__all__ = ["StudioConfig", "studio"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""Addresses that only programs of this machine reach."""


@dataclass(frozen=True)
class StudioConfig:
    """Local page for redaction, translation and trainings."""

    runs: tuple[Path, ...] = ()
    """Run folders to show besides those below the root."""
    _: KW_ONLY
    root: Path = Path()
    """Folder in which runs, reports and .onnx models are looked for, four folders deep."""
    port: int = 8765
    """Port of the page; 0: any free one."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this machine's own needs the token that is printed at the start."""
    browser: bool = True
    """Open the page in a browser."""
    threads: int | None = None
    """Number of CPU threads of the jobs and of resumed trainings; unset: all, or as many as are fastest."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ConfigError(f"port {self.port} must lie in 0..65535")
        if not self.host or any(letter.isspace() or letter == "/" for letter in self.host):
            raise ConfigError(f"host {self.host!r} must be an address, such as 127.0.0.1")
        check_threads(self.threads)

    @property
    def needs_token(self) -> bool:
        """Return whether other machines may reach the page, so that a token must keep them out."""
        return self.host not in LOOPBACK


@command(StudioConfig)
def studio(config: StudioConfig) -> None:
    """Open a local page to redact, translate and watch trainings, until it is interrupted.

    Needs the extra `studio` (Starlette and uvicorn). Nothing leaves this machine: the page loads nothing from
    elsewhere, and uploads and results lie in a private temporary folder, which is removed at the end.
    """
    from ganvas.studio.serve import serve  # slow to import

    serve(config)
