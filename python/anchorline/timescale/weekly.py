"""Weekly continuous aggregates over the daily states, under the operational system's names."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Final

import psycopg

from anchorline import hints, settings
from anchorline.build import dbt_program
from anchorline.errors import AnchorlineError
from anchorline.timescale.extension import require_extension

Connection = psycopg.Connection[Any]

STATES: Final = "daily_assignment_states"
NAMES: Final = ("daily_assignment_weekly", "daily_batch_weekly")


def require_states(connection: Connection, target: str) -> None:
    """Raise AnchorlineError unless the daily states are a hypertable that can be aggregated."""
    require_extension(connection, community=True)
    schema = settings.layer_schema("marts", target)
    found = connection.execute(
        "select from timescaledb_information.hypertables "
        "where hypertable_schema = %s and hypertable_name = %s",
        (schema, STATES),
    ).fetchone()
    if found is None:
        raise AnchorlineError(
            f"There is no hypertable {schema}.{STATES} in {hints.place(connection)}. Build it "
            f"first: `{hints.for_target('dbt build', target)}`."
        )


def run_operation(target: str, *, remove: bool, dry_run: bool) -> str:
    """Make the aggregates that are missing, or remove them; return the statements.

    They are those of macros/timescale/weekly_aggregates.sql, which a full refresh runs as well.
    """
    project = settings.project_folder()
    done = subprocess.run(
        [
            str(dbt_program()),
            "--quiet",
            "--no-use-colors",
            "run-operation",
            "weekly_aggregates",
            "--args",
            json.dumps({"remove": remove, "dry_run": dry_run}),
            "--target",
            target,
            "--project-dir",
            str(project),
            "--profiles-dir",
            str(project),
        ],
        cwd=project,
        env=os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise AnchorlineError(
            f"dbt could not do this; nothing was changed. The role must own {STATES}, as the one "
            "who builds does.",
            details=(done.stdout + done.stderr).strip(),
        )
    return done.stdout.strip()
