"""dbt's unit tests, as dbt compiles them, run on mutants of the models that they test.

dbt puts a test's rows as CTEs before the model's query. A mutant's query takes the place of the
model's between these CTEs and the comparison with the expected rows. The test's own vars may have
compiled the model to other numbers: the mutant is then the same change of that query. A test that
takes a seed as it is reads the seed's table here, so that it meets the mutants of the seed, too.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
from dbt.artifacts.resources.types import NodeType
from dbt.artifacts.resources.v1.unit_test_definition import UnitTestFormat, UnitTestInputFixture
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ParsedNode, SeedNode
from psycopg import Connection
from psycopg.types.string import TextLoader

from anchorline import settings
from devtools.compiled_models import Dbt, without_database
from devtools.mutants.arena import raise_if_lost
from devtools.mutants.generator import Mutant, Query, fixtures_of


@dataclass(frozen=True)
class UnitTest:
    """A unit test: the model, its compiled query with fixtures, and the whole comparison."""

    name: str
    model: str
    query: str
    comparison: str

    @cached_property
    def _parsed(self) -> Query:
        return Query(self.model, self.query)

    def reads(self, table: str) -> bool:
        """Say whether it reads a table, such as a seed that it takes as it is."""
        return f'"{table}"' in self.query

    def passes(self, connection: Connection, query: str | None = None) -> bool:
        """Run the test, perhaps with another query for the model's; an error fails it."""
        text = self.comparison
        if query is not None:
            text = text.replace(self.query, query)
        try:
            with connection.transaction(force_rollback=True):
                cursor = connection.cursor()
                for kind in ("date", "timestamp", "timestamptz"):
                    # Python has no infinite ones
                    cursor.adapters.register_loader(kind, TextLoader)
                cursor.execute(text.encode())
                names = [column.name for column in cursor.description or ()]
                side = names.index("actual_or_expected")
                rows: Mapping[str, Counter[Any]] = {"actual": Counter(), "expected": Counter()}
                for row in cursor:
                    values = (_hashable(value) for i, value in enumerate(row) if i != side)
                    rows[row[side]][tuple(values)] += 1
        except psycopg.Error as error:
            raise_if_lost(error)
            return False
        return rows["actual"] == rows["expected"]

    def passes_after(self, connection: Connection, statement: str) -> bool:
        """Run the test after a statement, which is taken back."""
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
            return self.passes(connection)

    def passes_with(self, connection: Connection, mutant: Mutant) -> bool:
        """Run the test on a mutant of its model; it passes where it has no such place."""
        found = self._parsed.find(mutant)
        if found is None:
            return True
        return self.passes(
            connection, self._parsed.mutated(found, fixtures=fixtures_of(self.query))
        )


def _hashable(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(
            value, sort_keys=True, default=lambda v: float(v) if isinstance(v, Decimal) else str(v)
        )
    return value


def compile_unit_tests(
    dbt: Dbt, folder: Path, selection: str = "test_type:unit"
) -> tuple[UnitTest, ...]:
    """Let dbt run all unit tests on the empty models, or some, and keep what it compiled."""
    comparisons: dict[str, str] = {}

    def note(node: ParsedNode, project_root: str, path: str, query: str) -> None:
        if path == node.build_path:  # as it is run, not as it is compiled
            comparisons[node.name] = without_database(query, dbt.database)

    with (
        mock.patch.object(ParsedNode, "write_node", note),
        _seeds_as_tables(dbt.manifest(folder)),
    ):
        nodes = dbt.nodes("test", folder, "--select", selection)
    tests = []
    for node in nodes:
        if node.resource_type != "unit_test":
            continue  # a hook
        query = without_database(node.compiled_code, dbt.database).strip()
        comparison = comparisons[node.name]
        if query not in comparison:
            raise RuntimeError(f"dbt ran something else than it compiled: {node.name}")
        model = node.tested_node_unique_id.split(".")[-1]
        tests.append(UnitTest(node.name, model, query, comparison))
    return tuple(tests)


@contextmanager
def _seeds_as_tables(manifest: Manifest) -> Iterator[None]:
    """Let unit tests read the tables of seeds whose files dbt has read for them."""
    seeds = {
        f"ref('{node.name}')": (_rows_of(node), f"select * from {node.relation_name}")  # noqa: S608
        for node in manifest.nodes.values()
        if node.resource_type == NodeType.Seed
    }
    changed: list[tuple[UnitTestInputFixture, Any]] = []
    for test in manifest.unit_tests.values():
        for given in test.given:
            rows, query = seeds.get(given.input, (None, ""))
            if given.format == UnitTestFormat.Dict and given.rows == rows:
                changed.append((given, given.rows))
                given.format, given.rows = UnitTestFormat.SQL, query
    try:
        yield
    finally:
        for given, rows in changed:
            given.format, given.rows = UnitTestFormat.Dict, rows


def _rows_of(seed: SeedNode) -> list[dict[str, Any]]:
    path = settings.project_folder() / seed.original_file_path
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
