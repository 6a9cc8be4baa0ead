"""The raw tables: what `schema.sql` says is what comes into being."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest
from psycopg import sql

from anchorline.raw import schema as raw
from anchorline.raw.sources import read_sources

Connection = psycopg.Connection[Any]

SCHEMA = 'Farm "raw"'


@pytest.fixture
def conn(make_database: Callable[[], str]) -> Iterator[Connection]:
    with psycopg.connect(make_database()) as connection:
        yield connection


def described(conn: Connection, schema: str) -> tuple[list[Any], list[Any]]:
    columns = conn.execute(
        """
        select
            table_name, ordinal_position, column_name, data_type, character_maximum_length,
            numeric_precision, numeric_scale, is_nullable, is_identity
        from information_schema.columns
        where table_schema = %s
        order by table_name, ordinal_position
        """,
        (schema,),
    ).fetchall()
    indexes = conn.execute(
        """
        select
            replace(replace(indexdef, format('%%I.', schemaname), ''), indexname, '')
                as definition
        from pg_indexes
        where schemaname = %s
        order by definition
        """,
        (schema,),
    ).fetchall()
    return columns, indexes


def count(conn: Connection, query: str) -> int:
    row = conn.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def test_tables_are_what_the_sql_file_says(conn: Connection) -> None:
    text = resources.files("anchorline.raw").joinpath("schema.sql").read_text("utf-8")
    conn.execute(text)
    raw.create_raw_tables(conn, SCHEMA)
    raw.add_foreign_keys(conn, SCHEMA)

    assert described(conn, SCHEMA) == described(conn, "public")
    foreign_keys = """
        select count(*) from pg_constraint as c
        inner join pg_namespace as n on c.connamespace = n.oid
        where contype = 'f' and nspname = {}
    """
    by_schema = [
        count(conn, sql.SQL(foreign_keys).format(sql.Literal(schema)).as_string(conn))
        for schema in (SCHEMA, "public")
    ]
    assert by_schema[0] == by_schema[1] > 80


def test_creating_twice_changes_nothing(conn: Connection) -> None:
    assert raw.create_raw_tables(conn, SCHEMA) == list(raw.RAW_TABLES)
    assert raw.create_raw_tables(conn, SCHEMA) == []
    assert raw.add_foreign_keys(conn, SCHEMA) > 80
    assert raw.add_foreign_keys(conn, SCHEMA) == 0


def test_dropped_foreign_keys_come_back_over_rows_that_break_them(conn: Connection) -> None:
    raw.create_raw_tables(conn, SCHEMA)
    raw.add_foreign_keys(conn, SCHEMA)
    dropped = raw.drop_foreign_keys(conn, SCHEMA, ["scenario_temperaturereading"])
    conn.execute(
        'insert into "Farm ""raw""".scenario_temperaturereading '
        "values (5, 8.5, now(), now(), 99, 1)"
    )
    raw.restore_foreign_keys(conn, SCHEMA, dropped)
    conn.commit()

    assert len(dropped) == 1
    assert raw.add_foreign_keys(conn, SCHEMA) == 0


def test_new_rows_get_ids_above_the_loaded_ones(conn: Connection) -> None:
    raw.create_raw_tables(conn, SCHEMA, ["scenario_fcrmodel", "infrastructure_geography"])
    conn.execute(
        'insert into "Farm ""raw""".scenario_fcrmodel values (41, \'Standard\', now(), now())'
    )
    raw.reset_identities(conn, SCHEMA)

    insert = (
        'insert into "Farm ""raw""".{} (name, {}created_at, updated_at) '
        "values ('new', {}now(), now()) returning {}"
    )
    assert count(conn, insert.format("scenario_fcrmodel", "", "", "model_id")) == 42
    query = insert.format("infrastructure_geography", "description, ", "'', ", "id")
    assert count(conn, query) == 1


def test_raw_tables_have_what_the_models_read() -> None:
    for source in read_sources().values():
        table = raw.RAW_TABLES[source.name]
        assert table.primary_key == source.key
        older = raw.OLDER_COLUMNS.get(source.name, {})
        for column in source.columns:
            assert column.name in table.column_names or (
                column.is_optional and column.name in older
            ), f"{source.name}.{column.name}"
