"""Load raw tables from a folder of CSV files: all of them or none.

A file is `<table>.csv` or `<table>.csv.gz`; its first line names the columns. The server
reads the rows (`copy ... from stdin`): an empty field is null, a quoted empty one (`""`) is
an empty text, as Django's and PostgreSQL's own exports have it.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import errors, sql

from anchorline import hints
from anchorline.errors import AnchorlineError
from anchorline.raw import schema as raw
from anchorline.raw.sources import read_sources

Connection = psycopg.Connection[Any]
ReportProgress = Callable[[str, int, int], None]
"""Called with a table, the bytes of its file that are read, and the size of the file."""

CHUNK_BYTES = 256 * 1024
LONGEST_HEADER_BYTES = 64 * 1024
LOCK_TIMEOUT = "60s"
NOTHING_LOADED = "Nothing was loaded."


@dataclass(frozen=True)
class CsvFile:
    """A file with the rows of one raw table; `columns` as its first line names them."""

    path: Path
    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class LoadedTable:
    """What a load has done to one table."""

    table: str
    file: str
    row_count: int
    is_created: bool


@dataclass(frozen=True)
class _TargetColumn:
    is_required: bool
    is_generated: bool
    is_text_without_null: bool


def load_folder(
    conn: Connection,
    folder: Path,
    schema: str,
    *,
    replace: bool = False,
    ops_schema: str = "anchorline_ops",
    advice: str = "",
    report_progress: ReportProgress | None = None,
) -> list[LoadedTable]:
    """Load every `<table>.csv[.gz]` of a folder into the raw schema, in one transaction.

    Creates the schema and the tables that are missing. Refuses where one of the tables holds
    rows, unless `replace` is set, which empties the tables of the folder first and leaves all
    others as they are; where they hold the demo farm, all of that goes, its truth and its
    manual anchors (in `ops_schema`) too. `advice` is the first way out that a refusal names.

    Raises AnchorlineError, and changes nothing, when a file or a row cannot be loaded.
    """
    files = read_folder(folder)
    tables = [file.table for file in files]
    with _explained(schema), conn.transaction():
        _prepare_session(conn)
        existing = raw.existing_relations(conn, schema)
        demo_farm = _demo_farm(conn, schema)
        is_demo_farm = replace and demo_farm is not None
        filled = _filled_tables(conn, schema, [table for table in tables if table in existing])
        if filled and not replace:
            raise _tables_hold_rows(conn, schema, filled, demo_farm, advice)
        # The demo's tables are made to fit the files, as new ones are.
        given = {} if is_demo_farm else existing
        columns = _check_columns(conn, schema, files, given)
        if filled:
            _refuse_foreign_referrers(conn, schema, filled)
        if is_demo_farm:
            _remove_demo_farm(conn, schema, ops_schema)

        created = raw.create_raw_tables(conn, schema, tables, with_indexes=False)
        _fit_to_files(conn, schema, [file for file in files if file.table not in given])
        dropped = raw.drop_foreign_keys(conn, schema, tables)
        if filled:
            raw.truncate(conn, schema, filled)
        loaded = [
            LoadedTable(
                file.table,
                file.path.name,
                _copy(conn, schema, file, columns[file.table], report_progress),
                file.table in created,
            )
            for file in files
        ]
        raw.create_indexes(conn, schema, created)
        raw.reset_identities(conn, schema, tables)
        raw.restore_foreign_keys(conn, schema, dropped)
        raw.add_foreign_keys(conn, schema, created)
        raw.analyze(conn, schema, tables)
    return loaded


def filled_tables_beside(conn: Connection, schema: str, tables: Iterable[str]) -> list[str]:
    """Return the raw tables with rows that are not among `tables`."""
    beside = set(raw.existing_tables(conn, schema)) - set(tables)
    return _filled_tables(conn, schema, [table for table in raw.RAW_TABLES if table in beside])


def read_folder(folder: Path) -> list[CsvFile]:
    """Find the CSV files of a folder and read their first lines.

    Raises AnchorlineError that names all that is wrong with the files' names and first lines.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "not there"
        raise AnchorlineError(
            f"{folder} is {found}. Give a folder that holds <table>.csv or <table>.csv.gz files."
        )
    try:
        paths = sorted(path for path in folder.iterdir() if _is_csv(path))
    except OSError as error:
        raise AnchorlineError(f"The folder {folder} cannot be read.") from error
    if not paths:
        raise AnchorlineError(
            f"{folder} holds no CSV file. Expected files like batch_batch.csv or "
            "batch_batch.csv.gz, each named after its raw table."
        )
    files: list[CsvFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            file = _read_header(path)
        except AnchorlineError as problem:
            problems.append(str(problem))
            continue
        twin = next((other for other in files if other.table == file.table), None)
        if twin is not None:
            problems.append(
                f"{path.name}: {twin.path.name} holds the same table. Remove one of them"
            )
        files.append(file)
    _raise_problems(problems)
    order = list(raw.RAW_TABLES)
    return sorted(files, key=lambda file: order.index(file.table))


def _is_csv(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith((".csv", ".csv.gz")) and not name.startswith(".") and path.is_file()


def _read_header(path: Path) -> CsvFile:
    table = re.sub(r"\.csv(\.gz)?$", "", path.name, flags=re.IGNORECASE).lower()
    if table not in raw.RAW_TABLES:
        raise AnchorlineError(
            f"{path.name}: there is no raw table {table!r}{_suggestion(table, raw.RAW_TABLES)}"
        )
    with _readable(path), path.open("rb") as file:
        line = _opened(path, file).readline(LONGEST_HEADER_BYTES)
    if not line:
        raise AnchorlineError(f"{path.name}: empty. Expected a first line that names the columns")
    return CsvFile(path, table, _column_names(path, line))


def _column_names(path: Path, line: bytes) -> tuple[str, ...]:
    where = f"{path.name}, line 1"
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise AnchorlineError(f"{where}: the file is in UTF-16. Save it as UTF-8")
    if line.startswith(b"\x1f\x8b"):
        raise AnchorlineError(f"{where}: the file is compressed. Call it {path.name}.gz")
    try:
        # A file of an old Mac ends its lines with carriage returns alone.
        text = line.splitlines()[0].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnchorlineError(f"{where}: not UTF-8 text. Save the file as UTF-8") from error
    names = [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]
    if not any(names):
        raise AnchorlineError(f"{where}: blank. Expected the names of the columns")
    if len(names) == 1 and re.search(r"[;\t|]", text):
        raise AnchorlineError(f"{where}: the columns are not separated by commas: {text[:60]!r}")
    if "" in names:
        raise AnchorlineError(f"{where}, column {names.index('') + 1}: the column has no name")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise AnchorlineError(f"{where}, column {twice[0]}: named more than once")
    return tuple(names)


def _opened(path: Path, file: IO[bytes]) -> IO[bytes]:
    if path.name.lower().endswith(".gz"):
        return gzip.GzipFile(fileobj=file, mode="rb")  # type: ignore[return-value]
    return file


@contextmanager
def _readable(path: Path, ending: str = "") -> Iterator[None]:
    """Say which file cannot be read, and why; `ending` is the sentence after that."""
    try:
        yield
    except EOFError as error:
        raise AnchorlineError(
            _sentence(
                f"{path.name}: the compressed file is cut off. Copy or export it again", ending
            )
        ) from error
    except gzip.BadGzipFile as error:
        raise AnchorlineError(
            _sentence(
                f"{path.name}: not compressed with gzip, or damaged. Export it again, or call it "
                f"{path.name[:-3]} if it is plain text",
                ending,
            )
        ) from error
    except zlib.error as error:
        raise AnchorlineError(
            _sentence(
                f"{path.name}: the compressed file is damaged. Copy or export it again", ending
            )
        ) from error
    except OSError as error:
        raise AnchorlineError(
            _sentence(f"{path.name}: cannot be read ({error.strerror})", ending)
        ) from error


def _prepare_session(conn: Connection) -> None:
    # One load at a time; timestamps without an offset are UTC, and a date whose day and
    # month could be taken for each other is an error, whatever the server's settings are.
    conn.execute("select set_config('lock_timeout', %s, true)", (LOCK_TIMEOUT,))
    conn.execute("set local timezone = 'UTC'")
    conn.execute("set local datestyle = 'ISO, YMD'")
    conn.execute("set local statement_timeout = 0")
    conn.execute("select pg_advisory_xact_lock(hashtextextended('anchorline load', 0))")


def _check_columns(
    conn: Connection, schema: str, files: list[CsvFile], existing: dict[str, str]
) -> dict[str, dict[str, _TargetColumn]]:
    """Return the columns of each file's table; raise where they do not go together."""
    tables: dict[str, dict[str, _TargetColumn]] = {}
    problems = []
    for file in files:
        kind = existing.get(file.table)
        if kind is not None and kind not in ("r", "p"):
            problems.append(f"{file.path.name}: {schema}.{file.table} is there, but is no table")
            continue
        if kind is None:
            columns = _columns_to_be(file)
        else:
            columns = _columns_that_are(conn, schema, file.table)
        tables[file.table] = columns
        for name in file.columns:
            where = f"{file.path.name}, line 1, column {name}: the table {schema}.{file.table}"
            if name not in columns:
                if kind is not None and name in raw.RAW_TABLES[file.table].column_names:
                    problems.append(
                        f"{where} has no such column (it is of an older instance): add it to the "
                        "table or leave it out of the file"
                    )
                else:
                    problems.append(f"{where} has no such column{_suggestion(name, columns)}")
            elif columns[name].is_generated:
                problems.append(f"{where} computes it: leave it out of the file")
        missing = [
            name
            for name, column in columns.items()
            if column.is_required and name not in file.columns
        ]
        if missing:
            problems.append(
                f"{file.path.name}, line 1: required column"
                f"{'s' if len(missing) > 1 else ''} missing: {', '.join(missing)}"
            )
    _raise_problems(problems)
    return tables


def _columns_to_be(file: CsvFile) -> dict[str, _TargetColumn]:
    """Return the columns of a table that this load creates.

    Required are the id and what the models cannot do without: a farm that exports only that
    need not make up the rest.
    """
    table = raw.RAW_TABLES[file.table]
    needed = _needed_columns(file.table)
    columns = {
        column.name: _TargetColumn(
            is_required=column.is_primary_key or (not column.is_nullable and column.name in needed),
            is_generated=False,
            is_text_without_null=not column.is_nullable
            and column.type.startswith(("text", "varchar"))
            and column.name not in needed,
        )
        for column in table.columns
    }
    for name in raw.OLDER_COLUMNS.get(file.table, {}):
        columns[name] = _TargetColumn(False, False, False)
    return columns


def _columns_that_are(conn: Connection, schema: str, table: str) -> dict[str, _TargetColumn]:
    rows = conn.execute(
        """
        select
            attribute.attname,
            -- Other tables point to the ids: those that the server would make up are of no use.
            attribute.attname = %(key)s
                or (
                    attribute.attnotnull and not attribute.atthasdef
                    and attribute.attidentity = ''
                ),
            attribute.attgenerated <> '',
            attribute.attnotnull
                and attribute.atttypid in ('text'::regtype, 'varchar'::regtype)
                and attribute.attname <> all(%(needed)s)
        from pg_catalog.pg_attribute as attribute
        inner join pg_catalog.pg_class as relation on attribute.attrelid = relation.oid
        inner join pg_catalog.pg_namespace as namespace on relation.relnamespace = namespace.oid
        where
            namespace.nspname = %(schema)s
            and relation.relname = %(table)s
            and attribute.attnum > 0
            and not attribute.attisdropped
        order by attribute.attnum
        """,
        {
            "schema": schema,
            "table": table,
            "key": raw.RAW_TABLES[table].primary_key,
            "needed": list(_needed_columns(table)),
        },
    ).fetchall()
    return {name: _TargetColumn(*facts) for name, *facts in rows}


def _needed_columns(table: str) -> frozenset[str]:
    source = read_sources().get(table)
    return source.required_columns if source else frozenset()


def _filled_tables(conn: Connection, schema: str, tables: list[str]) -> list[str]:
    return [
        table
        for table in tables
        if conn.execute(
            sql.SQL("select exists (select from {})").format(sql.Identifier(schema, table))
        ).fetchone()
        == (True,)
    ]


def _refuse_foreign_referrers(conn: Connection, schema: str, tables: list[str]) -> None:
    """Refuse to empty tables that tables of another system point to."""
    row = conn.execute(
        """
        select target.relname, namespace.nspname || '.' || source.relname
        from pg_catalog.pg_constraint as foreign_key
        inner join pg_catalog.pg_class as source on foreign_key.conrelid = source.oid
        inner join pg_catalog.pg_class as target on foreign_key.confrelid = target.oid
        inner join pg_catalog.pg_namespace as namespace on source.relnamespace = namespace.oid
        inner join pg_catalog.pg_namespace as target_namespace
            on target.relnamespace = target_namespace.oid
        where
            foreign_key.contype = 'f'
            and target_namespace.nspname = %(schema)s
            and target.relname = any(%(tables)s)
            and (namespace.nspname <> %(schema)s or source.relname <> all(%(known)s))
        order by 1, 2
        limit 1
        """,
        {"schema": schema, "tables": tables, "known": list(raw.RAW_TABLES)},
    ).fetchone()
    if row:
        raise AnchorlineError(
            f"{row[1]} points to {schema}.{row[0]}, and is no raw table: this looks like the "
            "operational system's own database. Nothing was loaded; load into a schema of its "
            "own with --raw-schema."
        )


def _demo_farm(conn: Connection, schema: str) -> str | None:
    """Describe the demo farm that lies in the schema, if one does."""
    from anchorline.demo import loaded_farm

    farm = loaded_farm(conn)
    return farm.describe() if farm is not None and farm.raw_schema == schema else None


def _tables_hold_rows(
    conn: Connection, schema: str, filled: list[str], demo_farm: str | None, advice: str
) -> AnchorlineError:
    where = f"schema {schema!r} of {hints.place(conn)}"
    if demo_farm is not None:
        found = f"The demo farm lies in {where} ({demo_farm}), and nothing was loaded."
        ways = [
            "To keep it, load beside it with --raw-schema NAME, or into another database.",
            "--replace removes all of it, its truth and its manual anchors too.",
        ]
        advice = advice or "If you meant another server, name it: the PG* variables and --target."
    else:
        verb = "hold" if len(filled) > 1 else "holds"
        found = f"{_listed(filled)} in {where} already {verb} rows, and nothing was loaded."
        ways = [
            "Add --replace to put the rows of the folder in their place (tables that the folder "
            "does not have stay as they are), or load into another schema with --raw-schema."
        ]
    return AnchorlineError(" ".join([found, *([advice] if advice else []), *ways]))


def _remove_demo_farm(conn: Connection, schema: str, ops_schema: str) -> None:
    """Empty the schema of the demo farm: half of it is of no use.

    Without its truth the tables are no longer taken for a demo farm, which the next demo
    would replace.
    """
    from anchorline.demo.truth_tables import TRUTH_SCHEMA
    from anchorline.demo.weights import ENTERED_BY

    dropped = raw.drop_foreign_keys(conn, schema, raw.RAW_TABLES)
    raw.truncate(conn, schema)
    raw.restore_foreign_keys(conn, schema, dropped)
    conn.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(TRUTH_SCHEMA)))
    for table, column in (("manual_anchors", "entered_by"), ("anchor_exclusions", "excluded_by")):
        is_there = conn.execute(
            "select exists (select from pg_catalog.pg_tables "
            "where schemaname = %s and tablename = %s)",
            (ops_schema, table),
        ).fetchone()
        if is_there == (True,):
            conn.execute(
                sql.SQL("delete from {} where {} = %s").format(
                    sql.Identifier(ops_schema, table), sql.Identifier(column)
                ),
                (ENTERED_BY,),
            )


def _fit_to_files(conn: Connection, schema: str, files: list[CsvFile]) -> None:
    """Give new tables the older columns that a file has; what it lacks may be null."""
    for file in files:
        table = sql.Identifier(schema, file.table)
        for name, column_type in raw.OLDER_COLUMNS.get(file.table, {}).items():
            if name in file.columns:
                conn.execute(
                    sql.SQL("alter table {} add column if not exists {} {}").format(
                        table, sql.Identifier(name), sql.SQL(column_type)
                    )
                )
        for column in raw.RAW_TABLES[file.table].columns:
            if not column.is_nullable and column.name not in file.columns:
                conn.execute(
                    sql.SQL("alter table {} alter column {} drop not null").format(
                        table, sql.Identifier(column.name)
                    )
                )


def _copy(
    conn: Connection,
    schema: str,
    csv_file: CsvFile,
    columns: dict[str, _TargetColumn],
    report_progress: ReportProgress | None,
) -> int:
    path = csv_file.path
    # Spreadsheets drop the quotes of empty texts. Where a column takes no null and no model
    # needs its value (notes, descriptions), an empty field can only be an empty text.
    texts = [name for name in csv_file.columns if columns[name].is_text_without_null]
    statement = sql.SQL(
        "copy {} ({}) from stdin with (format csv, header true, encoding 'utf8'{})"
    ).format(
        sql.Identifier(schema, csv_file.table),
        sql.SQL(", ").join(map(sql.Identifier, csv_file.columns)),
        sql.SQL(", force_not_null ({})").format(sql.SQL(", ").join(map(sql.Identifier, texts)))
        if texts
        else sql.SQL(""),
    )
    try:
        with conn.cursor() as cursor:
            with _readable(path, NOTHING_LOADED), path.open("rb") as file:
                size = path.stat().st_size
                stream = _opened(path, file)
                with cursor.copy(statement) as copy:
                    while chunk := stream.read(CHUNK_BYTES):
                        copy.write(chunk)
                        if report_progress:
                            report_progress(csv_file.table, file.tell(), size)
            return cursor.rowcount
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        # the message has all that the server's own one says
        raise _row_error(csv_file, error) from None


def _row_error(file: CsvFile, error: psycopg.Error) -> AnchorlineError:
    """Say where in which file the server found what."""
    diagnostic = error.diag
    line, column, value = _place(diagnostic.context or "", file.table)
    if not column and (named := re.search(r'column "(.+?)"', diagnostic.message_primary or "")):
        column = named[1]
    where = file.path.name
    where += f", line {line}" if line else ""
    where += f", column {column}" if column else ""
    found = diagnostic.message_primary or str(error)
    if isinstance(error, errors.UniqueViolation):
        key = re.search(r"\((.+)\)=\((.*)\)", diagnostic.message_detail or "")
        value = f"{key[1]} = {key[2]}" if key else diagnostic.message_detail
        found = (
            f"the key {value} is there already: two rows of the file have it. Remove one of "
            "them and run the command again (with --replace if the tables hold rows by then)"
        )
    elif isinstance(error, errors.NotNullViolation):
        found = "empty, and the table does not allow that"
    elif isinstance(error, errors.CharacterNotInRepertoire | errors.UntranslatableCharacter):
        found += ". Save the file as UTF-8"
    elif isinstance(error, errors.ForeignKeyViolation):
        found += f" ({diagnostic.message_detail})"
    elif isinstance(error, errors.BadCopyFileFormat) and value:
        found += f" (the row begins {value[:80]!r})"
    return AnchorlineError(_sentence(f"{where}: {found}", NOTHING_LOADED))


def _place(context: str, table: str) -> tuple[str | None, str | None, str | None]:
    """Return line, column and value from an error's context.

    The words between them are in the language of the server's messages.
    """
    match = re.search(
        rf"^COPY {re.escape(table)}\b\D*(?P<line>\d+)"
        r"(?:, \w+ (?P<column>[^:,]+?))?(?:: (?:\"(?P<value>.*)\"|.*))?$",
        context,
        re.MULTILINE,
    )
    return (match["line"], match["column"], match["value"]) if match else (None, None, None)


@contextmanager
def _explained(schema: str) -> Iterator[None]:
    """Turn the server's errors into what was found and what to do."""
    try:
        yield
    except errors.DiskFull as error:
        raise AnchorlineError(
            "The disk of the database server is full. Nothing was loaded: make room there and "
            "run the command again."
        ) from error
    except errors.InsufficientPrivilege as error:
        raise AnchorlineError(
            f"This user may not load into schema {schema!r}. Nothing was loaded: let the owner "
            "of the database grant the right that the cause names, or use --raw-schema."
        ) from error
    except errors.LockNotAvailable as error:
        raise AnchorlineError(
            f"Another session has used the raw tables for {LOCK_TIMEOUT}: another load, or a "
            "build. Nothing was loaded: run the command again when it has ended."
        ) from error
    except psycopg.Error as error:
        if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
            raise AnchorlineError(
                "The connection to the database server was lost. Nothing was loaded: see that "
                "the server is running and run the command again."
            ) from error
        raise AnchorlineError(
            f"The server refused the load into schema {schema!r}. Nothing was loaded."
        ) from error


def _sentence(text: str, following: str) -> str:
    """Join two texts; the first is ended as a sentence where it is not."""
    if not following:
        return text
    return f"{text}{'' if text.endswith(('.', '?', '!')) else '.'} {following}"


def _raise_problems(problems: list[str]) -> None:
    if len(problems) == 1:
        raise AnchorlineError(_sentence(problems[0], NOTHING_LOADED))
    if problems:
        raise AnchorlineError(
            f"{len(problems)} things are wrong with the files. {NOTHING_LOADED}",
            details="\n".join(problems),
        )


def _suggestion(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; is it {close[0]!r}?" if close else ""


def _listed(tables: list[str], longest: int = 4) -> str:
    if len(tables) <= longest:
        return ", ".join(tables)
    return f"{', '.join(tables[:longest])} and {len(tables) - longest} more"
