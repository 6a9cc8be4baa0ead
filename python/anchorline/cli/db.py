"""`anchorline db`: the embedded PostgreSQL, and what an administrator does with any database."""

from __future__ import annotations

import json
import os
import sys
import time

import click
import psycopg

from anchorline import console, hints, settings
from anchorline.cli import is_verbose
from anchorline.cli.db_info import megabytes, print_info
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.database import EmbeddedServer, place, project_server
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import project_variable
from anchorline.roles import LAYERS, Roles, make_roles, plan, script
from anchorline.timescale import readings, weekly
from anchorline.timescale.info import gather


@click.group()
def db() -> None:
    r"""Run the embedded PostgreSQL: start it, stop it, look inside.

    `info`, `roles` and the operations for TimescaleDB work on any database, with --target.

    \b
    It listens on 127.0.0.1 alone and lives in the folder .anchorline of the project, or in
    the one that ANCHORLINE_DATA_DIR names. Passwords are generated; they are kept in the file
    pgpass of that folder. The port is 54329, or a free one where that is taken, and is
    remembered; ANCHORLINE_DB_PORT pins it.

    \b
    Examples:
      anchorline db start
      anchorline db psql -c "select count(*) from anchorline_marts.batches"
      psql "$(anchorline db url)"
      PGUSER=postgres anchorline db roles --target prod --dry-run
      anchorline db info --target prod
      ANCHORLINE_DATA_DIR=/data/anchorline anchorline db start
    """


@db.command()
def start() -> None:
    r"""Start the server; the first time, create it.

    Does nothing where it runs already. The server outlives the terminal; `anchorline db stop`
    ends it.

    \b
    Examples:
      anchorline db start
      ANCHORLINE_DB_PORT=6000 anchorline db start
    """
    start_server()


def start_server() -> EmbeddedServer:
    """Start the project's server, with one line on what was done."""
    server = project_server(console.say)
    if server.start():
        console.say(f"The embedded database runs on {server.url().partition('?')[0]}")
    else:
        console.say(f"The embedded database runs already, on port {server.port}")
    if is_verbose():
        console.say(f"{server.log_file}:\n{server.log_tail()}")
    return server


@db.command()
def stop() -> None:
    """Stop the server; its data stay.

    Open connections are ended. Does nothing where the server does not run.
    """
    if project_server(console.say).stop():
        console.say("The embedded database is stopped.")
    else:
        console.say("The embedded database was not running.")


@db.command()
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(as_json: bool) -> None:
    r"""Tell whether the server runs, where, and how large its data are.

    \b
    Examples:
      anchorline db status
      anchorline db status --json | python3 -c 'import json, sys; print(json.load(sys.stdin))'
    """
    server = project_server()
    found = server.status()
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2))
        return
    if found.cluster is None:
        click.echo("No embedded database yet. Create it with `anchorline db start`.")
        return
    state = f"running (process {found.pid})" if found.is_running else "stopped"
    for name, value in (
        ("state", state),
        ("address", f"{found.host}:{found.port}"),
        ("database", f"{found.database}, as user {found.user}"),
        ("version", f"PostgreSQL {found.version}"),
        ("data", f"{found.cluster} ({found.size_mb:.0f} MB)"),
        ("log", found.log_file),
        ("url", found.url),
    ):
        click.echo(f"{name:9} {value}")
    if not found.is_running:
        click.echo("Start it with `anchorline db start`.")
    if is_verbose():
        click.echo(server.log_tail())


@db.command()
@click.option("--with-password", is_flag=True, help="Carry the password, for other programs.")
def url(with_password: bool) -> None:
    r"""Print one libpq URL of the database.

    It names the password file instead of the password, so that none shows up in the list of
    processes or the history of the shell. psql, psycopg and everything else made on libpq take
    it as it is; `--with-password` is for the rest.

    \b
    Examples:
      psql "$(anchorline db url)"
      anchorline db url --with-password
    """
    server = project_server()
    server.password()
    if not server.is_running():
        console.note("the server is not running; start it with `anchorline db start`.")
    click.echo(server.url(with_password=with_password))


@db.command(
    context_settings={
        "ignore_unknown_options": True,
        "allow_interspersed_args": False,
        "help_option_names": ["--help"],  # -h is psql's own
    },
    add_help_option=True,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def psql(arguments: tuple[str, ...]) -> None:
    r"""Open psql on the database; arguments go to psql.

    \b
    Examples:
      anchorline db psql
      anchorline db psql -c "select * from anchorline_marts.batches limit 5"
      anchorline db psql -X -f query.sql
    """
    server = project_server()
    server.require_running()
    program = place.wheel_binaries() / "psql"
    if not os.access(program, os.X_OK):
        raise AnchorlineError(
            f'There is no psql in {program.parent}. Use another one: psql "$(anchorline db url)"'
        )
    environment = dict(os.environ)
    for name in ("PGPASSWORD", "PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGSSLMODE"):
        environment.pop(name, None)
    status = server.status()
    environment.update(
        PGHOST=status.host,
        PGPORT=str(status.port),
        PGUSER=status.user,
        PGDATABASE=status.database,
        PGPASSFILE=str(server.passfile),
    )
    sys.stdout.flush()
    os.execve(program, [str(program), *arguments], environment)  # noqa: S606


@db.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(yes: bool) -> None:
    r"""Drop the database with all that is in it, and create it anew.

    Raw tables, marts and manual anchors are gone after that. Open connections are ended.

    \b
    Examples:
      anchorline db reset
      anchorline db reset --yes && anchorline load exports/2026-03-01
    """
    server = project_server()
    server.require_running()
    if not yes:
        if not sys.stdin.isatty():
            raise AnchorlineError(
                "This drops all data of the embedded database, and nobody is there to be asked. "
                "Add --yes to do it."
            )
        click.confirm("Drop all data of the embedded database?", abort=True, err=True)
    server.reset()
    console.say("The database is empty.")


@db.command()
@click.option(
    "--prefix",
    metavar="TEXT",
    help="What the names begin with.  [default: the var role_prefix of dbt_project.yml]",
)
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
@target_option
def roles(prefix: str | None, raw_schema: str | None, dry_run: bool, target: str) -> None:
    r"""Make the roles runner, reader, writer and owner, with their rights.

    Works on the embedded database, or on the server of the PG* variables as a superuser (or as
    one who owns the database and the raw tables and may create roles). They are groups without
    login and password: grant them to the roles that people and programs log in as. Run it again
    after the raw tables have changed; it only adds what is missing. docs/roles.md says who may
    what.

    \b
    Examples:
      anchorline db roles --dry-run
      anchorline db roles
      PGHOST=db PGUSER=postgres PGDATABASE=farm anchorline db roles --target prod
    """
    usual_prefix = project_variable("role_prefix", "anchorline_")
    prefix = usual_prefix if prefix is None else prefix
    raw_schema = raw_schema or project_variable("raw_schema", "public")
    with _administration(target) as connection:
        if dry_run:
            click.echo(script(connection, plan(connection, target, raw_schema, prefix)))
            return
        make_roles(connection, target, raw_schema=raw_schema, prefix=prefix)
        console.say(
            f"{hints.listed(list(Roles.of(prefix).all))} have their rights in "
            f"{hints.place(connection)}."
        )
    if prefix != usual_prefix:
        console.note(
            f"the next dbt run grants to {usual_prefix}reader. Set the var role_prefix of "
            f"dbt_project.yml to {prefix!r}, so that it keeps these rights."
        )


@db.command()
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@target_option
def info(raw_schema: str | None, as_json: bool, target: str) -> None:
    r"""Show versions, hypertables, sizes, policies and continuous aggregates.

    Of the target's schemas and of the raw tables'. Works with and without TimescaleDB, before the
    first build, and for any role: it reads catalogs alone. Rows are as the statistics say.

    \b
    Examples:
      anchorline db info
      anchorline db info --target prod --json | jq '.policies[] | select(.failure_count > 0)'
    """
    schemas = [settings.layer_schema(layer, target) for layer in LAYERS]
    schemas.append(raw_schema or project_variable("raw_schema", "public"))
    with connect(target, autocommit=True) as connection:
        found = gather(connection, schemas)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=2, default=str))
    else:
        print_info(found)


@db.command("readings-hypertable")
@click.option(
    "--chunk-days",
    type=click.IntRange(1, 3650),
    default=readings.CHUNK_DAYS,
    show_default=True,
    metavar="DAYS",
    help="Days of readings in a chunk.",
)
@click.option(
    "--wait",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to try again while a table is in use.",
)
@click.option(
    "--raw-schema",
    metavar="NAME",
    help="Schema of the raw tables.  [default: the var raw_schema of dbt_project.yml]",
)
@click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
@target_option
def readings_hypertable(
    chunk_days: int, wait: float, raw_schema: str | None, dry_run: bool, target: str
) -> None:
    r"""Make the raw readings a hypertable of TimescaleDB, for good.

    For the owner of the raw tables, at a quiet hour: nobody reads or writes the readings while they
    are copied into chunks, nor writes the few tables that they refer to. It is one transaction, and
    safe to repeat. Their primary key becomes (id, reading_time). docs/timescaledb.md says what this
    means for the operational system, and how to take it back.

    \b
    Examples:
      anchorline db readings-hypertable --target prod --dry-run
      PGUSER=aquamind PGDATABASE=farm anchorline db readings-hypertable --target prod
    """
    raw_schema = raw_schema or project_variable("raw_schema", "public")
    with connect(target, autocommit=True) as connection:
        found = readings.examine(connection, raw_schema)
        if dry_run:
            steps = readings.plan(connection, found, chunk_days=chunk_days)
            click.echo(script(connection, steps) if steps else "-- nothing to do")
            return
        if found.is_hypertable:
            console.say(f"Nothing to do: {raw_schema}.{readings.TABLE} is a hypertable.")
            return
        rows = "" if found.row_count is None else f"about {found.row_count:,} rows, "
        console.say(
            f"{raw_schema}.{readings.TABLE}: {rows}{megabytes(found.total_bytes)} with its "
            "indexes, which the copy needs once more on the disk."
        )
        began = time.monotonic()
        readings.convert(connection, raw_schema, chunk_days=chunk_days, wait_seconds=wait)
        seconds = time.monotonic() - began
        console.say(f"It is a hypertable now, in chunks of {chunk_days} days ({seconds:.0f} s).")
    command = hints.for_target("dbt build", target)
    console.say(f"The next `{command}` sees it.")


@db.command("weekly-aggregates")
@click.option("--remove", is_flag=True, help="Drop them.")
@click.option("--dry-run", is_flag=True, help="Print the SQL and change nothing.")
@target_option
def weekly_aggregates(remove: bool, dry_run: bool, target: str) -> None:
    r"""Make weekly continuous aggregates under the operational system's names.

    daily_assignment_weekly and daily_batch_weekly, in the schema of the marts, for programs that
    ask for these. The marts weekly_assignment_states and weekly_batch_states say more, and are
    never behind. Wants the community edition of TimescaleDB and built marts; run it as who builds.
    Safe to repeat; a full refresh keeps them.

    \b
    Examples:
      anchorline db weekly-aggregates --target prod --dry-run
      anchorline db weekly-aggregates --target prod
      anchorline db weekly-aggregates --target prod --remove
    """
    with connect(target, autocommit=True) as connection:
        weekly.require_states(connection, target)
    statements = weekly.run_operation(target, remove=remove, dry_run=dry_run)
    if dry_run:
        click.echo(statements or "-- nothing to do")
    elif not statements:
        console.say("Nothing to do.")
    else:
        console.say(
            f"{hints.listed(list(weekly.NAMES))} are {'gone' if remove else 'there'}, in the "
            f"schema {settings.layer_schema('marts', target)}."
        )


def _administration(target: str) -> psycopg.Connection:
    """Connect as one who may make roles: the superuser of the embedded server, else PGUSER."""
    if settings.chosen_target(target) == "embedded":
        server = project_server()
        server.require_running()
        return server.admin_connection(server.status().database)
    return connect(target, autocommit=True)
