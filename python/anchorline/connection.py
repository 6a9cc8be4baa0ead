"""Connections to the target's database, with errors that say what to do."""

from __future__ import annotations

import getpass
import os
from typing import Any

import psycopg

from anchorline import settings
from anchorline.errors import AnchorlineError


def connection_parameters(target: str | None = None) -> dict[str, Any]:
    """Return the libpq parameters of a target, the same ones that profiles.yml gives to dbt.

    `embedded` is the project's own server (ANCHORLINE_DB_HOST and ANCHORLINE_DB_PORT name it
    where they are set); `dev` and `prod` follow the usual PG* variables.
    """
    if settings.chosen_target(target) == "embedded":
        from anchorline.database import EmbeddedServer

        server = EmbeddedServer(settings.data_folder())
        parameters: dict[str, Any] = {
            "host": os.environ.get("ANCHORLINE_DB_HOST") or settings.EMBEDDED_HOST,
            "port": settings.port_from_environment() or server.port,
            "user": settings.EMBEDDED_USER,
            "dbname": settings.EMBEDDED_DATABASE,
            # neither PGPASSWORD nor PGSSLMODE, which are meant for the other targets
            "password": "",
            "sslmode": "prefer",
        }
        if server.passfile.is_file():
            parameters["passfile"] = str(server.passfile)
        return parameters
    user = os.environ.get("PGUSER") or system_user()
    return {
        "host": os.environ.get("PGHOST") or "localhost",
        "port": os.environ.get("PGPORT") or "5432",
        "user": user,
        "dbname": os.environ.get("PGDATABASE") or user,
    }


def connect(target: str | None = None, *, autocommit: bool = False) -> psycopg.Connection:
    """Connect to the database of a target.

    Raises AnchorlineError, with what to do, where the server is not there, the password is
    wrong, or the role or database does not exist.
    """
    name = settings.chosen_target(target)
    parameters = connection_parameters(name)
    try:
        return psycopg.connect(
            **parameters,
            connect_timeout=10,
            application_name="anchorline",
            autocommit=autocommit,
        )
    except psycopg.OperationalError as error:
        raise _explain(error, name, parameters) from error


def connect_url(url: str, *, autocommit: bool = False) -> psycopg.Connection:
    """Connect to the database that a libpq URL names, with the same clear errors."""
    parameters = psycopg.conninfo.conninfo_to_dict(url)
    try:
        return psycopg.connect(
            url, connect_timeout=10, application_name="anchorline", autocommit=autocommit
        )
    except psycopg.OperationalError as error:
        raise _explain(error, "url", parameters) from error


def system_user() -> str:
    """Return the name of the user who runs this, as the machine knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "postgres"


def acting_user(connection: psycopg.Connection, target: str | None = None) -> str:
    """Return who is at work: the user who is logged in; in the embedded database all are one."""
    if settings.chosen_target(target) == "embedded":
        return system_user()
    row = connection.execute("select session_user").fetchone()
    return str(row[0]) if row else system_user()


def _explain(
    error: psycopg.OperationalError, target: str, parameters: dict[str, Any]
) -> AnchorlineError:
    text = str(error).lower()
    embedded = target == "embedded"
    where = f"{parameters.get('host')}:{parameters.get('port')}"
    user, database = parameters.get("user"), parameters.get("dbname")
    settings_of = "the PG* variables" if target in ("dev", "prod") else "the URL"

    if "password" in text or "no pg_hba.conf entry" in text or "authentication failed" in text:
        if embedded:
            return AnchorlineError(
                f"The server at {where} does not accept the password of {user!r}, so it may not be "
                "the embedded database of this project. See `anchorline db status`; unset "
                "ANCHORLINE_DB_HOST and ANCHORLINE_DB_PORT, then run `anchorline db start`."
            )
        return AnchorlineError(
            f"The server at {where} refuses user {user!r}. Check PGUSER and PGPASSWORD "
            "(or the password file that PGPASSFILE names)."
        )
    if "database" in text and "does not exist" in text:
        if embedded:
            return AnchorlineError(
                f"The embedded server at {where} has no database {database!r}. "
                "Run `anchorline db start`, which creates it."
            )
        return AnchorlineError(
            f"The server at {where} has no database {database!r}. "
            "Set PGDATABASE to one that exists, or create it: "
            f"createdb -h {parameters.get('host')} -p {parameters.get('port')} -U {user} {database}"
        )
    if "role" in text and "does not exist" in text:
        return AnchorlineError(f"The server at {where} has no role {user!r}. Check {settings_of}.")
    if "starting up" in text or "shutting down" in text or "recovery mode" in text:
        return AnchorlineError(f"The server at {where} is starting or stopping. Try again shortly.")
    if "too many clients" in text or "connection slots" in text:
        return AnchorlineError(f"The server at {where} has no connection left. Close some first.")
    if embedded:
        return AnchorlineError(
            f"The embedded database is not running at {where}. Start it with `anchorline db start`."
        )
    return AnchorlineError(
        f"No PostgreSQL server answers at {where} (target {target}). Start it with the means of "
        "its machine, or correct PGHOST and PGPORT."
        if target in ("dev", "prod")
        else f"No PostgreSQL server answers at {where}. Check the URL."
    )
