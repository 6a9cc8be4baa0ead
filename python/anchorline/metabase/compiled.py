"""The questions as dbt compiles them, and the manifest that describes the marts."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from anchorline import settings
from anchorline.build import dbt_program
from anchorline.errors import AnchorlineError
from anchorline.metabase.dashboards import Dashboard, read_dashboards

PARSED: Final = "partial_parse.msgpack"
"""Where dbt keeps the project as it has read it; to read all of it takes a quarter of a minute."""


@dataclass(frozen=True)
class CompiledQuestions:
    """The dashboards with their compiled queries, dbt's manifest, and the marts' schema."""

    dashboards: list[Dashboard]
    manifest: dict[str, Any]
    schema: str


@contextmanager
def compiled_questions(
    target: str, *, variables: Mapping[str, Any] | None = None
) -> Iterator[CompiledQuestions]:
    """Let dbt compile the questions for a target; its artifacts go to a folder of their own.

    With the vars of the last build it finds the project as that has read it, and is quicker.
    Raises AnchorlineError, with what dbt said, where it does not succeed.
    """
    with tempfile.TemporaryDirectory(prefix="anchorline ") as folder:
        _compile(target, Path(folder), variables or {})
        yield read_compiled(target, Path(folder))


def read_compiled(target: str, folder: Path) -> CompiledQuestions:
    """Read the dashboards, with the queries that dbt has compiled into a folder."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    queries = {}
    for node in manifest["nodes"].values():
        path = Path(node["path"])
        # the path begins with the name of the folder, as an analysis has it
        if node["resource_type"] == "analysis" and path.parts[1:2] == ("metabase",):
            # Metabase may know the database by another name, and is connected to it anyway
            query = node["compiled_code"].replace(f'"{node["database"]}".', "")
            queries[f"{path.parts[2]}/{path.stem}"] = query
    dashboards = read_dashboards(settings.project_folder(), queries)
    return CompiledQuestions(dashboards, manifest, settings.layer_schema("marts", target))


def _compile(target: str, folder: Path, variables: Mapping[str, Any]) -> None:
    project = settings.project_folder()
    parsed = Path(os.environ.get("DBT_TARGET_PATH") or project / "target") / PARSED
    done = subprocess.run(
        [
            str(dbt_program()),
            *("--quiet", "--no-use-colors", "compile", "--select", "path:analyses/metabase"),
            *("--target", target, "--project-dir", str(project), "--profiles-dir", str(project)),
            *("--vars", json.dumps(dict(variables))),
            # dbt itself looks whether it still holds
            *(("--partial-parse-file-path", str(parsed)) if parsed.is_file() else ()),
        ],
        cwd=project,
        env={**os.environ, "DBT_TARGET_PATH": str(folder), "DBT_LOG_PATH": str(folder / "logs")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AnchorlineError(
            "dbt could not compile the questions in analyses/metabase. Put right what it says, or "
            "build the marts first.",
            details=done.stdout.strip(),
        )
