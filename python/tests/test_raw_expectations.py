"""Each raw expectation sees what spoils the raw tables, and no other does."""

# ruff: noqa: S608
# The SQL is put together from the suite.

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from conftest import AS_OF
from psycopg import sql
from spoilt_raw import CORRUPTIONS, FARM, RAW, SHAPES, Corruption

from anchorline.expectations.names import Names, for_target
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, Outcome
from anchorline.expectations.suites import Expectation
from anchorline.expectations.validation import Validator
from anchorline.raw.schema import RAW_TABLES
from anchorline.raw.sources import read_sources


def reported(
    connection: psycopg.Connection[Any], names: Names, asked: list[Expectation]
) -> set[str]:
    """Return the expectations that report a row, in one round trip."""
    parts = [
        f"select '{expectation.id}' where exists (select 1 from ({names.query(expectation)}) as r)"
        for expectation in asked
        if expectation.query is not None
    ]
    return {row[0] for row in connection.execute(" union all ".join(parts).encode())}


@pytest.fixture(scope="module")
def farm_url(make_database: Callable[[], str]) -> str:
    """The raw tables as the models read them, without constraints: spoilt rows must fit in."""
    url = make_database()
    with psycopg.connect(url) as connection:
        for name in read_sources():
            columns = [
                sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type))
                for column in RAW_TABLES[name].columns
            ]
            connection.execute(
                sql.SQL("create table {} ({})").format(
                    sql.Identifier(name), sql.SQL(", ").join(columns)
                )
            )
        for name, rows in FARM.items():
            for row in rows:
                connection.execute(
                    sql.SQL("insert into {} ({}) values ({})").format(
                        sql.Identifier(name),
                        sql.SQL(", ").join(map(sql.Identifier, row)),
                        sql.SQL(", ").join(map(sql.Literal, row.values())),
                    )
                )
    return url


@pytest.fixture
def own_url(
    farm_url: str,
    validated: Callable[[str], AbstractContextManager[str]],
    use_database: Callable[[str], None],
) -> Iterator[str]:
    """A copy of the farm for one test, which commands find."""
    with validated(str(psycopg.conninfo.conninfo_to_dict(farm_url)["dbname"])) as url:
        use_database(url)
        yield url


@pytest.fixture(scope="module")
def names(farm_url: str) -> Names:
    with psycopg.connect(farm_url) as connection:
        return for_target("prod", connection, as_of=AS_OF)


@pytest.fixture
def farm(farm_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the farm whose changes are taken back."""
    with psycopg.connect(farm_url) as connection:
        yield connection
        connection.rollback()


def test_every_raw_expectation_has_a_corruption() -> None:
    """Of shapes that is the loss of a column, below."""
    assert {corruption.expectation_id for corruption in CORRUPTIONS} == set(RAW) - set(SHAPES)


def test_the_farm_is_as_it_should_be(farm: psycopg.Connection[Any], names: Names) -> None:
    assert set(FARM) == set(read_sources())
    assert reported(farm, names, list(RAW.values())) == set()
    for expectation in RAW.values():
        tried = names.rows_tried(expectation)
        if tried is not None:
            row = farm.execute(tried.encode()).fetchone()
            assert row is not None
            assert row[0] > 0, f"{expectation.id} tries nothing"


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: f"{c.expectation_id}-{c.table}")
def test_this_expectation_sees_it_and_no_other(
    farm: psycopg.Connection[Any], names: Names, corruption: Corruption
) -> None:
    assert farm.execute(corruption.statement.encode()).rowcount > 0
    readers = [
        expectation
        for expectation in RAW.values()
        if corruption.table in {relation.name for relation in expectation.relations}
    ]
    expected = {corruption.expectation_id, *corruption.others}
    assert reported(farm, names, readers) == expected, corruption.statement


def test_great_expectations_sees_the_same(own_url: str, validator: Validator, names: Names) -> None:
    """It finds nothing on the farm, where all is spoilt what the SQL finds, and lost columns."""
    with psycopg.connect(own_url) as connection:
        for schema in ("spoilt", "bare"):
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            for name in FARM:
                connection.execute(
                    sql.SQL("create table {} as table {}").format(
                        sql.Identifier(schema, name), sql.Identifier("public", name)
                    )
                )
        connection.execute("set search_path = spoilt")
        for corruption in CORRUPTIONS:
            connection.execute(corruption.statement.encode())
        for expectation in SHAPES.values():
            connection.execute(
                sql.SQL("alter table {} drop column {}").format(
                    sql.Identifier("bare", expectation.relation.name),
                    sql.Identifier(max(expectation.kwargs["column_set"])),
                )
            )
        spoilt_names = replace(names, schemas={**names.schemas, "raw": "spoilt"})
        expected = reported(connection, spoilt_names, list(RAW.values()))
    assert len(expected) > 60

    def outcomes_of(schema: str) -> dict[str, Outcome]:
        found = validator.validate(("raw",), as_of=AS_OF, variables={"raw_schema": schema})
        return {outcome.id: outcome for outcome in found.outcomes}

    assert {outcome.status for outcome in outcomes_of("public").values()} == {PASSED}
    spoilt = outcomes_of("spoilt")
    assert {id_ for id_, outcome in spoilt.items() if outcome.status == FAILED} == expected
    assert {outcome.status for outcome in spoilt.values()} == {PASSED, FAILED}
    bare = outcomes_of("bare")
    for id_, expectation in SHAPES.items():
        assert bare[id_].status == FAILED
        lost = max(expectation.kwargs["column_set"])
        assert bare[id_].examples == [{"column": lost, "found": "missing"}]
    assert {o.status for id_, o in bare.items() if id_ not in SHAPES} == {PASSED, BROKEN}
