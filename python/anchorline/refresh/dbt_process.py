"""dbt in this process: parsed once, run as often as needed.

The import costs 2 s and a full parse 4 s, so that a long-lived caller keeps one `DbtProcess`.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from anchorline import settings
from anchorline.errors import AnchorlineError
from anchorline.raw.sources import project_variable


@dataclass(frozen=True)
class DbtRun:
    """What a run of dbt did."""

    succeeded: bool
    invocation_id: str
    seconds: float
    row_counts: Mapping[str, int]
    """Rows written per model, as far as the server tells."""
    errors: Sequence[str] = field(default_factory=tuple)


class DbtProcess:
    """The project's dbt for one target, in this process.

    `variables` are the vars of every run, as with `--vars`; `manifest` is the project as another
    process has parsed it.
    """

    def __init__(
        self,
        target: str,
        *,
        variables: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        manifest: Any = None,
    ) -> None:
        self.target = target
        self.variables = dict(variables or {})
        os.environ.update(environment or {})
        self._project = settings.project_folder()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._artifacts = self._artifacts_folder()
        self._runner: Any = None
        self._manifest: Any = manifest
        self._on_node: Callable[[str, int, int], None] | None = None
        self._done = 0
        self._total = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove what was kept for this process alone."""
        if self._scratch is not None:
            self._scratch.cleanup()

    def _artifacts_folder(self) -> Path:
        """Return a folder for dbt's artifacts, where the next process finds the parsed project.

        It lies in the `target` of plain dbt, and is another, so that neither spoils what the
        other has parsed. Where it may not be written to, every process parses for itself.
        """
        target = Path(os.environ.get("DBT_TARGET_PATH") or "target")
        folder = self._project / target / f"refresh-{self.target}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            self._scratch = tempfile.TemporaryDirectory(prefix="anchorline-dbt-")
            return Path(self._scratch.name)

    @property
    def manifest(self) -> Any:
        """The parsed project; the first use parses it."""
        if self._manifest is None:
            self._parse()
        return self._manifest

    def nodes(self, *types: str) -> Iterable[Any]:
        """Return the project's nodes of these resource types, by name."""
        return sorted(
            (node for node in self.manifest.nodes.values() if node.resource_type in types),
            key=lambda node: str(node.name),
        )

    def selectors_behind(self, tables: Collection[str]) -> list[str]:
        """Return dbt's selectors of all that is made from these source tables."""
        return sorted(
            f"source:{source.source_name}.{source.name}+"
            for source in self.manifest.sources.values()
            if source.identifier in tables
        )

    def views_fingerprint(self) -> str:
        """Return a fingerprint of what a refresh need not build again: views, seeds, all models.

        Macros are in it whole, because models call them.
        """
        parts = [
            f"{node.unique_id}={node.checksum.checksum}" for node in self.nodes("model", "seed")
        ]
        parts += sorted(
            f"{macro.unique_id}={_fingerprint(macro.macro_sql)}"
            for macro in self.manifest.macros.values()
            if macro.package_name == "anchorline"
        )
        parts.append(json.dumps(self.variables, sort_keys=True, default=str))
        # views know what lies in the future: they hold the day on which they were made
        zone = str(self.variables.get("timezone") or project_variable("timezone", "UTC"))
        parts.append(datetime.now(ZoneInfo(zone)).date().isoformat())
        return _fingerprint("\n".join(parts))

    def run(
        self,
        command: str,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        on_node: Callable[[str, int, int], None] | None = None,
    ) -> DbtRun:
        """Run a dbt command; `on_node(name, done, total)` hears of each model that has ended.

        Raises KeyboardInterrupt after dbt has cancelled its queries.
        """
        import time

        manifest = self.manifest
        self._on_node, self._done, self._total = on_node, 0, 0
        runner = self._make_runner(manifest)
        started = time.monotonic()
        result = runner.invoke(
            [
                *self._globals(),
                command,
                *arguments,
                *self._locations(),
                "--vars",
                json.dumps({**self.variables, **(variables or {})}, default=str),
            ]
        )
        seconds = time.monotonic() - started
        if isinstance(result.exception, KeyboardInterrupt):
            raise result.exception
        if result.exception is not None and result.result is None:
            return DbtRun(False, "", seconds, {}, (_short(str(result.exception)),))
        results = list(getattr(result.result, "results", []) or [])
        errors = [
            f"{item.node.name}: {_short(str(item.message))}"
            for item in results
            if str(item.status) in ("error", "fail", "runtime error")
        ]
        rows = {
            item.node.name: int(item.adapter_response.get("rows_affected") or 0)
            for item in results
            if str(item.status) == "success" and item.adapter_response
        }
        metadata = getattr(getattr(result.result, "args", None), "get", lambda _: None)
        invocation = str(metadata("invocation_id") or _invocation_id())
        if result.exception is not None and not errors:
            errors = [_short(str(result.exception))]
        return DbtRun(bool(result.success), invocation, seconds, rows, tuple(errors))

    def _parse(self) -> None:
        runner = self._make_runner(None)
        result = runner.invoke(
            [
                *self._globals(),
                "parse",
                *self._locations(),
                "--vars",
                json.dumps(self.variables, default=str),
            ]
        )
        if not result.success:
            raise AnchorlineError(
                "dbt cannot read the project. Correct what is named below.",
                details=str(result.exception or "dbt said no more"),
            )
        self._manifest = _without_tests(result.result)

    def _make_runner(self, manifest: Any) -> Any:
        from dbt.cli.main import dbtRunner

        from anchorline.lean_dbt import make_lean, make_quiet, write_failures_only

        make_lean()
        make_quiet(heard=frozenset(("NodeFinished", "ConcurrencyLine")))
        write_failures_only()
        return dbtRunner(manifest=manifest, callbacks=[self._hear])

    def _globals(self) -> list[str]:
        return [
            *("--quiet", "--no-use-colors", "--no-write-json", "--no-send-anonymous-usage-stats"),
            *("--log-level", "none", "--log-level-file", "none"),
        ]

    def _locations(self) -> list[str]:
        return [
            *("--target", self.target),
            *("--project-dir", str(self._project), "--profiles-dir", str(self._project)),
            *("--target-path", str(self._artifacts)),
        ]

    def _hear(self, event: Any) -> None:
        """Count the nodes as they end; called by dbt's threads."""
        name = event.info.name
        if name == "NodeFinished":
            self._forget_query(str(event.data.node_info.unique_id))
            if self._on_node is not None:
                with self._lock:
                    self._done += 1
                    self._on_node(str(event.data.node_info.node_name), self._done, self._total)
        elif name == "ConcurrencyLine":
            self._total = int(getattr(event.data, "node_count", 0) or 0)

    def _forget_query(self, unique_id: str) -> None:
        """Drop what dbt has compiled for a node that has ended, and would keep until the next run.

        The queries of a refresh name the ids that it examines, which may be tens of thousands.
        """
        node = self._manifest.nodes.get(unique_id)
        if node is not None and getattr(node, "compiled_code", None):
            node.compiled_code = None


def _without_tests(manifest: Any) -> Any:
    """Return the manifest without tests, which no refresh runs, and which are most of its nodes."""
    for unique_id in [
        unique_id for unique_id, node in manifest.nodes.items() if node.resource_type == "test"
    ]:
        del manifest.nodes[unique_id]
    manifest.unit_tests.clear()
    return manifest


def _fingerprint(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _invocation_id() -> str:
    from dbt_common.invocation import get_invocation_id

    return str(get_invocation_id())


def _short(text: str, lines: int = 12) -> str:
    """Return the first lines of an error, without dbt's own indentation."""
    cleaned = [line.strip() for line in text.splitlines() if line.strip()]
    return "\n".join(cleaned[:lines])
