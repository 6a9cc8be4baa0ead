"""The suites' queries, asked on two connections at once: most of a validation's time is theirs.

They are asked before Great Expectations is imported, so that the server works meanwhile.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.rows import dict_row

from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.expectations.names import Catalogue, Names
from anchorline.expectations.suites import Expectation, Suite

CONNECTIONS: Final = 2
"""More would take the server from those who work on it."""

CANCELLING_SECONDS: Final = 5
"""Longer, and the server does not hear."""

Rows = list[dict[str, Any]]

# A session only reads, plans without JIT (it costs more than it gains here), and may sort a
# farm's days in memory. Two sessions are enough in parallel. A merge join would sort a million
# wide rows to find none in them.
SESSION: Final = (
    "set default_transaction_read_only = on",
    "set jit = off",
    "set work_mem = '128MB'",
    "set max_parallel_workers_per_gather = 0",
    "set enable_mergejoin = off",
)


class _NumericLoader(Loader):
    """Reads numerics, sums of counts among them, as float or int.

    For each Decimal that it writes down, Great Expectations looks through the whole stack: 6 ms.
    """

    def load(self, data: Buffer) -> float | int:
        text = bytes(data)
        return int(text) if text.lstrip(b"-").isdigit() else float(text)


@dataclass(frozen=True)
class Question:
    """One expectation and its answers to come; `beyond` and `missing` say why it has none."""

    expectation: Expectation
    query: str | None = None
    rows: Future[Rows] | None = None
    rows_tried: Future[Rows] | None = None
    beyond: str | None = None
    missing: str | None = None


class Questions:
    """The queries of one validation. A context manager, which leaves no query running."""

    def __init__(self, target: str, names: Names, suites: Sequence[Suite]) -> None:
        self._target = target
        self._names = names
        self._futures: dict[str, Future[Rows]] = {}
        self._own = threading.local()
        self._sessions: list[psycopg.Connection[dict[str, Any]]] = []
        self._lost: Exception | None = None
        self._is_cancelled = False
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="questions")
        self._suites = suites
        self.of_suite: dict[str, list[Question]] = {}

    def __enter__(self) -> Self:
        """Ask all of them; the answers come later."""
        with connect(self._target, autocommit=True) as connection:
            catalogue = Catalogue(connection, self._names)
        if self._names.limit is not None:
            self._names = catalogue.limited(self._names.limit)
        for suite in self._suites:
            self.of_suite[suite.name] = [
                self._question(expectation, catalogue) for expectation in suite.expectations
            ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs after an error, and close the connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if kind is not None:
            self.cancel()
        self._pool.shutdown(wait=True)
        for session in self._sessions:
            session.close()

    def cancel(self) -> None:
        """Let the server end the queries that run, and begin no other.

        Asks until none runs: one may be about to begin while it asks.
        """
        self._is_cancelled = True
        for _ in range(CANCELLING_SECONDS * 20):
            for session in list(self._sessions):
                with contextlib.suppress(psycopg.Error):
                    session.cancel()
            if not any(future.running() for future in self._futures.values()):
                return
            time.sleep(1 / 20)

    @property
    def answers(self) -> dict[str, Future[Rows]]:
        """Every query that was asked, with its answer to come."""
        return self._futures

    def raise_if_lost(self) -> None:
        """Raise AnchorlineError where the database went away: then nothing has a result."""
        if self._lost is not None:
            raise AnchorlineError(
                "The database went away during the validation, which has no result. "
                "Run it again when the server is there. Nothing in the database was changed."
            ) from self._lost

    def _question(self, expectation: Expectation, catalogue: Catalogue) -> Question:
        beyond = self._names.beyond(expectation)
        missing = catalogue.missing(expectation)
        if beyond is not None or missing is not None:
            return Question(expectation, beyond=beyond, missing=missing)
        query, tried = self._names.query(expectation), self._names.rows_tried(expectation)
        return Question(
            expectation,
            query=query,
            rows=self._ask(query) if query else None,
            rows_tried=self._ask(tried) if tried else None,
        )

    def _ask(self, query: str) -> Future[Rows]:
        if query not in self._futures:
            self._futures[query] = self._pool.submit(self._answer, query)
        return self._futures[query]

    def _answer(self, query: str) -> Rows:
        self.raise_if_lost()
        if self._is_cancelled:
            raise CancelledError
        session = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = self._open()
        try:
            return list(session.execute(query.encode()).fetchall())
        except psycopg.Error as error:
            if session.broken:
                self._lost = error
            raise

    def _open(self) -> psycopg.Connection[dict[str, Any]]:
        try:
            session = connect(self._target, autocommit=True)
        except AnchorlineError as error:
            self._lost = error
            raise
        for statement in SESSION:
            session.execute(statement.encode())
        session.adapters.register_loader("numeric", _NumericLoader)
        session.row_factory = dict_row  # type: ignore[assignment]
        self._sessions.append(session)  # type: ignore[arg-type]
        return session  # type: ignore[return-value]
