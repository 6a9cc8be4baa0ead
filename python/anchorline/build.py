"""Run `dbt build` in a process of its own, with one line of progress."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anchorline import console, settings
from anchorline.errors import AnchorlineError

_STEP = re.compile(r"(\d+) of (\d+) (?:OK|PASS|WARN|ERROR|FAIL|SKIP|NO-OP|REUSED)\b")


def dbt_program() -> Path:
    """Return the dbt of the environment that this Python belongs to."""
    program = Path(sys.executable).parent / "dbt"
    if not program.is_file():
        found = shutil.which("dbt")
        if found is None:
            raise AnchorlineError(
                f"There is no dbt beside {sys.executable}. Run the command in the project's "
                'environment: eval "$(make -s env)"'
            )
        program = Path(found)
    return program


def dbt_build(
    target: str,
    *,
    variables: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    verbose: bool = False,
) -> None:
    """Build and test all models on a target; raise AnchorlineError where one fails.

    dbt replaces each mart whole, and none whose upstream tests failed: what was there before
    stays until its successor is complete.
    """
    project = settings.project_folder()
    command = [
        *(sys.executable, "-m", "anchorline.lean_dbt"),
        "--no-use-colors",
        "build",
        "--target",
        target,
        "--project-dir",
        str(project),
        "--profiles-dir",
        str(project),
    ]
    if variables:
        command += ["--vars", json.dumps(dict(variables))]
    command += arguments
    said: deque[str] = deque(maxlen=500)
    process = subprocess.Popen(
        command,
        cwd=project,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        with console.progress(count_items=True) as progress:
            task = progress.add_task("dbt build", total=None)
            told_at = time.monotonic()
            for line in process.stdout or ():
                text = line.rstrip()
                if verbose:
                    console.err.print(text, markup=False)
                said.append(text)
                step = _STEP.search(text)
                if step:
                    progress.update(task, completed=int(step[1]), total=int(step[2]))
                    if not console.err.is_terminal and time.monotonic() - told_at > 15:
                        console.say(f"  {step[1]} of {step[2]}")
                        told_at = time.monotonic()
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it has got the Ctrl-C too, and takes back what it was at
        raise
    if code != 0:
        raise _failed(code, _what_failed(list(said)), project, target)


def _what_failed(said: list[str]) -> list[str]:
    """Return dbt's own account of its failures: its last words, without the lines of progress."""
    start = next(
        (i for i, line in enumerate(said) if "[ERROR]" in line or "Encountered" in line), 0
    )
    for i, line in enumerate(said):
        if "Completed with" in line:
            start = i
    lines = [re.sub(r"^\d\d:\d\d:\d\d\s*", "", line).rstrip() for line in said[start:]]
    boring = ("[WARNING]", "compiled code at ")
    return [line for line in lines if line and not line.strip().startswith(boring)][:60]


def _failed(code: int, lines: list[str], project: Path, target: str) -> AnchorlineError:
    folder = Path(os.environ.get("DBT_LOG_PATH") or project / "logs")
    text = "\n".join(lines)
    where = f"All of it is in {folder / 'dbt.log'}."
    if "No space left on device" in text:
        message = "A disk is full: make room and build again. No mart is left half written."
    elif "connection to server" in text or "could not connect" in text:
        see = (
            "See `anchorline db status`. "
            if target == settings.TARGETS[0]
            else "See that PGHOST and PGPORT name a server that runs. "
        )
        message = "dbt lost the database, or never had it. " + see + where
    elif code < 0:
        message = f"dbt build was ended by signal {-code} (out of memory?). " + where
    else:
        message = (
            "dbt build failed; marts behind the failure keep their former rows. "
            "Correct what is named below and build again. " + where
        )
    return AnchorlineError(message, details=text)
