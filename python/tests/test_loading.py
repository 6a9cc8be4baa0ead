"""Loading raw tables from CSV files: all or nothing, with errors that name the place."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from anchorline import loading
from anchorline.cli import main
from anchorline.database import EmbeddedServer
from anchorline.demo import load_farm, loaded_farm
from anchorline.errors import AnchorlineError
from anchorline.raw import schema as raw

Connection = psycopg.Connection[Any]

SPECIES = b"id,name,scientific_name,description\n1,Atlantic Salmon,Salmo salar,\n"
PROFILES = b"profile_id,name\n7,Sea\n"
READINGS_HEADER = b"reading_id,temperature,profile_id,day_number\n"


@pytest.fixture
def url(make_database: Callable[[], str]) -> str:
    return make_database()


@pytest.fixture
def conn(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def rows(conn: Connection, query: str) -> list[tuple[Any, ...]]:
    return conn.execute(query).fetchall()


def tables_in(conn: Connection, schema: str = "public") -> list[str]:
    return raw.existing_tables(conn, schema)


def failure(conn: Connection, folder: Path, **options: Any) -> str:
    with pytest.raises(AnchorlineError) as error:
        loading.load_folder(conn, folder, "public", **options)
    return f"{error.value}\n{error.value.details or ''}"


def test_columns_are_matched_by_name_and_nulls_told_from_empty_texts(
    conn: Connection, folder: Path
) -> None:
    (folder / "batch_growthsample.csv").write_text(
        "assignment_id,id,notes,avg_weight_g,sample_date,sample_size,avg_length_cm\n"
        '91,1,"",12.50,2024-05-26,30,\n'
        '91,2,,13.00,2024-05-27,30,"10.5"\n'
        '92,3,"two\nlines, ""quoted""",14.00,2024-05-28,30,\n'
    )

    loaded = loading.load_folder(conn, folder, "public")

    assert loaded == [loading.LoadedTable("batch_growthsample", "batch_growthsample.csv", 3, True)]
    query = "select id, assignment_id, avg_length_cm::text, notes from batch_growthsample"
    assert rows(conn, f"{query} order by id") == [
        (1, 91, None, ""),
        (2, 91, "10.50", None),
        (3, 92, None, 'two\nlines, "quoted"'),
    ]


@pytest.mark.parametrize(
    "content",
    [
        SPECIES,
        b"\xef\xbb\xbf" + SPECIES,
        SPECIES.replace(b"\n", b"\r\n"),
        SPECIES.replace(b"\n", b"\r"),
        SPECIES.rstrip(b"\n"),
        SPECIES.replace(b"id,name", b'"id", "name"'),
    ],
    ids=["plain", "byte order mark", "Windows", "old Mac", "no last line end", "quoted header"],
)
@pytest.mark.parametrize("is_compressed", [False, True])
def test_kinds_of_files(
    conn: Connection, folder: Path, content: bytes, is_compressed: bool
) -> None:
    if is_compressed:
        (folder / "batch_species.csv.gz").write_bytes(gzip.compress(content))
    else:
        (folder / "batch_species.csv").write_bytes(content)

    loading.load_folder(conn, folder, "public")

    assert rows(conn, "select id, name, description from batch_species") == [
        (1, "Atlantic Salmon", "")
    ]


def test_other_files_are_no_tables(conn: Connection, folder: Path) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    (folder / "README.txt").write_text("about this export")
    (folder / "._batch_batch.csv").write_bytes(b"\0")

    assert [entry.table for entry in loading.load_folder(conn, folder, "public")] == [
        "batch_species"
    ]


def test_rows_that_break_foreign_keys_are_loaded(conn: Connection, folder: Path) -> None:
    (folder / "scenario_temperatureprofile.csv").write_bytes(PROFILES)
    (folder / "scenario_temperaturereading.csv").write_bytes(READINGS_HEADER + b"1,8.5,99,1\n")
    loading.load_folder(conn, folder, "public")
    loading.load_folder(conn, folder, "public", replace=True)

    assert rows(conn, "select profile_id from scenario_temperaturereading") == [(99,)]
    assert rows(
        conn,
        "select convalidated from pg_constraint "
        "where conrelid = 'scenario_temperaturereading'::regclass and contype = 'f'",
    ) == [(False,)]


def test_replace_takes_the_place_of_the_folders_tables_alone(
    conn: Connection, folder: Path
) -> None:
    (folder / "scenario_temperatureprofile.csv").write_bytes(PROFILES)
    (folder / "scenario_temperaturereading.csv").write_bytes(READINGS_HEADER + b"1,8.5,7,1\n")
    loading.load_folder(conn, folder, "public")
    (folder / "scenario_temperaturereading.csv").unlink()
    (folder / "scenario_temperatureprofile.csv").write_bytes(PROFILES.replace(b"Sea", b"Fjord"))

    refusal = failure(conn, folder)
    assert "scenario_temperatureprofile" in refusal
    assert "--replace" in refusal
    assert rows(conn, "select name from scenario_temperatureprofile") == [("Sea",)]

    loading.load_folder(conn, folder, "public", replace=True)
    assert rows(conn, "select name from scenario_temperatureprofile") == [("Fjord",)]
    assert rows(conn, "select count(*) from scenario_temperaturereading") == [(1,)]
    assert loading.filled_tables_beside(conn, "public", ["scenario_temperatureprofile"]) == [
        "scenario_temperaturereading"
    ]


def test_tables_that_another_system_points_to_are_not_emptied(
    conn: Connection, folder: Path
) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    loading.load_folder(conn, folder, "public")
    conn.execute("create table health_licetype (species_id bigint references batch_species)")

    message = failure(conn, folder, replace=True)

    assert "public.health_licetype points to public.batch_species" in message
    assert "--raw-schema" in message


def test_new_rows_and_other_schemas(conn: Connection, folder: Path) -> None:
    (folder / "infrastructure_geography.csv").write_bytes(b"id,name\n12,Faroe Islands\n")

    loading.load_folder(conn, folder, 'Farm "raw"')

    assert rows(
        conn,
        'insert into "Farm ""raw""".infrastructure_geography (name) '
        "values ('Scotland') returning id",
    ) == [(13,)]
    assert tables_in(conn) == []


def test_columns_of_older_instances(conn: Connection, folder: Path) -> None:
    batches = (
        b"id,batch_number,status,start_date,lifecycle_stage_id,species_id,batch_type,"
        b"pinned_scenario_id\n1,A,ACTIVE,2024-01-01,1,1,STANDARD,44\n"
    )
    (folder / "batch_batch.csv").write_bytes(batches)

    loading.load_folder(conn, folder, "public")

    assert rows(conn, "select pinned_scenario_id from batch_batch") == [(44,)]


def test_column_that_an_older_table_lacks_is_named(conn: Connection, folder: Path) -> None:
    conn.execute("create table scenario_temperatureprofile (profile_id bigint primary key)")
    (folder / "scenario_temperatureprofile.csv").write_bytes(PROFILES)

    message = failure(conn, folder)

    assert "scenario_temperatureprofile.csv, line 1, column name: " in message
    assert "older instance" in message


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("batch_specie.csv", SPECIES, ["batch_specie.csv: there is no", "'batch_species'"]),
        ("batch_species.csv", b"", ["batch_species.csv: empty"]),
        ("batch_species.csv", b"\n\n", ["line 1: blank"]),
        ("batch_species.csv", b"id,,name\n", ["line 1, column 2: the column has no name"]),
        ("batch_species.csv", b"id,name,id\n", ["line 1, column id: named more than once"]),
        ("batch_species.csv", b"id;name\n1;x\n", ["not separated by commas"]),
        ("batch_species.csv", b"id,nam\n", ["line 1, column nam:", "is it 'name'?", "missing"]),
        ("batch_species.csv", b"name\nx\n", ["line 1: required column missing: id"]),
        ("batch_species.csv", "id,name\n".encode("utf-16"), ["UTF-16"]),
        ("batch_species.csv", b"id,n\xe5me\n", ["line 1: not UTF-8"]),
        ("batch_species.csv", b"id,name\n1,Bl\xe5l\n", ["line 2", "UTF-8"]),
        ("batch_species.csv", b"id,name\n1,a\nx2,b\n", ["line 3, column id", '"x2". Nothing']),
        ("batch_species.csv", b"id,name\n1,a\n2,b,c\n", ["line 3", "extra data"]),
        ("batch_species.csv", b"id,name\n1\n", ["line 2, column name", "missing data"]),
        ("batch_species.csv", b"id,name\n1,\n", ["line 2, column name: empty"]),
        ("batch_species.csv", b'id,name\n1,"a\nb"\n1,c\n', ["line 4", "key id = 1", "--replace"]),
        ("batch_species.csv", b"id,name\n1,a\n2,a\n", ["line 3", "key name = a"]),
        ("batch_species.csv", b'id,name\n1,"a\n', ["unterminated CSV quoted field"]),
        ("batch_species.csv", b"\x1f\x8b\x08\0\0", ["batch_species.csv.gz"]),
        ("batch_species.csv.gz", SPECIES, ["not compressed with gzip"]),
        ("batch_species.csv.gz", gzip.compress(SPECIES, mtime=0)[:-9], ["cut off"]),
        (
            "scenario_temperaturereading.csv",
            READINGS_HEADER + b"1,warm,7,1\n",
            ["line 2, column temperature", '"warm"'],
        ),
        (
            "batch_growthsample.csv",
            b"id,sample_date,sample_size,avg_weight_g,assignment_id\n1,03/04/2024,30,9,1\n",
            ["line 2, column sample_date", '"03/04/2024"'],
        ),
    ],
)
def test_error_names_the_place_and_nothing_is_loaded(
    conn: Connection, folder: Path, name: str, content: bytes, expected: list[str]
) -> None:
    (folder / "infrastructure_geography.csv").write_bytes(b"id,name\n1,Scotland\n")
    (folder / name).write_bytes(content)

    message = failure(conn, folder)

    for text in [name, "Nothing was loaded", *expected]:
        assert text in message
    assert tables_in(conn) == []


def test_damage_far_into_a_compressed_file(conn: Connection, folder: Path) -> None:
    lines = b"".join(b"%d,%d.5,7,%d\n" % (i, i * 7919 % 997, i) for i in range(60_000))
    content = gzip.compress(READINGS_HEADER + lines)
    (folder / "scenario_temperaturereading.csv.gz").write_bytes(content[: len(content) // 2])
    assert "cut off" in failure(conn, folder)

    damaged = bytearray(content)
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = bytes(40)
    (folder / "scenario_temperaturereading.csv.gz").write_bytes(damaged)
    assert "scenario_temperaturereading.csv.gz" in failure(conn, folder)
    assert tables_in(conn) == []


def test_all_wrong_files_are_named_at_once(conn: Connection, folder: Path) -> None:
    (folder / "batch_species.csv").write_bytes(b"id,nom\n")
    (folder / "scenario_fcrmodel.csv").write_bytes(b"model_id,nam\n")

    message = failure(conn, folder)

    assert "batch_species.csv, line 1, column nom" in message
    assert "scenario_fcrmodel.csv, line 1, column nam" in message


def test_two_files_for_one_table(conn: Connection, folder: Path) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    (folder / "batch_species.csv.gz").write_bytes(gzip.compress(SPECIES))

    assert "batch_species.csv.gz: batch_species.csv holds the same table" in failure(conn, folder)


def test_folders_that_hold_nothing(conn: Connection, folder: Path) -> None:
    assert "holds no CSV file" in failure(conn, folder)
    assert "is not there" in failure(conn, folder / "nowhere")


def test_lost_server_leaves_the_old_rows(url: str, conn: Connection, folder: Path) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    loading.load_folder(conn, folder, "public")

    with psycopg.connect(url) as doomed:

        def kill(table: str, done: int, size: int) -> None:
            conn.execute("select pg_terminate_backend(%s)", (doomed.info.backend_pid,))

        message = failure(doomed, folder, replace=True, report_progress=kill)

    assert "connection to the database server was lost" in message
    assert rows(conn, "select count(*) from batch_species") == [(1,)]


def test_interrupt_leaves_the_old_rows(url: str, conn: Connection, folder: Path) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    loading.load_folder(conn, folder, "public")

    def interrupt(table: str, done: int, size: int) -> None:
        raise KeyboardInterrupt

    with psycopg.connect(url) as interrupted, pytest.raises(KeyboardInterrupt):
        loading.load_folder(interrupted, folder, "public", replace=True, report_progress=interrupt)
    assert rows(conn, "select count(*) from batch_species") == [(1,)]


def test_rights_that_are_missing(
    server: EmbeddedServer, url: str, conn: Connection, folder: Path
) -> None:
    (folder / "batch_species.csv").write_bytes(SPECIES)
    loading.load_folder(conn, folder, "public")
    with server.admin_connection(conn.info.dbname) as closed:
        closed.execute("create role reader_of_nothing")
        closed.execute("set role reader_of_nothing")
        replacing = failure(closed, folder, replace=True)
        with pytest.raises(AnchorlineError, match="may not load into schema 'elsewhere'"):
            loading.load_folder(closed, folder, "elsewhere")
        closed.execute("reset role")
        closed.execute("drop role reader_of_nothing")
    assert "may not load into schema 'public'" in replacing


def test_demo_farm_goes_as_a_whole(conn: Connection, folder: Path) -> None:
    load_farm(conn, batches=1, as_of=date(2026, 3, 1), readings=False)
    (folder / "batch_species.csv").write_bytes(SPECIES)

    loading.load_folder(conn, folder, "public", replace=True)

    assert loaded_farm(conn) is None
    assert loading.filled_tables_beside(conn, "public", ["batch_species"]) == []
    assert rows(conn, "select count(*) from anchorline_ops.manual_anchors") == [(0,)]


def test_command(url: str, folder: Path, use_database: Callable[[str], None]) -> None:
    use_database(url)
    (folder / "batch_species.csv").write_bytes(SPECIES)
    arguments = ["load", str(folder), "--target", "prod"]

    first = CliRunner().invoke(main, arguments)
    second = CliRunner().invoke(main, arguments)
    third = CliRunner().invoke(main, [*arguments, "--replace"])

    assert (first.exit_code, second.exit_code, third.exit_code) == (0, 1, 0), first.output
    assert "batch_species" in first.stdout
    assert "Error: batch_species in schema 'public' of database test_" in second.stderr
    assert "already holds rows, and nothing was loaded. Add --replace" in second.stderr
    assert "Next: `anchorline doctor --target prod`, then `dbt build --target prod`." in (
        first.stderr
    )


def test_refusal_names_the_demo_farm_and_offers_its_removal_last(
    conn: Connection, folder: Path
) -> None:
    load_farm(conn, batches=1, as_of=date(2026, 3, 1), readings=False)
    (folder / "batch_species.csv").write_bytes(SPECIES)

    message = failure(conn, folder, advice="PGHOST is set: add --target dev.")

    assert "The demo farm lies in schema 'public' of database test_" in message
    assert "as of 2026-03-01" in message
    assert message.index("--target") < message.index("--raw-schema") < message.index("--replace")


def test_command_sees_that_another_server_was_meant(
    server: EmbeddedServer,
    url: str,
    folder: Path,
    use_database: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_database(url)
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(server.folder))
    (folder / "batch_species.csv").write_bytes(SPECIES)
    arguments = ["load", str(folder), "--raw-schema", "meant for another server"]

    first = CliRunner().invoke(main, arguments)
    second = CliRunner().invoke(main, arguments)

    expected = "PGHOST, PGPORT and PGDATABASE are set, but the target is embedded"
    assert first.exit_code == 0, first.output
    assert expected in first.stderr
    assert "anchorline doctor --raw-schema 'meant for another server'" in first.stderr
    assert second.stderr.index(expected) < second.stderr.index("--replace")
