"""A database full of farms, on which one mutant at a time is tried and taken back.

The models are filled once with their own queries. For a mutant, the changed model is filled
anew, then each model that reads a table that came out differently, until nothing differs any
more; then the checks look at what is there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import Connection, sql

from anchorline.comparison import RELATIVE_TOLERANCE, compare_tables
from anchorline.reference.states import DECIMALS
from anchorline.verify import run_parameters, verify
from anchorline.verify.outlook import TABLES as OUTLOOK_TABLES
from anchorline.verify.outlook import row_keys
from anchorline.verify.reading import read
from anchorline.verify.smoothed import TABLES as SMOOTHED_TABLES
from anchorline.verify.smoothed import SmoothedTable
from anchorline.verify.states import EXACT
from devtools.compiled_models import TARGET, CompiledProject, DataTest, Model
from devtools.expectations import marts_expectations
from devtools.mutants.seeds import seed_schema
from devtools.random_farms import RandomFarm, insert_farm

BUILD: Final = "build"
VERIFY: Final = "verify"
DATA_TEST: Final = "data test"
UNIT_TEST: Final = "unit test"
VALIDATE: Final = "validate"
CHECKS: Final = (BUILD, VERIFY, DATA_TEST, UNIT_TEST, VALIDATE)
"""What can catch a mutant, in the order in which it is asked. `build`: the query fails."""

BASELINE: Final = "mutation_baseline"
"""The schema of the tables as the queries themselves fill them."""

_COMPARED: Final = ("daily_assignment_states", "rejected_records", "int_growth_states")
_TABLES: Final = (*SMOOTHED_TABLES, *OUTLOOK_TABLES)
"""What verify compares besides: the smoothed series, plans and forecasts."""

VERIFIED: Final = frozenset(_COMPARED).union(table.name for table in _TABLES)
"""All that verify compares."""


@dataclass(frozen=True)
class Finding:
    """What caught a mutant, and where."""

    check: str
    name: str


@dataclass(frozen=True)
class Setting:
    """A choice of vars, and what dbt compiled for it."""

    name: str
    variables: Mapping[str, Any]
    project: CompiledProject


@dataclass(frozen=True)
class Trial:
    """What came of a mutant: what caught it, if anything, and whether any row differed."""

    finding: Finding | None
    is_changed: bool


def raise_if_lost(error: psycopg.Error) -> None:
    """Raise an error that says nothing of a query: the server is gone, or shuts down."""
    if error.sqlstate is None:
        # without a code from the server: its end, or a value that Python has none for
        is_lost = isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    else:
        is_lost = error.sqlstate.startswith(("08", "57P"))
    if is_lost:
        raise error


class Arena:
    """One database with farms and the models of one setting."""

    def __init__(self, url: str, setting: Setting, *, timeout_s: float) -> None:
        self.setting = setting
        self.models = {model.name: model for model in setting.project.models}
        self._timeout_ms = int(timeout_s * 1000)
        self._connection = psycopg.connect(url, options="-c jit=off")
        self._columns: dict[str, list[tuple[str, str]]] = {}
        self._fingerprints: dict[str, tuple[Any, ...]] = {}
        self._volatile: frozenset[str] = frozenset()
        self._data_tests: tuple[DataTest, ...] = ()
        self._failing: list[str] = []
        self._expectations: list[tuple[str, str, frozenset[str]]] = []

    # -- making it ----------------------------------------------------------------------------

    def fill(self, farms: Iterable[RandomFarm]) -> None:
        """Insert farms, fill all models with their own queries, and keep what came out."""
        with self._connection.transaction():
            for farm in farms:
                insert_farm(self._connection, farm)
            self._connection.execute("analyze")
            for model in self.models.values():
                self._fill(model, model.query, is_new=True)
            self._connection.execute(sql.SQL("create schema {}").format(sql.Identifier(BASELINE)))
            for name in VERIFIED:
                self._connection.execute(
                    sql.SQL("create table {} as table {}").format(
                        sql.Identifier(BASELINE, name), self.models[name].relation
                    )
                )
            self._connection.execute("analyze")

    def close(self) -> None:
        """Leave the database."""
        self._connection.close()

    def prepare(self) -> None:
        """Learn what the unmutated tables are like, and which checks do not hold on them.

        The tables are filled once more and looked at then, as they will be under a mutant: that
        shows which of them hold the time of the run.
        """
        for model in self.models.values():
            self._columns[model.name] = self._read_columns(model)
        self._data_tests = tuple(test for test in self.setting.project.data_tests if test.parents)
        self._expectations = [
            (expectation.id, query, frozenset(table.name for table in expectation.relations))
            for expectation, query in marts_expectations(self._connection, self.setting.variables)
        ]
        self._fingerprints = self._all_fingerprints()
        self._connection.rollback()
        with self._taken_back():
            for model in self.models.values():
                self._fill(model, model.query)
            again = self._all_fingerprints()
            self._failing = [test.name for test in self._data_tests if self._fails(test.query)]
            self._failing += [name for name, query, _ in self._expectations if self._fails(query)]
        self._volatile = frozenset(
            name for name, value in again.items() if value != self._fingerprints[name]
        )
        self._connection.rollback()

    @property
    def connection(self) -> Connection:
        """The connection, for the checks that need no farms."""
        return self._connection

    def differences(self) -> str:
        """Say where the reference finds other states; nothing where it finds the same."""
        parameters = run_parameters(self._connection, TARGET, self.setting.variables)
        comparison = verify(self._connection, TARGET, parameters=parameters)
        self._connection.rollback()
        if comparison.agrees:
            return ""
        frames = (
            comparison.first_rows,
            comparison.rejected_only_in_database,
            comparison.rejected_only_in_reference,
            *(table.first_rows for table in comparison.tables),
        )
        shown = [frame.head(5).to_string() for frame in frames if len(frame)]
        return "\n".join([*shown, *(f"missing: {name}" for name in comparison.missing)])

    def failing_checks(self) -> list[str]:
        """Name the data tests and expectations that do not hold on the unmutated tables."""
        return list(self._failing)

    def _all_fingerprints(self) -> dict[str, tuple[Any, ...]]:
        return {model.name: self._fingerprint(model) for model in self.models.values()}

    def _read_columns(self, model: Model) -> list[tuple[str, str]]:
        return self._connection.execute(
            """
            select attname::text, format_type(atttypid, atttypmod)
            from pg_catalog.pg_attribute
            where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped
            order by attnum
            """,
            (f'"{model.schema}"."{model.name}"',),
        ).fetchall()

    # -- trying a mutant ----------------------------------------------------------------------

    def try_query(self, model: str, query: str) -> Trial:
        """Put a query in the place of a model's own."""
        return self._try({model: query}, set())

    def try_seed(self, seed: str, statement: str) -> Trial:
        """Change a seed with a statement, for the models that read it and the checks."""
        readers = {
            model.name: model.query
            for model in self.models.values()
            if f'"{seed_schema()}"."{seed}"' in model.query
        }
        return self._try(readers, {seed}, statement)

    def _try(
        self, queries: Mapping[str, str], changed: set[str], statement: str | None = None
    ) -> Trial:
        finding = None
        try:
            with self._taken_back():
                if statement is not None:
                    self._connection.execute(statement.encode())
                upstream = self.setting.project.with_ancestors(_COMPARED)
                self._spread(queries, upstream, changed)
                if changed & set(_COMPARED):
                    finding = self._differs()
                if changed and finding is None:
                    self._spread(queries, frozenset(self.models) - upstream, changed)
                    finding = self._differs_besides(changed) or self._first_failure(changed)
        except psycopg.Error as error:
            raise_if_lost(error)
            return Trial(Finding(BUILD, type(error).__name__), is_changed=True)
        return Trial(finding, is_changed=bool(changed))

    def _spread(
        self, queries: Mapping[str, str], among: Collection[str], changed: set[str]
    ) -> None:
        """Fill the models that the change reaches, parents first; note which come out changed."""
        for model in self.models.values():
            if model.name not in among:
                continue
            if model.name in queries:
                self._fill(model, queries[model.name])
            elif not changed.intersection(model.parents):
                continue
            elif model.materialized != "view":
                self._fill(model, model.query)
            if (
                model.name in self._volatile  # it holds the time of the run: who knows
                or self._fingerprint(model) != self._fingerprints[model.name]
            ):
                changed.add(model.name)

    def _fill(self, model: Model, query: str, *, is_new: bool = False) -> None:
        if is_new:
            if model.materialized == "view":
                statement = sql.SQL("create or replace view {} as {}").format(
                    model.relation, sql.SQL(query)
                )
                self._connection.execute(statement)
                return
            self._columns[model.name] = self._read_columns(model)
        names = [sql.Identifier(name) for name, _ in self._columns[model.name]]
        listed = sql.SQL(", ").join(names)
        if model.materialized == "view":
            cast = sql.SQL(", ").join(
                sql.SQL("{0}::{1} as {0}").format(sql.Identifier(name), sql.SQL(kind))
                for name, kind in self._columns[model.name]
            )
            self._connection.execute(
                sql.SQL("create or replace view {} as select {} from ({}) as model").format(
                    model.relation, cast, sql.SQL(query)
                )
            )
            return
        if not is_new:
            self._connection.execute(sql.SQL("truncate {}").format(model.relation))
        self._connection.execute(
            sql.SQL("insert into {} ({}) select {} from ({}) as model").format(
                model.relation, listed, listed, sql.SQL(query)
            )
        )
        if is_new:
            self._connection.execute(sql.SQL("analyze {}").format(model.relation))

    def _fingerprint(self, model: Model) -> tuple[Any, ...]:
        """Return the number of rows and the sum of their hashes, which no order changes.

        Of their texts: to hash_record_extended a null is the same as a 0.0.
        """
        row = self._connection.execute(
            sql.SQL(
                "select count(*), sum(hashtextextended(model::text, 0)::numeric) from {} as model"
            ).format(model.relation)
        ).fetchone()
        return tuple(row or ())

    @contextmanager
    def _taken_back(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("set local enable_mergejoin = off")
            self._connection.execute(f"set local statement_timeout = {self._timeout_ms}")
            yield

    # -- the checks ---------------------------------------------------------------------------

    def _differs(self) -> Finding | None:
        """Compare with the unmutated tables, with which the reference agrees, as verify does.

        Numbers must be apart by more than twice what verify allows, so that they are apart from
        the reference by more than once.
        """
        row = self._connection.execute(self._difference_query()).fetchone()
        return Finding(VERIFY, str(row[0])) if row else None

    def _differs_besides(self, changed: Collection[str]) -> Finding | None:
        """Compare the other tables of verify in the same way, by its own rules."""
        for table in _TABLES:
            if table.name not in changed:
                continue
            now, was = (
                read(self._connection, schema, table.name, table.columns)
                for schema in (self.models[table.name].schema, BASELINE)
            )
            if isinstance(table, SmoothedTable):
                keys = table.key(was), table.key(now)
            else:
                keys = row_keys(was, now, table.key)
            found = compare_tables(table.name, was, now, keys, table.rules, table.shown, limit=1)
            if found.only_in_database or found.only_in_reference:
                return Finding(VERIFY, f"{table.name}: rows")
            for rule, column in zip(table.rules, found.columns, strict=True):
                terms = 1.0 if rule.terms is None else float(now[rule.terms].max())
                # (what is no number has no largest difference)
                if column.differing and not column.largest <= 2.5 * terms * rule.tolerance:
                    return Finding(VERIFY, f"{table.name}: {column.name}")
        return None

    def _difference_query(self) -> sql.Composed:
        mart, rejected, states = (self.models[name].relation for name in _COMPARED)
        was_mart, was_rejected, was_states = (sql.Identifier(BASELINE, name) for name in _COMPARED)
        cases = [
            sql.SQL("when is_now.{0} is distinct from was.{0} then {1}").format(
                sql.Identifier(column), sql.Literal(column)
            )
            for column in EXACT
        ] + [
            sql.SQL(
                "when (is_now.{0} is null) <> (was.{0} is null)"
                " or abs(is_now.{0} - was.{0}) > {2} then {1}"
            ).format(
                sql.Identifier(column),
                sql.Literal(column),
                sql.Literal(2.5 * 10.0**-decimals),
            )
            for column, decimals in DECIMALS.items()
        ]
        return sql.SQL(
            """
            with differences as (
                select case
                    when is_now.assignment_id is null then 'a state is missing'
                    when was.assignment_id is null then 'a state too many'
                    {cases}
                end as difference
                from {mart} as is_now
                full join {was_mart} as was
                    on is_now.assignment_id = was.assignment_id
                    and is_now.state_date = was.state_date
                union all
                select case
                    when is_now.population is distinct from was.population
                        then 'population (engine)'
                    when abs(is_now.weight_g - was.weight_g) > {tolerance} * abs(was.weight_g)
                        then 'weight_g (unrounded)'
                end
                from {states} as is_now
                inner join {was_states} as was
                    on is_now.assignment_id = was.assignment_id
                    and is_now.state_date = was.state_date
                where not is_now.is_in_transit and not was.is_in_transit
                union all
                select 'rejected_records'
                where exists (
                    select table_name, record_id, reason from {rejected}
                    except select table_name, record_id, reason from {was_rejected}
                ) or exists (
                    select table_name, record_id, reason from {was_rejected}
                    except select table_name, record_id, reason from {rejected}
                )
            )
            select difference from differences where difference is not null limit 1
            """
        ).format(
            cases=sql.SQL("\n").join(cases),
            mart=mart,
            was_mart=was_mart,
            states=states,
            was_states=was_states,
            rejected=rejected,
            was_rejected=was_rejected,
            tolerance=sql.Literal(2.5 * RELATIVE_TOLERANCE),
        )

    def _first_failure(self, changed: set[str]) -> Finding | None:
        for test in self._data_tests:
            if test.parents & changed and self._finds_rows(test.query):
                return Finding(DATA_TEST, test.name)
        for name, query, reads in self._expectations:
            if reads & changed and self._finds_rows(query):
                return Finding(VALIDATE, name)
        return None

    def _finds_rows(self, query: str) -> bool:
        return self._connection.execute(query.encode()).fetchone() is not None

    def _fails(self, query: str) -> bool:
        """Say whether a check does not hold on the unmutated tables, or not even run."""
        try:
            with self._connection.transaction(force_rollback=True):
                return self._finds_rows(query)
        except psycopg.Error as error:
            raise_if_lost(error)
            return True
