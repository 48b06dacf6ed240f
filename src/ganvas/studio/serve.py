"""Server of the studio: listens, opens the page, and removes all temporary files at the end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from ganvas.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from ganvas.studio import StudioConfig
    from ganvas.studio.job_requests import Studio
    from ganvas.studio.storage import Limits

__all__ = ["Listening", "opened_studio", "serve"]

EXPIRY_SECONDS = 60.0
"""Seconds between two searches for expired files."""
CONNECTIONS = 100
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
"""Hosts that stand for all interfaces."""
UPLOADS = ("/api/files",)
"""Prefix of the paths that accept files."""


def serve(config: StudioConfig) -> None:
    """Serve the page until SIGINT or SIGTERM.

    Raises:
        MissingDependency: Starlette or uvicorn is not installed.
        InputError: the port is in use, or the address does not belong to this machine.
    """
    _require_server()
    from ganvas.studio.storage import Limits  # slow to import

    with Listening(config) as listening, opened_studio(config, Limits()) as studio:
        print(listening.announcement(), flush=True)
        if config.browser:
            with suppress(webbrowser.Error):
                webbrowser.open(listening.url)
        asyncio.run(_until_stopped(studio, listening))
    print("The studio has ended; its temporary files are removed.", flush=True)


def _require_server() -> None:
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise MissingDependency("Starlette and uvicorn", "studio", "the studio") from error


class Listening:
    """Bound socket with its address and token.

    Args:
        config: host and port.
    """

    def __init__(self, config: StudioConfig) -> None:
        from ganvas.studio.guard import new_token  # slow to import

        self.host = config.host
        try:
            family = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0][0]
            self.socket = socket.create_server((config.host, config.port), family=family, reuse_port=False)
        except OSError as error:
            raise InputError(
                f"{config.host}:{config.port} is not available: {error.strerror or error}; use another --port"
            ) from error
        self.port: int = self.socket.getsockname()[1]
        self.token = new_token() if config.needs_token else None

    @property
    def url(self) -> str:
        """Return the address of the page, with its token; for all interfaces, it contains the host name."""
        return self._url(socket.gethostname() if self.host in EVERYWHERE else self.host)

    def _url(self, host: str) -> str:
        shown = f"[{host}]" if ":" in host else host
        return f"http://{shown}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def announcement(self) -> str:
        """Return the message to print at the start."""
        reach = "Whoever has this address can use the page" if self.token else "Only this machine can reach the page"
        urls = [self.url]
        if self.host in EVERYWHERE and (address := outgoing_address(self.socket.family)) is not None:
            urls.append(self._url(address))
        return f"ganvas studio: {' or '.join(urls)}\n{reach}. Ctrl-C stops it and removes its temporary files."

    def guarded(self, app: ASGIApp) -> ASGIApp:
        """Return the application wrapped in its guard."""
        from ganvas.studio.guard import Guard  # slow to import

        return Guard(app, host=self.host, port=self.port, token=self.token, uploads=UPLOADS)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def outgoing_address(family: int) -> str | None:
    """Return the address of the interface that connects to other machines, or None without a network.

    Connecting a UDP socket sends nothing, but selects the interface.
    """
    elsewhere = "2001:db8::1" if family == socket.AF_INET6 else "192.0.2.1"  # of RFC 3849 and RFC 5737
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))
            address: str = probe.getsockname()[0]
    except OSError:
        return None
    return address


@contextmanager
def opened_studio(
    config: StudioConfig, limits: Limits, *, prepare: Callable[[], None] | None = None
) -> Iterator[Studio]:
    """Yield the state of a studio; at the end, stop its training runs and remove its files.

    Args:
        config: runs and root.
        limits: limits of uploads.
        prepare: function to call once in each worker process.
    """
    from ganvas.studio.job_requests import Studio  # slow to import
    from ganvas.studio.jobs import JobQueue
    from ganvas.studio.library import Library
    from ganvas.studio.storage import opened_storage
    from ganvas.studio.trainings import Trainings

    with opened_storage(limits) as storage:
        studio = Studio(
            storage=storage,
            library=Library(config.runs, config.root),
            work=JobQueue("work", prepare=prepare, threads=config.threads),
            inspection=JobQueue("inspection", prepare=prepare),
            trainings=Trainings(storage.folder, threads=config.threads),
        )
        try:
            yield studio
        finally:
            studio.work.close()
            studio.inspection.close()
            studio.trainings.close()


async def _until_stopped(studio: Studio, listening: Listening) -> None:
    import uvicorn  # optional dependency

    from ganvas.studio.app import make_app  # slow to import

    settings = uvicorn.Config(
        listening.guarded(make_app(studio)), lifespan="off", log_level="warning", access_log=False, server_header=False,
        date_header=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=15, timeout_graceful_shutdown=3,
        proxy_headers=False, ws="none", h11_max_incomplete_event_size=64 * 1024,
    )  # fmt: skip

    class Server(uvicorn.Server):
        """Server that, unlike uvicorn's, does not re-raise the signal that stopped it."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            with _handled(self.handle_exit):
                yield

    async with _expiring(studio):
        await Server(settings).serve([listening.socket])


@contextmanager
def _handled(stop: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call a handler on SIGINT and SIGTERM inside the block."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@asynccontextmanager
async def _expiring(studio: Studio) -> AsyncIterator[None]:
    """Remove expired files periodically inside the block."""

    async def expire() -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            await asyncio.to_thread(studio.expire)

    task = asyncio.create_task(expire())
    try:
        yield
    finally:
        task.cancel()
