"""The command line: one small module per group of commands, imported when it is called."""

from __future__ import annotations

import errno
import importlib
import traceback
from typing import Any, Final

import click

from anchorline.errors import AnchorlineError, causes

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    # name: (module:attribute, one line of help); in the order in which they are needed
    "demo": ("anchorline.cli.demo:demo", "Load and build a demo farm, whose truth is known."),
    "db": ("anchorline.cli.db:db", "Run the embedded PostgreSQL: start, stop, look inside."),
    "env": ("anchorline.cli.env:env", "Print the shell environment in which dbt works."),
    "doctor": ("anchorline.cli.doctor:doctor", "Check a database before its first build."),
    "load": ("anchorline.cli.load:load", "Load raw tables from a folder of CSV files."),
    "summary": ("anchorline.cli.summary:summary", "Show what the marts hold now."),
    "report": (
        "anchorline.cli.report:report",
        "Write the growth page: all batches in one HTML file.",
    ),
    "verify": ("anchorline.cli.verify:verify", "Compare the states with a second computation."),
    "holdout": (
        "anchorline.cli.holdout:holdout",
        "Hide samples, and see how well the series know them.",
    ),
    "calibrate": (
        "anchorline.cli.calibrate:calibrate",
        "Fit growth and noise to the anchors, for the forecast.",
    ),
    "refresh": ("anchorline.cli.refresh:refresh", "Bring the marts up to date with the records."),
    "watch": ("anchorline.cli.watch:watch", "Do so whenever the records change, until stopped."),
    "validate": (
        "anchorline.cli.validate:validate",
        "Check what raw tables and marts promise.",
    ),
    "events": (
        "anchorline.cli.events:events",
        "Watch the raw tables: triggers that queue what has changed.",
    ),
    "explain": ("anchorline.cli.explain:explain", "Take one state apart, down to the raw records."),
    "anchors": (
        "anchorline.cli.anchors:anchors",
        "State weights, and exclude bad samples, with who and why.",
    ),
    "scenarios": (
        "anchorline.cli.scenarios:scenarios",
        "Pin batches to the scenarios that they follow.",
    ),
    "planning": (
        "anchorline.cli.planning:planning",
        "See what the states suggest, and plan it.",
    ),
    "metabase": (
        "anchorline.cli.metabase:metabase",
        "Put the dashboards on a Metabase server.",
    ),
    "bench": ("anchorline.cli.bench:bench", "Measure how fast anchorline is."),
}


class LazyGroup(click.Group):
    """A group that imports the module of a command only when that command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command, or return None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module_name, _, attribute = COMMANDS[cmd_name][0].partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name == module_name:
                return None
            raise
        command: click.Command = getattr(module, attribute)
        return _with_examples(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; print errors as a person wants to read them."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            click.echo("\nInterrupted: nothing is left half done; run the command again.", err=True)
            ctx.exit(130)
        except Exception as error:
            print_error(error, verbose=bool(ctx.params.get("verbose")))
            ctx.exit(1)


def _with_examples(command: click.Command) -> click.Command:
    """Let help texts be raw docstrings, in which click's mark for examples is two letters."""
    if command.help:
        command.help = command.help.replace("\\b\n", "\b\n")
    if isinstance(command, click.Group):
        for member in command.commands.values():
            _with_examples(member)
    return command


def print_error(error: Exception, *, verbose: bool) -> None:
    """Print an error with its causes on standard error; the traceback only on request."""
    if verbose:
        click.echo("".join(traceback.format_exception(error)), err=True)
    if isinstance(error, AnchorlineError):
        click.echo(f"Error: {error}", err=True)
    elif _is_disk_full(error):
        click.echo(
            f"Error: a disk is full. Make room and run the command again.\n  {error}", err=True
        )
    else:
        text = str(error).strip() or "no message"
        click.echo(f"Error: {type(error).__name__}: {text}", err=True)
        if not verbose:
            click.echo("  `anchorline --verbose ...` shows where it comes from.", err=True)
    for cause in causes(error):
        click.echo("  because: " + cause.replace("\n", "\n    "), err=True)
    details = getattr(error, "details", None)
    if details:
        click.echo("  " + str(details).strip().replace("\n", "\n  "), err=True)


def _is_disk_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return getattr(error, "sqlstate", None) == "53100"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Errors say what to do; `anchorline --verbose COMMAND` adds the traceback.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Show tracebacks, server logs and dbt's output."
)
@click.version_option(package_name="anchorline")
def main(verbose: bool) -> None:
    r"""One actual state per salmon assignment and day: number, weight and biomass.

    \b
    See it work:
      anchorline demo run                 demo farm, dbt build, summary
    Use your own data:
      anchorline db start                 a PostgreSQL of the project's own
      anchorline load path/to/csv         raw tables from CSV files
      anchorline doctor                   is everything there that the models need?
      dbt build                           after: eval "$(make -s env)"
      anchorline summary                  what came out
    Use your own server:
      PGHOST=... PGDATABASE=... anchorline doctor --target dev
    """


_with_examples(main)


def is_verbose() -> bool:
    """Return whether the command line was called with --verbose."""
    ctx = click.get_current_context(silent=True)
    return bool(ctx is not None and ctx.find_root().params.get("verbose"))
