"""`anchorline env`: the shell environment in which dbt works."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from anchorline import console
from anchorline.database import project_server


@click.command()
def env() -> None:
    r"""Print what a shell needs so that plain `dbt build` works.

    Puts the programs of the locked environment on the PATH and tells dbt where the
    embedded database is. The targets dev and prod take the usual PG* variables beside it.

    \b
    Examples:
      eval "$(make -s env)"
      eval "$(anchorline env)"
      dbt build
      PGHOST=db PGDATABASE=farm dbt build --target dev
    """
    for name, value in exports().items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if not project_server().passfile.is_file():
        console.note(
            "there is no embedded database yet, so nothing is exported that names one: its port "
            "is known after the first start. Run `anchorline db start`, then this again. "
            "(The targets dev and prod need no more.)"
        )


def exports() -> dict[str, str]:
    """Return the variables and their values, PATH among them."""
    programs = str(Path(sys.executable).parent)
    found = os.environ.get("PATH", "").split(os.pathsep)
    # once, and in front, also when the environment is evaluated again
    path = os.pathsep.join([programs, *(entry for entry in found if entry not in (programs, ""))])
    server = project_server()
    # Before the first start the port is not known: the host alone would send dbt to whatever
    # server has the usual one, and a port named here would be a fixed one for the start.
    variables = server.environment() if server.passfile.is_file() else {}
    return {"PATH": path, **variables}
