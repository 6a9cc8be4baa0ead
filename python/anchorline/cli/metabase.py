"""`anchorline metabase`: the dashboards, on a Metabase server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from anchorline import console
from anchorline.cli.options import target_option
from anchorline.connection import connection_parameters
from anchorline.errors import AnchorlineError

if TYPE_CHECKING:
    from anchorline.metabase.client import Metabase
    from anchorline.metabase.push import Change

url_option = click.option(
    "--url",
    envvar="METABASE_URL",
    default="http://127.0.0.1:3000",
    show_envvar=True,
    show_default=True,
    help="Metabase's address.",
)
api_key_option = click.option(
    "--api-key",
    envvar="METABASE_API_KEY",
    show_envvar=True,
    help="An API key of the group Administrators; better in the environment than here.",
)
user_option = click.option(
    "--admin",
    envvar="METABASE_USER",
    metavar="EMAIL",
    show_envvar=True,
    help="In place of a key: an administrator, with METABASE_PASSWORD in the environment.",
)
password_option = click.option(
    "--admin-password", envvar="METABASE_PASSWORD", hidden=True, help="Read from the environment."
)
database_option = click.option(
    "--database",
    default="anchorline",
    metavar="NAME",
    show_default=True,
    help="What Metabase calls the database.",
)


@click.group()
def metabase() -> None:
    r"""Put the dashboards on a Metabase server, and keep them as the project has them.

    The questions are SQL in analyses/metabase, one folder per dashboard. The open-source edition
    will do.

    \b
    Examples:
      anchorline metabase push --target prod --dry-run
      anchorline metabase push --target prod
      anchorline metabase describe --target prod
    """


@metabase.command()
@click.option("--dry-run", is_flag=True, help="Say what would be done; do nothing.")
@url_option
@api_key_option
@user_option
@password_option
@database_option
@click.option(
    "--collection",
    default="Fish growth",
    metavar="NAME",
    show_default=True,
    help="Name of the collection, where it is made.",
)
@click.option("--db-host", metavar="HOST", help="The database as Metabase reaches it: its host.")
@click.option("--db-port", type=int, metavar="PORT", help="Its port.")
@click.option("--db-name", metavar="NAME", help="Its name on that server.")
@click.option("--db-user", metavar="LOGIN", help="A login with the reader's rights. [dashboards]")
@click.option("--db-ssl/--no-db-ssl", default=None, help="Whether to connect with TLS.")
@click.option(
    "--db-password",
    envvar="ANCHORLINE_READER_PASSWORD",
    hidden=True,
    help="Read from the environment.",
)
@click.option(
    "--sync-timeout",
    type=click.IntRange(min=1),
    default=300,
    metavar="SECONDS",
    show_default=True,
    help="How long Metabase may take to read the tables.",
)
@target_option
def push(
    dry_run: bool,
    url: str,
    api_key: str | None,
    admin: str | None,
    admin_password: str | None,
    database: str,
    collection: str,
    db_host: str | None,
    db_port: int | None,
    db_name: str | None,
    db_user: str | None,
    db_ssl: bool | None,
    db_password: str | None,
    sync_timeout: int,
    target: str,
) -> None:
    r"""Make the dashboards on the server as they are here; say first what will change.

    A server that nobody has set up gets its first user (METABASE_USER and METABASE_PASSWORD). Where
    Metabase has no such database yet it is connected, as a login with the reader's rights whose
    password is in ANCHORLINE_READER_PASSWORD; by default the target's database. What people
    have added on the server stays, and nothing is deleted.

    \b
    Examples:
      anchorline metabase push --target prod --dry-run
      METABASE_API_KEY=mb_... anchorline metabase push --target prod --url https://metabase.example.com
      anchorline metabase push --target prod --db-host timescaledb --db-port 5432
    """
    from anchorline.metabase.client import Metabase
    from anchorline.metabase.compiled import compiled_questions
    from anchorline.metabase.push import Connection, Push, set_up

    server = Metabase(url)
    properties = server.get("/api/session/properties")
    is_new = not properties.get("has-user-setup", True)
    if not is_new:
        _identify(server, api_key, admin, admin_password)
    elif not (admin and admin_password):
        raise AnchorlineError(
            f"Nobody has set up Metabase at {server.url}. Set METABASE_USER to the e-mail address "
            "of its first administrator and METABASE_PASSWORD to a password, then push again."
        )
    if db_password:
        server.keep_secret(db_password)
    given: dict[str, Any] = {
        "host": db_host,
        "port": db_port,
        "dbname": db_name,
        "user": db_user,
        "ssl": db_ssl,
    }
    parameters = connection_parameters(target)
    with compiled_questions(target) as compiled:
        connection = Connection(
            name=database,
            schema=compiled.schema,
            usual={
                "host": parameters["host"],
                "port": int(parameters["port"]),
                "dbname": parameters["dbname"],
                "user": "dashboards",
                "ssl": False,
            },
            given={name: value for name, value in given.items() if value is not None},
            password=db_password,
        )

        def new_push(*, is_applied: bool, is_new: bool) -> Push:
            return Push(
                server,
                compiled.dashboards,
                connection,
                collection,
                is_applied=is_applied,
                is_new=is_new,
                sync_seconds=sync_timeout,
                tell=console.say,
            )

        plan = new_push(is_applied=False, is_new=is_new)
        plan.run()
        if is_new:
            console.out.print(f"create    server      first administrator {admin}", markup=False)
        _show(plan.changes)
        if dry_run or not (is_new or _writes(plan.changes)):
            return
        if is_new and admin and admin_password:
            connection.check_password()  # else there would be an administrator, and nothing more
            set_up(server, properties, admin, admin_password)
        done = new_push(is_applied=True, is_new=False)
        done.run()
    console.say(f"Done, at {server.url}. `anchorline metabase describe` brings the descriptions.")
    if done.failures:
        raise AnchorlineError(
            f"Metabase refused {len(done.failures)} of them; the others are done. Push again when "
            "the reasons are gone.",
            details="\n".join(done.failures),
        )


@metabase.command()
@url_option
@api_key_option
@user_option
@password_option
@database_option
@target_option
def describe(
    url: str,
    api_key: str | None,
    admin: str | None,
    admin_password: str | None,
    database: str,
    target: str,
) -> None:
    r"""Bring descriptions, keys and links of the marts from the dbt docs to Metabase.

    \b
    Examples:
      anchorline metabase describe --target prod
    """
    from anchorline.metabase.compiled import compiled_questions
    from anchorline.metabase.describe import describe_marts

    with compiled_questions(target) as compiled:
        count = describe_marts(
            compiled.manifest,
            compiled.schema,
            url=url,
            database=database,
            api_key=api_key,
            email=admin,
            password=admin_password,
        )
    console.say(f"{count} marts are described.")


def _identify(
    server: Metabase, api_key: str | None, admin: str | None, password: str | None
) -> None:
    if api_key:
        server.use_api_key(api_key)
    elif admin and password:
        server.log_in(admin, password)
    else:
        raise AnchorlineError(
            "Metabase wants to know who you are. Set METABASE_API_KEY to a key of the group "
            "Administrators, or METABASE_USER and METABASE_PASSWORD."
        )


def _writes(changes: Sequence[Change]) -> bool:
    return any(change.action not in ("nothing", "left") for change in changes)


def _show(changes: Sequence[Change]) -> None:
    for change in changes:
        if change.action != "nothing":
            details = f" ({change.details})" if change.details else ""
            console.out.print(
                f"{change.action:<9} {change.kind:<11} {change.name}{details}", markup=False
            )
    counts = Counter(change.action for change in changes)
    said = [f"{counts[name]} to {name}" for name in ("create", "update", "restore") if counts[name]]
    console.out.print(
        f"{', '.join(said) or 'Nothing to do'}; {counts['nothing']} as they should be.",
        markup=False,
    )
