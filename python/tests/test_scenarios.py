"""Pins: the names that people type, both kinds of instances, and what a batch then follows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from anchorline.cli import main
from anchorline.raw.schema import create_raw_tables

Connection = psycopg.Connection[Any]

BATCHES = [(1, "FAR-2024-01"), (2, "SCO-2024-02"), (3, "FAR-2024-03")]
SCENARIOS = [
    (11, "Baseline", 1),
    (12, "Revised - Åse's", 1),
    (13, "Twin", 1),
    (14, "Twin", 1),
    (21, "Baseline", 2),
    (90, "Of no batch", None),
]
RUNS = [(101, 11), (103, 12), (102, 12), (201, 21)]


class Desk:
    """Somebody with a terminal, and a look at the pins beside it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["scenarios", *arguments, "--target", "prod"])

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.stderr
        return result.stderr

    def pin(self, batch_id: int, column: str = "pinned_projection_run_id") -> int | None:
        row = self.connection.execute(
            f"select {column} from batch_batch where id = %s",  # type: ignore[arg-type]  # noqa: S608
            (batch_id,),
        ).fetchone()
        assert row is not None
        value: int | None = row[0]
        return value

    def alter(self, statement: str) -> None:
        self.connection.execute(statement)  # type: ignore[call-overload]


@pytest.fixture
def desk(make_database: Callable[[], str], use_database: Callable[[str], None]) -> Iterator[Desk]:
    """A terminal on raw tables in which nothing is pinned."""
    url = make_database()
    use_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        create_raw_tables(connection, "public")
        with connection.transaction():
            for table in ("batch_batch", "scenario", "scenario_projection_run"):
                _without_constraints(connection, table)
            with connection.cursor() as cursor:
                cursor.executemany(
                    "insert into batch_batch (id, batch_number) values (%s, %s)", BATCHES
                )
                cursor.executemany(
                    "insert into scenario (scenario_id, name, batch_id) values (%s, %s, %s)",
                    SCENARIOS,
                )
                cursor.executemany(
                    "insert into scenario_projection_run (run_id, scenario_id) values (%s, %s)",
                    RUNS,
                )
        yield Desk(connection)


def _without_constraints(connection: Connection, table: str) -> None:
    """Let rows of a table consist of what a test says."""
    for (constraint,) in connection.execute(
        "select conname from pg_constraint where conrelid = %s::regclass and contype = 'f'",
        (table,),
    ).fetchall():
        connection.execute(f'alter table {table} drop constraint "{constraint}"')  # type: ignore[call-overload]
    for (column,) in connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 "
        "and attnotnull and attidentity = ''",
        (table,),
    ).fetchall():
        connection.execute(f'alter table {table} alter column "{column}" drop not null')  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("text", "run"),
    [("Baseline", 101), ("id:12", 103), ("12", 103), ("revised - åse\u2019s", 103)],
)
def test_newest_run_of_the_scenario_is_pinned(desk: Desk, text: str, run: int) -> None:
    said = desk.done("pin", "far-2024-01", text)
    assert f"by its projection run {run}." in said
    assert desk.pin(1) == run
    assert [desk.pin(2), desk.pin(3)] == [None, None]


def test_pin_is_taken_away_and_nothing_else(desk: Desk) -> None:
    desk.done("pin", "FAR-2024-01", "11")
    desk.done("pin", "SCO-2024-02", "21")
    assert "is now pinned to nothing" in desk.done("unpin", "1")
    assert [desk.pin(1), desk.pin(2)] == [None, 201]
    assert "pinned to nothing already" in desk.done("unpin", "id:1")


def test_same_pin_twice_says_so(desk: Desk) -> None:
    desk.done("pin", "FAR-2024-01", "11")
    result = desk.run("pin", "FAR-2024-01", "11")
    assert "already" in result.stdout
    assert "refresh" not in result.stderr


def test_dry_run_writes_nothing(desk: Desk) -> None:
    said = desk.done("pin", "FAR-2024-01", "11", "--dry-run")
    assert "would be pinned to scenario 11 (Baseline), by its projection run 101" in said
    assert desk.pin(1) is None
    desk.done("pin", "FAR-2024-01", "11")
    assert "would be pinned to nothing" in desk.done("unpin", "FAR-2024-01", "--dry-run")
    assert desk.pin(1) == 101


def test_unknown_names_are_answered_with_near_ones(desk: Desk) -> None:
    assert "Did you mean 'FAR-2024-03'" in desk.refused("pin", "FAR-2024-033", "11")
    said = desk.refused("pin", "FAR-2024-01", "Revise")
    assert 'Did you mean "Revised - Åse\'s"' in said
    assert "id:11  Baseline" in said
    assert "has none at all" in desk.refused("pin", "FAR-2024-03", "Revised")
    assert "no scenario with the name or id 'id:77'" in desk.refused("pin", "1", "id:77")


def test_scenario_of_another_batch_is_refused(desk: Desk) -> None:
    said = desk.refused("pin", "FAR-2024-01", "21")
    assert "Scenario 21 (Baseline) is one of batch SCO-2024-02, not of FAR-2024-01" in said
    assert desk.pin(1) is None


def test_ambiguous_name_is_refused(desk: Desk) -> None:
    said = desk.refused("pin", "FAR-2024-01", "Twin")
    assert "may be any of 2 scenarios" in said
    assert "id:13  Twin" in said
    assert "id:14  Twin" in said


def test_scenario_without_run_cannot_be_pinned_where_runs_are(desk: Desk) -> None:
    said = desk.refused("pin", "FAR-2024-01", "13")
    assert "Scenario 13 (Twin) has no projection run" in said
    assert "no column pinned_scenario_id" in said
    desk.alter("drop table scenario_projection_run cascade")
    assert "has no projection run" in desk.refused("pin", "FAR-2024-01", "11")


def test_instance_that_pins_scenarios_is_pinned_to_the_scenario(desk: Desk) -> None:
    desk.done("pin", "FAR-2024-01", "12")
    desk.alter("alter table batch_batch add column pinned_scenario_id bigint")
    # a pinned run would win over the scenario
    desk.done("pin", "FAR-2024-01", "Of no batch")
    assert (desk.pin(1), desk.pin(1, "pinned_scenario_id")) == (None, 90)
    desk.alter("alter table batch_batch drop column pinned_projection_run_id")
    desk.done("pin", "FAR-2024-01", "13")
    assert desk.pin(1, "pinned_scenario_id") == 13
    desk.done("unpin", "FAR-2024-01")
    assert desk.pin(1, "pinned_scenario_id") is None


def test_instance_without_pins_says_what_counts(desk: Desk) -> None:
    desk.alter("alter table batch_batch drop column pinned_projection_run_id")
    assert "no batch can be pinned" in desk.refused("unpin", "FAR-2024-01")


def test_list_shows_runs_and_pins(desk: Desk) -> None:
    desk.done("pin", "FAR-2024-01", "12")
    listed = json.loads(desk.done("list", "--json"))
    assert {entry["scenario_id"] for entry in listed} == {key for key, _, _ in SCENARIOS}
    assert [entry["scenario_id"] for entry in listed if entry["is_pinned"]] == [12]
    assert {e["scenario_id"]: e["projection_run_ids"] for e in listed}[12] == [102, 103]
    of_batch = json.loads(desk.done("list", "--batch", "SCO-2024-02", "--json"))
    assert [entry["scenario_id"] for entry in of_batch] == [21]
    assert "102, 103" in desk.done("list", "--batch", "1")
    assert "There is no batch" in desk.refused("list", "--batch", "x")


def test_pinned_run_hides_a_pinned_scenario(desk: Desk) -> None:
    desk.done("pin", "FAR-2024-01", "12")
    desk.alter("alter table batch_batch add column pinned_scenario_id bigint")
    desk.alter("update batch_batch set pinned_scenario_id = 11")
    listed = json.loads(desk.done("list", "--json"))
    assert [entry["scenario_id"] for entry in listed if entry["is_pinned"]] == [12]


def test_missing_tables_are_explained(desk: Desk) -> None:
    desk.alter("drop table scenario cascade")
    assert "anchorline doctor --target prod" in desk.refused("list")
