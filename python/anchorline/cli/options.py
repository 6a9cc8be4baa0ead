"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from anchorline import settings

Command = TypeVar("Command", bound=Callable[..., Any])


def target_option(command: Command) -> Command:
    """Add ``--target``: which database the command works on."""
    return click.option(
        "--target",
        type=click.Choice(settings.TARGETS),
        default=settings.TARGETS[0],
        envvar="DBT_TARGET",
        show_envvar=True,
        show_default=True,
        help="The database: the project's own, or the one of the PG* variables.",
    )(command)
