"""What the environment decides: the project's folder, the data folder, the target."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from anchorline.errors import AnchorlineError

TARGETS: Final = ("embedded", "dev", "prod")
"""The targets of profiles.yml; `embedded` is the default."""

EMBEDDED_HOST: Final = "127.0.0.1"
EMBEDDED_PORT: Final = 54329
EMBEDDED_USER: Final = "anchorline"
EMBEDDED_DATABASE: Final = "anchorline"


def project_folder() -> Path:
    """Return the folder that holds dbt_project.yml and profiles.yml.

    The environment variable ANCHORLINE_PROJECT_DIR names it; else it is the nearest folder
    with these files at or above the current one, else the one that this package lives in.
    """
    named = os.environ.get("ANCHORLINE_PROJECT_DIR")
    if named:
        folder = Path(named).expanduser().resolve()
        if not (folder / "profiles.yml").is_file():
            raise AnchorlineError(
                f"ANCHORLINE_PROJECT_DIR is {folder}, which holds no profiles.yml. "
                "Let it name the folder of the anchorline project."
            )
        return folder
    here = Path.cwd()
    own = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, own):
        if (folder / "profiles.yml").is_file() and (folder / "python" / "anchorline").is_dir():
            return folder
    raise AnchorlineError(
        f"No anchorline project was found at or above {here}. "
        "Change into the project's folder or set ANCHORLINE_PROJECT_DIR."
    )


def data_folder() -> Path:
    """Return the folder of the embedded database: ANCHORLINE_DATA_DIR, else .anchorline."""
    named = os.environ.get("ANCHORLINE_DATA_DIR")
    if named:
        return Path(named).expanduser().absolute()
    return project_folder() / ".anchorline"


def chosen_target(target: str | None = None) -> str:
    """Return the target to work on: the one given, else DBT_TARGET, else `embedded`."""
    name = target or os.environ.get("DBT_TARGET") or TARGETS[0]
    if name not in TARGETS:
        raise AnchorlineError(
            f"There is no target {name!r}. Use one of {', '.join(TARGETS)} "
            "(option --target or environment variable DBT_TARGET)."
        )
    return name


def target_schema(target: str | None = None) -> str:
    """Return the schema that the target's own schema names begin with, as in profiles.yml."""
    if chosen_target(target) != "dev":
        return "anchorline"
    user = os.environ.get("USER") or os.environ.get("PGUSER") or "anchorline"
    return "dev_" + re.sub(r"[-.@ ]", "_", user.lower())


def layer_schema(layer: str, target: str | None = None) -> str:
    """Return the schema of a layer (`marts`, `staging`, ...) on the target."""
    return f"{target_schema(target)}_{layer}"


def port_from_environment() -> int | None:
    """Return the port that ANCHORLINE_DB_PORT pins, or None where it is not set."""
    text = os.environ.get("ANCHORLINE_DB_PORT", "").strip()
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise AnchorlineError(
            f"ANCHORLINE_DB_PORT is {text!r}. Set it to a port number from 1 to 65535, or unset it."
        )
    return int(text)
