"""Run the reference on a built database and compare, column by column, group by group.

Records and published rows are streamed to a temporary folder, divided into groups of lineages
(`verify.groups`); then one group after the other is computed and compared, so that memory depends
on the size of a group and not on that of the farm.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from psycopg import Connection, sql

from anchorline import settings
from anchorline.comparison import ColumnDifference, TableComparison, combined
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import project_variable
from anchorline.reference.inputs import COLUMNS, Farm, Parameters
from anchorline.reference.states import Result
from anchorline.verify.divided import DividedFarm, read_groups
from anchorline.verify.group import SHOWN, compare_group, compute, of_batches
from anchorline.verify.groups import READ_WHOLE, STATES_OF_A_GROUP
from anchorline.verify.reading import built, read, read_seeds, read_views
from anchorline.verify.states import compare_states

REJECTED: Final = "$table_name #record_id $reason"
SECONDS_BETWEEN_WORDS: Final = 15.0


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: per column, the rows on one side only, the first that differ.

    `tables` are those of the smoothed series, the plans and the forecast; `missing` names what
    could not be compared because the database does not hold it.
    """

    state_count: int
    columns: list[ColumnDifference]
    only_in_database: int
    only_in_reference: int
    first_rows: pd.DataFrame
    rejected_only_in_database: pd.DataFrame
    rejected_only_in_reference: pd.DataFrame
    tables: Sequence[TableComparison] = ()
    missing: Sequence[str] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing differs, and nothing is missing that should have been compared."""
        return (
            not any(column.differing for column in self.columns)
            and self.only_in_database == 0
            and self.only_in_reference == 0
            and self.rejected_only_in_database.empty
            and self.rejected_only_in_reference.empty
            and all(table.agrees for table in self.tables)
            and not self.missing
        )


def run_parameters(
    connection: Connection, target: str, variables: Mapping[str, Any] | None = None
) -> Parameters:
    """Return the vars that the database was built with.

    `variables` (the `--vars` of the build) win over dbt_project.yml. Without an as-of date, the
    day of the provisional states is taken, where there are some: a build of yesterday is
    compared as it was, not as it would be today.
    """
    given = dict(variables or {})
    names = [
        name for name in Parameters.__dataclass_fields__ if name not in ("as_of_date", "today")
    ]
    values: dict[str, Any] = {}
    for name in names:
        default = Parameters.__dataclass_fields__[name].default
        text = given.get(name)
        text = project_variable(name, str(default)) if text is None else str(text)
        values[name] = _as_type(name, text, default)
    zone = str(given.get("timezone") or project_variable("timezone", "UTC"))
    today = datetime.now(ZoneInfo(zone)).date()
    as_of = given.get("as_of_date") or project_variable("as_of_date", "") or None
    if as_of is None:
        row = connection.execute(
            sql.SQL("select max(state_date) from {} where is_provisional").format(
                sql.Identifier(settings.layer_schema("marts", target), "daily_assignment_states")
            )
        ).fetchone()
        as_of = row[0] if row and row[0] else today
    if not isinstance(as_of, date):
        as_of = date.fromisoformat(str(as_of))
    return Parameters(as_of_date=as_of, today=today, **values)


def verify(
    connection: Connection,
    target: str,
    *,
    parameters: Parameters,
    batch_numbers: Sequence[str] = (),
    limit: int = 10,
    states_of_a_group: int = STATES_OF_A_GROUP,
    tell: Callable[[str], None] = lambda text: None,
) -> Comparison:
    """Run the reference on the staging views and compare it with what the database holds.

    Lineages are computed together until they have `states_of_a_group`, on which memory depends and
    the outcome does not. Raises AnchorlineError where the database is not built, or a batch is
    not known.
    """
    with built(connection, target), TemporaryDirectory(prefix="anchorline_verify_") as folder:
        tell("Reading the staging views")
        whole = {view: COLUMNS[view] for view in READ_WHOLE}
        farm, seeds = read_views(connection, target, whole), read_seeds(connection, target)
        wanted = batch_ids(farm, batch_numbers)
        groups = read_groups(connection, target, farm, seeds, parameters, states_of_a_group)
        divided = DividedFarm(groups, wanted, Path(folder))
        bad = [divided.set_records_aside(connection, target, seeds, parameters)]
        tell("Reading the published states")
        missing = divided.set_tables_aside(connection, target)
        marts = settings.layer_schema("marts", target)
        rejected = read(connection, marts, "rejected_records", REJECTED)

        tell(f"Computing the reference as of {parameters.as_of_date}")
        parts: dict[str, list[TableComparison]] = defaultdict(list)

        def compare_one(number: int) -> None:  # a function, so that nothing of a group is left
            computed = compute(divided.farm(number), seeds, parameters, divided.sums(number))
            published = divided.tables(number)
            bad.append(computed.result.rejected)
            if wanted is not None:
                computed, published = of_batches(computed, published, farm.assignments, wanted)
            for table in compare_group(computed, published, limit):
                parts[table.name].append(table)

        for number in _told(divided.numbers, tell):
            compare_one(number)
    states, *tables = (combined(of_table, SHOWN[name], limit) for name, of_table in parts.items())
    ours = pd.concat(bad)
    if wanted is not None:
        ours, rejected = ours.iloc[0:0], rejected.iloc[0:0]
    keys = ["table_name", "record_id"]
    ours, rejected = (rows.sort_values(keys, kind="stable") for rows in (ours, rejected))
    comparison = _comparison(states, ours, rejected)
    return replace(comparison, tables=tables, missing=missing)


def compare(
    result: Result,
    mart: pd.DataFrame,
    engine: pd.DataFrame,
    rejected: pd.DataFrame,
    limit: int = 10,
) -> Comparison:
    """Compare what the reference computed with what the database holds, all at once."""
    return _comparison(compare_states(result, mart, engine, limit), result.rejected, rejected)


def _comparison(
    states: TableComparison, ours_rejected: pd.DataFrame, theirs_rejected: pd.DataFrame
) -> Comparison:
    keys = ["table_name", "record_id"]
    ours = ours_rejected[[*keys, "reason"]].drop_duplicates(keys)
    theirs = theirs_rejected[[*keys, "reason"]].drop_duplicates(keys)
    return Comparison(
        state_count=states.row_count,
        columns=states.columns,
        only_in_database=states.only_in_database,
        only_in_reference=states.only_in_reference,
        first_rows=states.first_rows,
        rejected_only_in_database=_without(theirs, ours),
        rejected_only_in_reference=_without(ours, theirs),
    )


def batch_ids(farm: Farm, batch_numbers: Sequence[str]) -> list[int] | None:
    """Return the ids of batches by their numbers; None where none are given.

    Raises AnchorlineError for a number that no batch has.
    """
    if not batch_numbers:
        return None
    known = dict(zip(farm.batches["batch_number"], farm.batches["batch_id"], strict=True))
    strange = [number for number in batch_numbers if number not in known]
    if strange:
        some = ", ".join(sorted(map(str, known))[:5])
        raise AnchorlineError(
            f"There is no batch {', '.join(strange)}. Batches are called {some} and so on."
        )
    return [int(known[number]) for number in batch_numbers]


def _told(numbers: Sequence[int], tell: Callable[[str], None]) -> Iterator[int]:
    """Say now and then how many groups have been compared."""
    last_told = monotonic()
    for done, number in enumerate(numbers):
        if monotonic() - last_told >= SECONDS_BETWEEN_WORDS:
            tell(f"Compared {done} of {len(numbers)} groups of lineages")
            last_told = monotonic()
        yield number


def _as_type(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        return type(default)(text)
    except (KeyError, ValueError) as error:
        raise AnchorlineError(
            f"The var {name} is {text!r}; expected something like {default!r}."
        ) from error


def _without(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    known = set(zip(others["table_name"], others["record_id"], strict=True))
    missing = [
        pair not in known for pair in zip(rows["table_name"], rows["record_id"], strict=True)
    ]
    return rows[np.array(missing, dtype=bool)].reset_index(drop=True)
