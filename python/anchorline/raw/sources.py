"""What the dbt project declares about the raw tables: which it reads, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from anchorline.errors import AnchorlineError
from anchorline.settings import project_folder

SOURCES_FILE = Path("models", "staging", "_sources.yml")


@dataclass(frozen=True)
class SourceColumn:
    """A column that the models read; `is_optional` where null will do."""

    name: str
    data_type: str
    is_optional: bool


@dataclass(frozen=True)
class SourceTable:
    """A table that the models read; `is_optional` where an empty one will do."""

    name: str
    description: str
    columns: tuple[SourceColumn, ...]
    is_optional: bool
    key: str
    key_may_be_composite: bool

    @property
    def required_columns(self) -> frozenset[str]:
        """The columns without which the models cannot be built, where the table is there."""
        return frozenset(column.name for column in self.columns if not column.is_optional)


@cache
def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise AnchorlineError(
            f"{path} is not there. Run this in the anchorline project, or let "
            "ANCHORLINE_PROJECT_DIR name its folder."
        ) from error
    except yaml.YAMLError as error:
        raise AnchorlineError(f"{path} is not valid YAML. Correct it as the cause says.") from error


def project_variable(name: str, default: str) -> str:
    """Return a var of dbt_project.yml as text."""
    project = _read_yaml(project_folder() / "dbt_project.yml") or {}
    value = (project.get("vars") or {}).get(name)
    return default if value is None else str(value)


def read_sources(folder: Path | None = None, source_name: str = "raw") -> dict[str, SourceTable]:
    """Read which raw tables and columns the models use, from the project's `_sources.yml`.

    With `source_name="ops"`, those that people write into.
    """
    path = (folder or project_folder()) / SOURCES_FILE
    content = _read_yaml(path) or {}
    for source in content.get("sources") or []:
        if source.get("name") == source_name:
            return {table["name"]: _read_table(table) for table in source.get("tables") or []}
    raise AnchorlineError(f"{path} declares no source called {source_name!r}. Restore it from git.")


def _read_table(table: dict[str, Any]) -> SourceTable:
    meta = _meta(table)
    return SourceTable(
        name=table["name"],
        description=" ".join(str(table.get("description", "")).split()),
        columns=tuple(
            SourceColumn(
                name=column["name"],
                data_type=str(column.get("data_type", "text")),
                is_optional=bool(_meta(column).get("optional", False)),
            )
            for column in table.get("columns") or []
        ),
        is_optional=bool(meta.get("optional", False)),
        key=str(meta.get("key", "id")),
        key_may_be_composite=bool(meta.get("key_may_be_composite", False)),
    )


def _meta(node: dict[str, Any]) -> dict[str, Any]:
    return (node.get("config") or {}).get("meta") or {}
