"""Bring what the dbt docs say of the marts to Metabase, with dbt-metabase.

It writes descriptions, semantic types, links and visibility. The links come from the names: the
marts call a thing the same everywhere, so `batch_id` is always the key of `batches`.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from anchorline.errors import AnchorlineError

KEYS: Final[Mapping[str, str]] = {
    "batch_id": "batches",
    "container_id": "containers",
    "lifecycle_stage_id": "lifecycle_stages",
    "assignment_id": "population_reconciliation",
}
"""The mart that has one row per value of a column."""

HIDDEN: Final = ("input_hash", "smoothing_hash", "day_hash", "suggestion_marker", "version_id")
"""Columns that are there for programs."""


def described(manifest: Mapping[str, Any], schema: str) -> dict[str, Any]:
    """Return of dbt's manifest the models of a schema, with links, keys and visibility.

    Tests and sources are left out: dbt-metabase would take their relations for links to tables
    that Metabase does not see.
    """
    nodes = {
        unique_id: dict(node)
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["schema"] == schema
    }
    for node in nodes.values():
        columns = node["columns"].items()
        node["columns"] = {
            name: _described(node["name"], schema, column) for name, column in columns
        }
    return {**manifest, "nodes": nodes, "sources": {}, "child_map": {name: [] for name in nodes}}


def describe_marts(
    manifest: Mapping[str, Any],
    schema: str,
    *,
    url: str,
    database: str,
    api_key: str | None,
    email: str | None,
    password: str | None,
    sync_seconds: int = 300,
) -> int:
    """Describe the marts on a server; return how many they are.

    Raises AnchorlineError where the server does not know the database or a mart, or refuses.
    """
    import requests
    from dbtmetabase import DbtMetabase
    from dbtmetabase.errors import ArgumentError, MetabaseStateError

    wanted = described(manifest, schema)
    said = _Errors()
    logging.getLogger("dbtmetabase").addHandler(said)
    try:
        with tempfile.TemporaryDirectory(prefix="anchorline ") as folder:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(wanted), "utf-8")
            DbtMetabase(
                file,
                url,
                metabase_api_key=api_key,
                metabase_username=email,
                metabase_password=password,
            ).export_models(database, skip_sources=True, sync_timeout=sync_seconds)
    except ArgumentError as error:
        raise AnchorlineError(
            "Metabase wants to know who you are. Set METABASE_API_KEY to a key of the group "
            "Administrators, or METABASE_USER and METABASE_PASSWORD."
        ) from error
    except (MetabaseStateError, requests.RequestException) as error:
        raise AnchorlineError(
            f"The marts could not be described in Metabase's database {database!r}. Has "
            "`anchorline metabase push` made it, and may the key change it?",
            details="\n".join(said.lines[-20:]) or None,
        ) from error
    finally:
        logging.getLogger("dbtmetabase").removeHandler(said)
    return len(wanted["nodes"])


class _Errors(logging.Handler):
    """Keeps what dbt-metabase complains about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def _described(model: str, schema: str, column: Mapping[str, Any]) -> dict[str, Any]:
    name = column["name"]
    meta: dict[str, Any] = {}
    if KEYS.get(name) == model:
        meta["metabase.semantic_type"] = "type/PK"
    elif name in KEYS:
        meta |= {
            "metabase.semantic_type": "type/FK",
            "metabase.fk_target_table": f"{schema}.{KEYS[name]}",
            "metabase.fk_target_field": name,
        }
    elif name in ("batch_number", "container_name"):
        meta["metabase.semantic_type"] = "type/Category"
    if name in HIDDEN:
        meta["metabase.visibility_type"] = "sensitive"
    return {**column, "meta": meta, "constraints": []}
