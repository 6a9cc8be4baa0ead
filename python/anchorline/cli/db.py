"""`anchorline db`: the embedded PostgreSQL."""

from __future__ import annotations

import json
import os
import sys

import click

from anchorline import console
from anchorline.cli import is_verbose
from anchorline.database import EmbeddedServer, place, project_server
from anchorline.errors import AnchorlineError


@click.group()
def db() -> None:
    r"""Run the embedded PostgreSQL: start it, stop it, look inside.

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
