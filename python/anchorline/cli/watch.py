"""`anchorline watch`: refresh whenever records change."""

from __future__ import annotations

import signal
from datetime import datetime, time, timedelta
from types import FrameType
from typing import Any

import click

from anchorline import console
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.errors import AnchorlineError


@click.command()
@click.option(
    "--debounce",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the records must be quiet before they are looked at.",
)
@click.option(
    "--scan-at",
    default="00:30",
    show_default=True,
    metavar="HH:MM",
    help="When to compare with the records each night, in the farm's time zone; `never`: not.",
)
@click.option(
    "--scan-days",
    type=click.IntRange(1),
    default=14,
    show_default=True,
    metavar="N",
    help="That comparison covers all batches with fish in the last N days.",
)
@click.option("--scan-everything", is_flag=True, help="It covers all records instead.")
@click.option(
    "--readings-every",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How often new temperature readings are looked for.",
)
@click.option(
    "--stale-after",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    metavar="MINUTES",
    help="Call the webhook when a change has waited so long.",
)
@click.option(
    "--webhook",
    envvar="ANCHORLINE_WEBHOOK",
    metavar="URL",
    help="Called on failure, staleness and suspect anchors.  [env var: ANCHORLINE_WEBHOOK]",
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
@click.option("--check", is_flag=True, help="Only say whether a watcher is alive; exit code 1: no.")
@target_option
def watch(
    debounce: float,
    scan_at: str,
    scan_days: int,
    scan_everything: bool,
    readings_every: float,
    stale_after: int,
    webhook: str | None,
    runners: int,
    no_validate: bool,
    variables: str | None,
    check: bool,
    target: str,
) -> None:
    r"""Refresh the marts whenever the records change, until stopped.

    Wants the triggers of `anchorline events install`. SIGTERM and Ctrl-C end it cleanly; what it
    was at stays queued. It can be killed and started again at any time.

    \b
    Examples:
      anchorline watch
      anchorline watch --debounce 2 --scan-at 01:15
      ANCHORLINE_WEBHOOK=https://chat.example.com/hooks/abc anchorline watch
      anchorline watch --check            for a health check: exit code 0 or 1
    """
    if check:
        _check(target)
        return
    from anchorline.cli.verify import given_variables
    from anchorline.raw.sources import project_variable
    from anchorline.refresh.session import RefreshSession
    from anchorline.refresh.validation import ChangeValidation
    from anchorline.refresh.watch import Watcher, WatchOptions
    from anchorline.refresh.webhook import Webhook

    given = given_variables(variables)
    options = WatchOptions(
        debounce_seconds=debounce,
        scan_at=_time_of_day(scan_at),
        scan_days=scan_days,
        scan_everything=scan_everything,
        readings_seconds=readings_every,
        stale_after=timedelta(minutes=stale_after),
        time_zone=str(given.get("timezone") or project_variable("timezone", "UTC")),
    )
    validation = None if no_validate else ChangeValidation(target, variables=given)
    session = RefreshSession(target, variables=given, validate=validation, runners=runners)
    watcher = Watcher(
        session,
        options,
        webhook=Webhook(webhook) if webhook else None,
        tell=_tell,
    )

    def stop(number: int, frame: FrameType | None) -> None:
        watcher.stop()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        session.require_triggers()
        _tell(f"Watching {target}; debounce {debounce:g} s, nightly scan at {scan_at}.")
        watcher.run()
    except KeyboardInterrupt:
        watcher.stop()
        _tell("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, before)
        session.close()
        if validation is not None:
            validation.close()


def _time_of_day(text: str) -> time | None:
    if text.strip().lower() == "never":
        return None
    try:
        return datetime.strptime(text.strip(), "%H:%M").time()
    except ValueError as error:
        raise AnchorlineError(
            f"--scan-at is {text!r}; expected a time such as 00:30, or never."
        ) from error


def _check(target: str) -> None:
    from anchorline.refresh import watch as watching

    with connect(target, autocommit=True) as connection:
        health = watching.check(connection, target)
    _print_health(health)
    if not health.is_alive:
        click.get_current_context().exit(1)


def _print_health(health: Any) -> None:
    if health.beat_at is None:
        console.out.print("No watcher has ever run here.")
    else:
        life = "alive" if health.is_alive else "not alive"
        console.out.print(
            f"The watcher is {life}: {health.state}, last sign of life "
            f"{health.beat_at:%Y-%m-%d %H:%M:%S %Z} (process {health.process_id} on {health.host})."
        )
    waiting = f", the oldest since {health.oldest_at:%Y-%m-%d %H:%M %Z}" if health.oldest_at else ""
    console.out.print(
        f"{health.queued_count} changes wait{waiting}; {health.set_aside_count} batches are set "
        "aside (`anchorline events status` names them)."
    )


def _tell(text: str) -> None:
    console.say(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {text}")
