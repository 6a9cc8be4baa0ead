"""Does a killed refresh leave anything wrong? Kills at random moments, and a comparison.

    python -m devtools.kills --kills 30 --seed 3

loads a small demo farm into the empty database that the PG* variables name, edits its raw tables
at random, starts `anchorline refresh` after each edit and kills it (SIGKILL) at a random moment.
After every few kills one refresh goes through, sometimes two and a bare `dbt build` at once, and
all tables are compared with a full rebuild, as `devtools.equality` does.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import psycopg

from anchorline.build import dbt_program
from devtools.edits import Editor
from devtools.equality import REBUILD_USER, Project, compare, prepare, rebuild


def main() -> int:
    """Run the trial; return 1 where a difference was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--compare-every", type=int, default=6, help="kills")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    rng = np.random.default_rng(options.seed)
    os.environ["USER"] = REBUILD_USER
    with (
        tempfile.TemporaryDirectory(prefix="anchorline-kills-") as folder,
        psycopg.connect(autocommit=True) as connection,
    ):
        os.environ["DBT_TARGET_PATH"] = str(Path(folder) / "target")
        os.environ["DBT_LOG_PATH"] = str(Path(folder) / "logs")
        project = Project.copied(Path(folder) / "project", {})
        (project.folder / "python" / "anchorline").mkdir(parents=True)
        os.environ["ANCHORLINE_PROJECT_DIR"] = str(project.folder)
        prepare(connection, project, batches=options.batches, seed=options.seed)
        as_of = project.variables["as_of_date"]
        editor = Editor(connection, rng, date.fromisoformat(as_of))
        arguments = ["--target", "prod", "--no-validate", "--vars", json.dumps(project.variables)]
        refresh = [sys.executable, "-m", "anchorline", "refresh", *arguments]
        bare = [
            *(str(dbt_program()), "--quiet", "build", "--target", "prod"),
            *("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test"),
            *("--vars", json.dumps(project.variables)),
            *("--project-dir", str(project.folder), "--profiles-dir", str(project.folder)),
        ]
        longest = _run([*refresh, "--scan"])
        killed = 0
        while killed < options.kills:
            for _ in range(int(rng.integers(1, 4))):
                print(f"  {editor.edit()}", flush=True)
            process = subprocess.Popen(
                [*refresh, "--scan"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            time.sleep(float(rng.uniform(1, longest)))
            process.send_signal(signal.SIGKILL)
            code = process.wait()
            killed += code == -signal.SIGKILL
            print(f"kill {killed} of {options.kills}: exit code {code}", flush=True)
            if killed % options.compare_every:
                continue
            if rng.random() < 0.5:
                print("  two refreshes and a dbt build at once", flush=True)
                together = [
                    subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                    for command in (
                        [*refresh, "--scan", "--wait", "300"],
                        [*refresh, "--scan", "--wait", "300"],
                        bare,
                    )
                ]
                for one in together:
                    _, said = one.communicate()
                    print(f"    exit code {one.returncode}", flush=True)
                    if one.returncode:
                        print(said.decode(errors="replace")[-600:], flush=True)
            longest = max(longest, _run([*refresh, "--scan", "--wait", "60"]))
            rebuild(connection, project)
            differences = compare(connection)
            for difference in differences:
                print(difference, flush=True)
            if differences:
                print("DIFFERENT")
                return 1
            print("  equal to a full rebuild", flush=True)
        left = connection.execute(
            "select count(*) from anchorline_ops.refresh_log where outcome = 'running'"
        ).fetchone()
        print(f"log rows still running: {left[0] if left else None}")
        print("EQUAL")
        return 0


def _run(command: list[str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
