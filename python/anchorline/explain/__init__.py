"""One published number, taken apart: everything that made the state of an assignment on a day.

`find` turns names into an assignment, `reading` gathers what the day was made of (only they ask
the database), `facts` holds it, `equations` computes it again, `render` prints it.
"""

from __future__ import annotations

from datetime import date

from psycopg import Connection

from anchorline.explain.facts import Departure, Rules, StateDay
from anchorline.explain.find import find
from anchorline.explain.reader import Reader
from anchorline.explain.reading.days import read_departure, read_state_day


def explain(
    connection: Connection, prefix: str, batch: str, container: str, day: date, rules: Rules
) -> StateDay | Departure:
    """Gather what the state of a batch in a container on a day is made of.

    `prefix` is the schema name that the layers' names begin with; `batch` and `container` are
    names or ids. Returns a Departure for days without a state on which fish left or were on
    their way. Raises AnchorlineError where a name is unknown or ambiguous, or where the batch
    was not in the container.
    """
    reader = Reader(connection, prefix)
    stay = find(reader, batch, container, day)
    if stay.has_state:
        return read_state_day(reader, stay, day, rules)
    return read_departure(reader, stay, day)
