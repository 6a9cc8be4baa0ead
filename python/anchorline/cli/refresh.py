"""`anchorline refresh`: bring the marts up to date with the records."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any, Final

import click
from rich import box
from rich.table import Table

from anchorline import console
from anchorline.cli.options import target_option

EXIT_BUSY: Final = 75
"""Another refresh is under way (EX_TEMPFAIL of sysexits.h: try again later)."""
EXIT_INVALID: Final = 3
"""The marts are published, and validation found something wrong in what has changed."""


@click.command()
@click.option(
    "--batch",
    "batches",
    multiple=True,
    metavar="NUMBER",
    help="This batch, and all that movements tie to it; may be repeated.",
)
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="What was recorded for this day and later, of all batches that held fish then.",
)
@click.option(
    "--days",
    type=click.IntRange(1),
    metavar="N",
    help="The same, for the last N days.",
)
@click.option("--scan", is_flag=True, help="Compare all records with what is published.")
@click.option("--full", is_flag=True, help="Make every table anew.")
@click.option("--dry-run", is_flag=True, help="Only say what would be computed again, and why.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for another refresh to end.",
)
@click.option(
    "--runners",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="So many processes at once, each with lineages of its own.",
)
@click.option("--no-validate", is_flag=True, help="Do not check what has changed.")
@click.option("--vars", "variables", metavar="YAML", help="Vars for dbt, as on its command line.")
@target_option
def refresh(
    batches: tuple[str, ...],
    since: datetime | None,
    days: int | None,
    scan: bool,
    full: bool,
    dry_run: bool,
    wait_seconds: int,
    runners: int,
    no_validate: bool,
    variables: str | None,
    target: str,
) -> None:
    r"""Bring the marts up to date: compute again what has changed, and nothing else.

    Without an option: what the change queue holds (`anchorline events install`) and new
    readings; where no triggers are installed, a scan. A refresh of some batches always covers
    their whole lineages. What a killed refresh has not reached, the next one does.

    \b
    Examples:
      anchorline refresh                        what has changed since the last time
      anchorline refresh --batch FAR-2024-001   one batch, and all tied to it
      anchorline refresh --days 14              what was recorded for the last 14 days
      anchorline refresh --runners 2            what has changed, by two processes
      anchorline refresh --scan                 everything, by comparison (each night)
      anchorline refresh --scan --dry-run       what that would compute again, and why
      anchorline refresh --full                 every table anew

    \b
    Exit codes:
      0    the marts are up to date
      1    failed: the marts keep what they had, and the change stays pending
      3    up to date, but validation found something wrong (`anchorline validate` tells more)
      75   another refresh is under way
      130  interrupted
    """
    given = [name for name, is_given in _choices(batches, since, days, scan, full) if is_given]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other: give one of them.")
    from anchorline.cli.verify import given_variables
    from anchorline.refresh import RefreshBusyError
    from anchorline.refresh.session import RefreshSession

    first_day = since.date() if since else None
    if days:
        first_day = datetime.now(UTC).date() - timedelta(days=days)
    given_vars = given_variables(variables)
    validation = None
    if not no_validate and not dry_run:
        from anchorline.refresh.validation import ChangeValidation

        validation = ChangeValidation(target, variables=given_vars)
    session = RefreshSession(
        target,
        variables=given_vars,
        tell=console.say,
        on_node=_Progress(),
        validate=validation,
        runners=runners,
    )
    with _terminated_like_interrupted():
        try:
            if dry_run:
                changes, scope = session.preview(
                    batch_numbers=batches, first_day=first_day, scan=scan, full=full
                )
                _print_changes(changes, scope)
                return
            outcome = session.refresh(
                batch_numbers=batches,
                first_day=first_day,
                scan=scan,
                full=full,
                wait_seconds=wait_seconds,
            )
        except RefreshBusyError as error:
            click.echo(f"Error: {error}", err=True)
            click.get_current_context().exit(EXIT_BUSY)
        finally:
            session.close()
            if validation is not None:
                validation.close()
    if outcome is None:
        console.out.print("Nothing has changed.")
        return
    _print_outcome(outcome)
    if outcome.problems:
        click.get_current_context().exit(EXIT_INVALID)


def _choices(
    batches: tuple[str, ...],
    since: datetime | None,
    days: int | None,
    scan: bool,
    full: bool,
) -> list[tuple[str, bool]]:
    return [
        ("--batch", bool(batches)),
        ("--since", since is not None),
        ("--days", days is not None),
        ("--scan", scan),
        ("--full", full),
    ]


class _Progress:
    """One line per twenty models, or a bar where a person looks on."""

    def __init__(self) -> None:
        self._told = 0

    def __call__(self, name: str, done: int, total: int) -> None:
        if done - self._told >= 20:
            self._told = done
            console.say(f"  {done} tables done, last {name}")
        elif done < self._told:
            self._told = 0


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Let SIGTERM end the refresh as Ctrl-C does: queries cancelled, the log row closed."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_changes(changes: Any, scope: Any) -> None:
    what = {
        "full": "every table would be made anew; of the records",
        "scan": "of all records",
        "batches": f"of {len(scope.batch_ids)} batches and their lineages",
    }[scope.mode]
    if not changes.assignment_count:
        console.out.print(f"Nothing has changed {what}.")
        return
    console.out.print(
        f"{changes.assignment_count} assignments of {len(changes.batch_ids)} batches would be "
        f"computed again, from {changes.from_date} on ({what})."
    )
    _print_reasons(changes)


def _print_outcome(outcome: Any) -> None:
    changes = outcome.changes
    if changes.assignment_count:
        console.out.print(
            f"{changes.assignment_count} assignments of {len(changes.batch_ids)} batches, from "
            f"{changes.from_date} on: {outcome.row_count:,} rows of marts in "
            f"{outcome.seconds:.1f} s."
        )
        _print_reasons(changes)
    else:
        console.out.print(f"Nothing has changed ({outcome.seconds:.1f} s).")
    for problem in outcome.problems:
        console.out.print(problem, markup=False)


def _print_reasons(changes: Any) -> None:
    table = Table(box=box.SIMPLE, title_justify="left")
    table.add_column("Why")
    table.add_column("Assignments", justify="right")
    for reason, count in changes.reasons:
        table.add_row(reason, str(count))
    console.show(table)
