"""dbt in this process, without what it does at each node for nothing.

    python -m anchorline.lean_dbt build --target prod

is `dbt build --target prod`, with the same messages, log and artifacts. A refresh of one batch runs
some 70 models that replace a few rows each: what dbt does around them takes longer than their
queries. So do most data tests.
"""

from __future__ import annotations

import re
import sys
from collections import ChainMap, deque
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from functools import cache, partial
from types import CodeType
from typing import Any, Final

import psycopg2  # type: ignore[import-untyped]
from dbt import compilation
from dbt.adapters.base.impl import BaseAdapter
from dbt.adapters.contracts.connection import ConnectionState
from dbt.adapters.postgres.connections import PostgresConnectionManager
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.adapters.reference_keys import _ReferenceKey
from dbt.artifacts.resources.v1.components import InjectedCTE
from dbt.artifacts.schemas.results import NodeStatus
from dbt.cli.main import cli
from dbt.clients.jinja import MacroGenerator
from dbt.context import base, providers
from dbt.context.exceptions_jinja import CONTEXT_EXPORTS
from dbt.context.macros import MacroNamespace
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ParsedNode
from dbt.task.base import BaseRunner
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import (
    BaseMacroGenerator,
    MacroFuzzEnvironment,
    MacroFuzzTemplate,
    NativeSandboxTemplate,
)
from dbt_common.events.base_types import BaseEvent, EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.event_manager_client import ctx_set_event_manager
from dbt_common.exceptions import CompilationError, DbtRuntimeError
from dbt_common.exceptions.macros import CaughtMacroErrorWithNodeError, MacroReturn
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.utils import missing

KEPT: Final = ("model.", "test.", "unit_test.")
"""How the names of connections begin that are kept: nodes that end their transaction."""


def make_lean() -> None:
    """Keep dbt's connections from node to node, and what it has compiled from run to run.

    It holds for all runs of dbt in this process. What it puts in place of dbt's own functions gives
    what those give, and is compared with them in `test_lean_dbt.py`: look at both when dbt changes.
    """
    PostgresAdapter.ConnectionManager = KeptConnections
    compilation.inject_ctes_into_sql = inject_ctes
    compilation.Linker.find_cycles = _find_cycles  # type: ignore[method-assign]
    compilation.Linker.get_graph_summary = _graph_summary  # type: ignore[assignment, method-assign]
    MacroFuzzEnvironment.compile = _compile_once  # type: ignore[assignment]
    agate_helper.empty_table = _empty_table
    agate_helper.build_type_tester = _type_tester
    MacroFuzzEnvironment.context_class = Names
    base.get_context_modules = _context_modules
    providers.wrapped_exports = _exports  # type: ignore[attr-defined]
    BaseAdapter.get_relation = _relation  # type: ignore[method-assign]
    BaseMacroGenerator.get_macro = _macro_of_context  # type: ignore[assignment]
    MacroGenerator.__call__ = _call_macro  # type: ignore[assignment, method-assign]
    NativeSandboxTemplate.new_context = MacroFuzzTemplate.new_context  # type: ignore[assignment]
    BehaviorFlagRendered._default_source = staticmethod(_source_of_flags)  # type: ignore[method-assign]


def make_quiet(heard: frozenset[str]) -> None:
    """Make no messages but of the events named, of warnings and of errors: nobody hears others."""
    ctx_set_event_manager(HeardEvents(heard))
    BaseEvent.__init__ = _note_event  # type: ignore[method-assign, assignment]
    BaseEvent.__getattr__ = _read_event  # type: ignore[method-assign]


def write_failures_only() -> None:
    """Write the queries of nodes to `target` only where they fail."""
    BaseRunner.safe_run = _run_node  # type: ignore[assignment, method-assign]
    ParsedNode.write_node = _note_query  # type: ignore[assignment, method-assign]


class KeptConnections(PostgresConnectionManager):
    """Connections that a thread keeps from node to node; dbt closes all at the end of a run.

    dbt-postgres closes its connection after each node. A new one costs both sides the login, and
    the server the catalog, which each session reads for itself. Other adapters of dbt keep theirs
    by a setting (`reuse_connections`); this one has none.
    """

    def release(self) -> None:
        """Roll back what a node has left open; close what is not to be kept, or broken."""
        connection = self.get_if_exists()
        if (
            connection is not None
            and connection.state == ConnectionState.OPEN
            and str(connection.name).startswith(KEPT)
        ):
            try:
                connection.handle.rollback()
            except psycopg2.Error:
                super().release()
            else:
                connection.transaction_open = False
        else:
            super().release()


_inject_ctes = compilation.inject_ctes_into_sql
_WITH: Final = re.compile(
    r"(?: \s | --[^\n]*\n | /\*.*?\*/ )* with \b (?: \s+ recursive \b )? \s*",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


def inject_ctes(sql: str, ctes: list[InjectedCTE]) -> str:
    """Put CTEs, such as the inputs of a unit test, before those of a query.

    dbt parses the whole query to find its `with`. Nearly all begin with it.
    """
    found = _WITH.match(sql)
    if not ctes or found is None:
        return _inject_ctes(sql, ctes)
    return sql[: found.end()] + ", ".join(cte.sql for cte in ctes) + ", " + sql[found.end() :]


_find_cycles_anew = compilation.Linker.find_cycles
_graph_summary_anew = compilation.Linker.get_graph_summary
_without_cycles: deque[frozenset[tuple[str, str]]] = deque(maxlen=2)


def _find_cycles(linker: compilation.Linker) -> Any:
    """Look for cycles in a graph once; dbt looks in each run, at what it has parsed long ago."""
    edges = frozenset(linker.graph.edges)
    if edges in _without_cycles:
        return None
    found = _find_cycles_anew(linker)  # type: ignore[no-untyped-call]
    if found is None:
        _without_cycles.append(edges)
    return found


def _graph_summary(linker: compilation.Linker, manifest: Manifest) -> dict[int, dict[str, Any]]:
    """Return what dbt writes to `graph_summary.json`; it turns all of each node to text for it."""
    numbers = {name: number for number, name in enumerate(linker.graph)}
    summary = {}
    for name, number in numbers.items():
        node = {"name": name, "type": manifest.expect(name).resource_type.value}
        successors = [numbers[successor] for successor in linker.graph.successors(name)]
        summary[number] = {**node, "succ": successors} if successors else node
    return summary


class HeardEvents(EventManager):
    """Events of which somebody hears: those named, warnings and errors.

    The others, ten for each query, are debug lines of a log that is off.
    """

    def __init__(self, heard: frozenset[str]) -> None:
        super().__init__()
        self._heard = heard

    def fire_event(
        self,
        e: BaseEvent,
        level: EventLevel | None = None,
        node: Any = None,
        force_warn_or_error_handling: bool = False,
    ) -> None:
        """Make the message of an event, where it is heard."""
        if (
            type(e).__name__ in self._heard
            or (level or e.level_tag()) in (EventLevel.WARN, EventLevel.ERROR)
            or force_warn_or_error_handling
        ):
            super().fire_event(e, level, node, force_warn_or_error_handling)


_make_message = BaseEvent.__init__


def _note_event(event: BaseEvent, *arguments: Any, **values: Any) -> None:
    """Keep what an event says: to make its message costs more than all else that is done of it."""
    object.__setattr__(event, "noted", (arguments, values))


def _read_event(event: BaseEvent, name: str) -> Any:
    """Make the message of an event when it is read for the first time."""
    if name != "pb_msg":
        return getattr(event.pb_msg, name)
    arguments, values = object.__getattribute__(event, "noted")
    _make_message(event, *arguments, **values)
    return object.__getattribute__(event, name)


_run_node_anew = BaseRunner.safe_run
_write_query = ParsedNode.write_node
_queries: ContextVar[list[tuple[str, str]] | None] = ContextVar("_queries", default=None)


def _run_node(runner: BaseRunner[Any, Any], manifest: Manifest) -> Any:
    """Run a node, and write its queries to `target` where it did not succeed.

    Nobody reads those of the others, and a refresh would write them over those of the one before:
    file systems put what replaces a file on the disk at once. Where they cannot be written, as on a
    full disk, the node's own error is still the one that is told.
    """
    queries: list[tuple[str, str]] = []
    outer = _queries.set(queries)
    try:
        result = _run_node_anew(runner, manifest)
    finally:
        _queries.reset(outer)
    if result.status not in (NodeStatus.Success, NodeStatus.Pass):
        with suppress(OSError):
            for path, query in queries:
                _write_query(runner.node, runner.config.project_root, path, query)
    return result


def _note_query(
    node: ParsedNode, project_root: str, compiled_path: str, compiled_code: str
) -> None:
    """Keep a query, as compiled or as run, until its node has ended."""
    queries = _queries.get()
    if queries is None:
        _write_query(node, project_root, compiled_path, compiled_code)
    else:
        queries.append((compiled_path, compiled_code))


_compile: Any = MacroFuzzEnvironment.compile
_compiled: dict[tuple[type, str, bool], CodeType] = {}


def _compile_once(
    environment: MacroFuzzEnvironment,
    source: Any,
    name: str | None = None,
    filename: str | None = None,
    raw: bool = False,
    defer_init: bool = False,
) -> Any:
    """Compile a template that this process has not compiled yet."""
    if raw or name or filename or not isinstance(source, str):
        return _compile(environment, source, name, filename, raw, defer_init)
    key = (type(environment), source, defer_init)
    if key not in _compiled:
        _compiled[key] = _compile(environment, source, defer_init=defer_init)
    return _compiled[key]


_context_modules = cache(base.get_context_modules)
_empty_table = cache(agate_helper.empty_table)
_build_type_tester = cache(agate_helper.build_type_tester)


def _type_tester(
    text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")
) -> Any:
    """Return what tells the types of columns, once for each set of columns that are texts."""
    nulls = None if string_null_values is None else tuple(string_null_values)
    return _build_type_tester(frozenset(text_columns), nulls)


class Names(Context):
    """The names that a template may use: those of its own, those of dbt and all macros."""

    def resolve_or_missing(self, key: str) -> Any:
        """Look a name up once; Jinja asks first whether there is one, in all of dbt's layers."""
        return self.vars[key] if key in self.vars else _found(self.parent, key)


def _found(names: Any, key: str) -> Any:
    """Look a name up layer by layer; one that is no macro's in all packages only once."""
    if type(names) is ChainMap:
        for layer in names.maps:
            value = _found(layer, key)
            if value is not missing:
                return value
        return missing
    are_macros = type(names) is MacroNamespace
    if are_macros and key in vars(names).setdefault("of_no_macro", set()):
        return missing
    try:
        return names[key]
    except KeyError:
        if are_macros:
            vars(names)["of_no_macro"].add(key)
        return missing


_get_macro = BaseMacroGenerator.get_macro


def _macro_of_context(generator: BaseMacroGenerator) -> Any:
    """Make a macro once for each node that calls it; dbt makes it anew for each call."""
    context: Any = generator.context
    if not isinstance(context, ChainMap):
        return _get_macro(generator)
    made = vars(context).setdefault("made_macros", {})
    template = generator.get_template()
    if template not in made:
        made[template] = _get_macro(generator)
    return made[template]


_call_macro_anew = MacroGenerator.__call__


def _call_macro(generator: MacroGenerator, *arguments: Any, **values: Any) -> Any:
    """Call a macro; dbt does so through three functions and two generators, a hundred a node."""
    macro: Any = generator.macro
    stack = generator.stack
    if stack is None or generator.context is None:
        return _call_macro_anew(generator, *arguments, **values)
    calls = stack.call_stack
    if not calls and generator.node:
        generator.node.depends_on.add_macro(macro.unique_id)
    calls.append(macro.unique_id)
    try:
        made = generator.get_macro()
        try:
            return made(*arguments, **values)
        except MacroReturn as returned:
            return returned.value
        except (TypeError, TemplateRuntimeError) as error:
            raise CaughtMacroErrorWithNodeError(exc=error, node=macro) from error
        except CompilationError as error:
            error.stack.append(macro)
            raise
    finally:
        calls.pop()


_get_relation: Any = BaseAdapter.get_relation


def _relation(adapter: BaseAdapter, database: str, schema: str, identifier: str) -> Any:
    """Look a relation up by its name; dbt compares all of its schema with it."""
    names = (database, schema, identifier)
    is_plain = all(isinstance(name, str) and name.isidentifier() for name in names)
    if not is_plain or (database, schema) not in adapter.cache:
        return _get_relation(adapter, *names)
    with adapter.cache.lock:
        known = adapter.cache.relations.get(_ReferenceKey(*map(str.lower, names)))
    return known.inner if known and adapter._make_match([known.inner], *names) else None


def _exports(model: Any) -> dict[str, Any]:
    """Return what `exceptions` holds in templates: functions that name their node where they fail.

    dbt dresses each of them, for each node, as the function that it calls.
    """
    return {name: partial(_raise_of, model, export) for name, export in CONTEXT_EXPORTS.items()}


def _raise_of(model: Any, export: Any, *arguments: Any, **values: Any) -> Any:
    try:
        return export(*arguments, **values)
    except DbtRuntimeError as error:
        error.add_node(model)
        raise


_default_source = BehaviorFlagRendered._default_source


def _source_of_flags() -> str:
    """Name the module that makes dbt's behavior flags: adapters do, in a base class.

    dbt looks for it on the stack, for each flag of each run: Python then reads the sources of all
    that stands there.
    """
    return BaseAdapter.__module__


if __name__ == "__main__":
    make_lean()
    sys.exit(cli(prog_name="dbt"))
