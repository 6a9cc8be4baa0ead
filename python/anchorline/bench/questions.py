"""How long a dashboard waits: each of its questions, asked of the batches of a farm."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import psycopg

from anchorline.bench.scratch import environment, pg_variables
from anchorline.metabase.asking import as_asked
from anchorline.metabase.compiled import compiled_questions

Connection = psycopg.Connection[Any]

MOST_BATCHES: Final = 20


@dataclass(frozen=True)
class QuestionTime:
    """How long one question took, in s, over the batches that it was asked of.

    A question without a filter for a batch was asked once, of the whole farm.
    """

    key: str
    asked: int
    median_seconds: float
    worst_seconds: float
    most_rows: int


def measure_questions(parameters: Mapping[str, Any], as_of: date) -> list[QuestionTime]:
    """Ask every question of every dashboard, slowest first; rows are fetched, not drawn."""
    variables = {"as_of_date": as_of.isoformat()}
    with (
        environment(pg_variables(parameters)),
        compiled_questions("prod", variables=variables) as compiled,
        psycopg.connect(**parameters, autocommit=True) as connection,
    ):
        batches = _batches(connection)
        times = []
        for dashboard in compiled.dashboards:
            for card in dashboard.cards:
                question = card.question
                by_batch = next((item for item in question.filters if item.name == "batch"), None)
                seconds, most_rows = [], 0
                for batch in batches if by_batch else [None]:
                    named = [batch] if "batch" in question.fields else batch
                    chosen = {"batch": named} if batch else {}
                    query = as_asked(question, compiled.schema, chosen).encode()
                    began = time.monotonic()
                    rows = connection.execute(query).fetchall()
                    seconds.append(time.monotonic() - began)
                    most_rows = max(most_rows, len(rows))
                times.append(
                    QuestionTime(
                        question.key,
                        len(seconds),
                        statistics.median(seconds),
                        max(seconds),
                        most_rows,
                    )
                )
    return sorted(times, key=lambda one: -one.worst_seconds)


def _batches(connection: Connection) -> list[str]:
    """Return batches from the one with most states to the one with fewest, evenly chosen."""
    numbers = [
        row[0]
        for row in connection.execute(
            """
            select batches.batch_number
            from anchorline_marts.batches
            inner join anchorline_marts.daily_assignment_states as states
                on batches.batch_id = states.batch_id
            group by batches.batch_number
            order by count(*) desc, batches.batch_number
            """
        ).fetchall()
    ]
    if len(numbers) <= MOST_BATCHES:
        return numbers
    step = (len(numbers) - 1) / (MOST_BATCHES - 1)
    return [numbers[round(place * step)] for place in range(MOST_BATCHES)]
