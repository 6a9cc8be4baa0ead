"""What a phase takes of the machine: time, CPU and memory, of this program and of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from types import TracebackType
from typing import Any, Final, Self

import psutil
import psycopg

Connection = psycopg.Connection[Any]

SECONDS_BETWEEN_SAMPLES: Final = 0.2
_GONE: Final = (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess)


@dataclass
class Usage:
    """What was used from the beginning of a phase to its end.

    Times in s, memory in bytes. The client is this process with those that it starts, or these
    alone; memory is the most that they, or the server's processes, held at one moment: of the
    server what is its processes' own, `server_shared_bytes` beside it. What a server on another
    machine uses cannot be seen from here: None.
    """

    seconds: float = 0.0
    client_cpu_seconds: float = 0.0
    server_cpu_seconds: float | None = None
    client_bytes: int = 0
    server_bytes: int | None = None
    server_shared_bytes: int = 0


class Meter:
    """Measures phases; a thread looks at memory five times a second."""

    def __init__(self, connection: Connection) -> None:
        """Find the server's processes, where they are on this machine."""
        self._client = psutil.Process()
        self._server = _postmaster(connection)
        self._shared_bytes = _shared_bytes(connection)

    @contextmanager
    def phase(self, *, started_only: bool = False) -> Iterator[Usage]:
        """Measure what happens in the block; the usage is complete at its end.

        With `started_only` the client's memory is that of the processes that it starts: what they
        need by themselves.
        """
        usage = Usage(server_shared_bytes=self._shared_bytes)
        client_before, server_before = self._client_cpu(), self._server_cpu()
        began = time.monotonic()
        with _Sampler(lambda: self._look(usage, started_only=started_only)):
            yield usage
        usage.seconds = time.monotonic() - began
        usage.client_cpu_seconds = self._client_cpu() - client_before
        server_after = self._server_cpu()
        if server_before is not None and server_after is not None:
            usage.server_cpu_seconds = server_after - server_before

    def _look(self, usage: Usage, *, started_only: bool) -> None:
        """Note the memory of this moment where it is the most so far."""
        clients = self._of_client()[1 if started_only else 0 :]
        usage.client_bytes = max(usage.client_bytes, _held(clients))
        if self._server is not None:
            usage.server_bytes = max(usage.server_bytes or 0, _private(self._of_server()))

    def _of_client(self) -> list[psutil.Process]:
        processes = [self._client, *_children(self._client)]
        server = {process.pid for process in self._of_server()}
        return [process for process in processes if process.pid not in server]

    def _of_server(self) -> list[psutil.Process]:
        return [] if self._server is None else [self._server, *_children(self._server)]

    def _client_cpu(self) -> float:
        # of processes that have ended and been waited for, the system keeps the sum
        times = self._client.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)

    def _server_cpu(self) -> float | None:
        if self._server is None:
            return None
        times = self._server.cpu_times()
        ended = times.user + times.system + times.children_user + times.children_system
        return float(ended + sum(_cpu(process) for process in _children(self._server)))


class _Sampler:
    """Looks at memory until the block ends."""

    def __init__(self, look: Callable[[], object]) -> None:
        self._look = look
        self._is_over = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN_SAMPLES):
            with suppress(*_GONE):
                self._look()

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()


def _postmaster(connection: Connection) -> psutil.Process | None:
    """Return the server's first process; None where it runs elsewhere or cannot be seen."""
    if connection.info.host and not connection.info.host.startswith(("/", "127.", "::1", "local")):
        return None
    row = connection.execute("select pg_backend_pid()").fetchone()
    try:
        backend = psutil.Process(row[0] if row else -1)
        parent = backend.parent()
    except (ValueError, *_GONE):
        return None
    # behind a tunnel or in a container the number may be some other process's
    return parent if parent is not None and "postgres" in backend.name() else None


def _shared_bytes(connection: Connection) -> int:
    row = connection.execute("select pg_size_bytes(current_setting('shared_buffers'))").fetchone()
    return int(row[0]) if row else 0


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except _GONE:
        return []


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except _GONE:
        return 0.0
    return float(times.user + times.system)


def _held(processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with suppress(*_GONE):
            total += process.memory_info().rss
    return total


def _private(processes: Iterable[psutil.Process]) -> int:
    total = 0
    for process in processes:
        with suppress(*_GONE):
            memory = process.memory_info()
            total += memory.rss - getattr(memory, "shared", 0)
    return total
