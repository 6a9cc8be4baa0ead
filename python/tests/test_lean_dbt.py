"""What dbt is made to do in less time is what it did before."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.adapters.cache import RelationsCache
from dbt.adapters.postgres.impl import PostgresAdapter
from dbt.adapters.postgres.relation import PostgresRelation
from dbt.artifacts.resources.v1.components import InjectedCTE
from dbt.artifacts.schemas.results import NodeStatus
from dbt.clients.jinja import MacroGenerator, MacroStack
from dbt.compilation import Linker
from dbt.context.exceptions_jinja import wrapped_exports
from dbt.context.macros import MacroNamespace
from dbt.exceptions import CompilationError, DbtRuntimeError
from dbt_common.behavior_flags import BehaviorFlagRendered
from dbt_common.clients import agate_helper
from dbt_common.clients.jinja import (
    BaseMacroGenerator,
    CallableMacroGenerator,
    MacroFuzzEnvironment,
    MacroFuzzTemplate,
    MacroReturn,
    NativeSandboxEnvironment,
    NativeSandboxTemplate,
)
from jinja2 import Template
from jinja2.runtime import Context

from anchorline import lean_dbt
from devtools.compiled_models import ParsedProject

CTES = [
    InjectedCTE(id="one", sql=" one as (select 1 as a)"),
    InjectedCTE(id="two", sql=" two as (select 'with' as b)"),
]


@pytest.mark.parametrize(
    "query",
    [
        "with own as (select * from one) select * from own",
        "WITH own AS (SELECT 1) SELECT 1",
        "\n\n-- with comments;\n/* and\nwith */ with\nrecursive own as (select 1) select 1",
        "with recursive_ as (select 1) select 1",
        "/* /* nested */ */ with own as (select 1) select 1",
        "select * from (with own as (select 1) select * from own) as x",
        "select 1 as within",
        "withdrawn",
        "-- only a comment",
        "",
    ],
)
@pytest.mark.parametrize("ctes", [CTES, CTES[:1], []])
def test_ctes_are_put_where_dbt_puts_them(query: str, ctes: list[InjectedCTE]) -> None:
    def outcome(inject: object) -> object:
        try:
            return inject(query, ctes)  # type: ignore[operator]
        except Exception as error:
            return repr(error)

    assert outcome(lean_dbt.inject_ctes) == outcome(lean_dbt._inject_ctes)


def test_flags_come_from_where_dbt_finds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def source(find: Callable[[], str]) -> str:
        monkeypatch.setattr(BehaviorFlagRendered, "_default_source", staticmethod(find))
        adapter = object.__new__(PostgresAdapter)
        adapter.config = SimpleNamespace(flags={})
        adapter.behavior = [{"name": "tried", "default": True, "description": "of this test"}]
        return adapter.behavior.tried._behavior_change_event.flag_source

    found = source(lean_dbt._default_source)
    assert source(lean_dbt._source_of_flags) == found
    assert found != "Unknown"


@pytest.mark.parametrize("name", ["local", "macro", "shared", "of_dbt", "nothing", "empty"])
def test_names_mean_what_they_mean_to_dbt(name: str) -> None:
    layers = ChainMap({"macro": 1, "shared": 2}, ChainMap({"shared": 3, "of_dbt": 4}))
    environment = MacroFuzzEnvironment()

    def found(kind: type[Context]) -> object:
        context = kind(environment, layers, None, {}, {})  # type: ignore[arg-type]
        context.vars |= {"local": 5, "empty": None}
        return context.resolve_or_missing(name)

    assert found(lean_dbt.Names) is found(Context)


@pytest.mark.parametrize("name", ["config", "own", "builtin", "project", "dbt", "nothing"])
def test_names_of_macros_come_before_those_of_dbt(name: str) -> None:
    """As in the names of a node: what was set, the macros of all packages, what dbt gives."""
    of_dbt, of_project = ({"builtin": "m0", "own": "m1"}, {"own": "m2", "project": "m3"})
    packages = [of_project, {}, {"anchorline": of_project}, {"dbt": of_dbt}, of_dbt]
    names = ChainMap[str, Any](
        {"context": None},
        MacroNamespace({}, None, None, packages),  # type: ignore[arg-type]
        {"config": 1, "project": 2},
    )
    environment = MacroFuzzEnvironment()

    def found(kind: type[Context]) -> list[object]:
        context = kind(environment, names, None, {}, {})  # type: ignore[arg-type]
        values = [context.resolve_or_missing(name) for _ in range(2)]
        names[name] = "set"
        values.append(context.resolve_or_missing(name))
        del names[name]
        return values

    assert found(lean_dbt.Names) == found(Context) == found(lean_dbt.Names)


def test_exceptions_name_the_node_as_those_of_dbt_do() -> None:
    model = SimpleNamespace(name="of_this_test")

    def raised(exports: dict[str, Any]) -> tuple[object, ...]:
        with pytest.raises(DbtRuntimeError) as error:
            exports["raise_compiler_error"]("wrong")
        return type(error.value), str(error.value.msg), error.value.node

    lean, of_dbt = lean_dbt._exports(model), wrapped_exports(model)
    assert lean.keys() == of_dbt.keys()
    assert raised(lean) == raised(of_dbt) == (CompilationError, "wrong", model)


@pytest.mark.parametrize(
    "value", ["{{ macro('a') }}", "{{ 1 + 1 }}", "a {{ macro(x) }} b", "[1, {{ x }}]", "[1, 'a']"]
)
def test_arguments_of_tests_are_what_they_are_to_dbt(value: str) -> None:
    names = {"macro": lambda text: f"<{text}>", "x": 7}

    class Lean(NativeSandboxTemplate):
        new_context = MacroFuzzTemplate.new_context

    class OfJinja(NativeSandboxTemplate):
        new_context = Template.new_context

    def rendered(template: type[NativeSandboxTemplate]) -> object:
        made = NativeSandboxEnvironment().from_string(value, template_class=template)
        return made.render(ChainMap({"context": None}, names))

    assert rendered(Lean) == rendered(OfJinja)


def test_macros_belong_to_the_node_that_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "counted_down"
    source = """
        {% macro counted_down(count, word='of') %}
            {%- if count %}{{ count }} {{ word }} {{ of_node }} {{ counted_down(count - 1, 'x') }}
            {%- endif -%}
        {% endmacro %}
    """

    def said(get_macro: object) -> list[str]:
        monkeypatch.setattr(BaseMacroGenerator, "get_macro", get_macro)
        texts = []
        for node in ("a", "b"):
            context = ChainMap[str, Any]({"of_node": node})
            macro = CallableMacroGenerator(SimpleNamespace(name=name, macro_sql=source), context)  # type: ignore[arg-type]
            context[name] = macro
            texts += [macro(3), macro(1, word="last")]
            context["of_node"] = "changed"
            texts.append(macro(2))
        return texts

    assert said(lean_dbt._macro_of_context) == said(lean_dbt._get_macro)
    assert len(set(said(lean_dbt._macro_of_context))) == 5


CALLS = {
    "counted": "(count) %}{{ return(count + 1) }}",
    "said": "(count) %}[{{ counted(count) }}{{ said(count - 1) if count else of_node }}]",
    "wrong_type": "(x) %}{{ said(x) }}{{ 1 + none }}",
    "too_many": "() %}{{ counted(1, 2) }}",
    "refused": "() %}{{ refuse() }}",
    "refused_below": "() %}{{ said(1) }}{{ refused() }}",
    "not_caught": "() %}{{ lose() }}",
    "no_macro": "",
}


@pytest.mark.parametrize("with_stack", [True, False])
@pytest.mark.parametrize(
    "call", ["counted", "said", "wrong_type", "too_many", "refused_below", "not_caught", "no_macro"]
)
def test_macros_are_called_as_dbt_calls_them(call: str, with_stack: bool) -> None:
    """What they return, how they fail, and what the node is said to depend on."""

    def give_back(value: object) -> None:
        raise MacroReturn(value)

    def refuse() -> None:
        raise CompilationError("refused")

    def lose() -> None:
        raise ConnectionError("lost")

    def called(how: Any) -> tuple[object, ...]:
        class Generator(MacroGenerator):
            __call__ = how

        used: list[str] = []
        node = SimpleNamespace(depends_on=SimpleNamespace(add_macro=used.append))
        stack = MacroStack()
        context = ChainMap[str, Any](
            {"return": give_back, "refuse": refuse, "lose": lose, "of_node": "!"}
        )
        for name, rest in CALLS.items():
            source = f"{{% macro {name}{rest}{{% endmacro %}}" if rest else "no macro"
            macro = SimpleNamespace(name=name, macro_sql=source, unique_id=f"macro.{name}")
            given = (context, node, stack) if with_stack else (context,)
            context[name] = Generator(macro, *given)  # type: ignore[arg-type]
        arguments = (2,) if call in ("counted", "said", "wrong_type") else ()
        try:
            outcome: object = context[call](*arguments)
        except Exception as error:
            below = [macro.name for macro in getattr(error, "stack", ())]
            outcome = (type(error), str(error), below)
        return outcome, used, stack.call_stack

    of_dbt = called(lean_dbt._call_macro_anew)
    assert called(lean_dbt._call_macro) == of_dbt
    assert of_dbt[1:] == ([f"macro.{call}"] if with_stack else [], [])
    assert (type(of_dbt[0]) is tuple) == (call not in ("counted", "said"))


@pytest.mark.parametrize(
    "name", ["states", "States", "STATES", "of no table", "of_no_table", "a.b", None]
)
@pytest.mark.parametrize("schema", ["marts", "Marts", "not_read"])
@pytest.mark.parametrize("quoted", [True, False])
def test_relations_are_those_that_dbt_finds(
    name: str | None, schema: str, quoted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = object.__new__(PostgresAdapter)
    quoting = {"database": quoted, "schema": quoted, "identifier": quoted}
    adapter.config = SimpleNamespace(quoting=quoting)  # type: ignore[assignment]
    adapter.cache = RelationsCache()
    adapter.cache.update_schemas([("farm", "marts")])
    for table in ("states", "weeks", "a.b", "of no table at all"):
        relation = PostgresRelation.create(database="farm", schema="marts", identifier=table)
        adapter.cache.add(relation)
    unread = PostgresRelation.create(database="farm", schema="not_read", identifier="states")
    monkeypatch.setattr(PostgresAdapter, "nice_connection_name", lambda _: "none")
    monkeypatch.setattr(PostgresAdapter, "list_relations_without_caching", lambda *_: [unread])

    def found(get: Any) -> tuple[type, str]:
        try:
            relation = get(adapter, "farm", schema, name)
        except DbtRuntimeError as error:
            return type(error), str(error)
        return type(relation), str(relation)

    of_dbt = found(lean_dbt._get_relation)
    adapter.cache.schemas = {("farm", "marts")}
    assert found(lean_dbt._relation) == of_dbt
    if (schema, name) == ("marts", "states"):
        assert of_dbt == (PostgresRelation, '"farm"."marts"."states"')


@pytest.mark.parametrize("status", [*NodeStatus, None])
def test_queries_are_written_where_their_node_does_not_succeed(
    status: NodeStatus | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself, where one runs in another; those outside of nodes at once, as by dbt."""
    written: list[str] = []
    monkeypatch.setattr(lean_dbt, "_write_query", lambda *given: written.append(given[2]))

    def run(runner: Any, _: object) -> object:
        lean_dbt._note_query(runner.node, "/project", f"compiled/{runner.node}", "select 1")
        if runner.node == "outer":
            lean_dbt._run_node(SimpleNamespace(node="inner", config=runner.config), None)  # type: ignore[arg-type]
        lean_dbt._note_query(runner.node, "/project", f"run/{runner.node}", "select 1")
        if status is None:
            raise KeyboardInterrupt
        return SimpleNamespace(status=NodeStatus.Success if runner.node == "inner" else status)

    monkeypatch.setattr(lean_dbt, "_run_node_anew", run)
    runner: Any = SimpleNamespace(node="outer", config=SimpleNamespace(project_root="/project"))
    if status is None:
        with pytest.raises(KeyboardInterrupt):
            lean_dbt._run_node(runner, None)  # type: ignore[arg-type]
    else:
        lean_dbt._run_node(runner, None)  # type: ignore[arg-type]
    of_outer = ["compiled/outer", "run/outer"]
    assert written == ([] if status in (NodeStatus.Success, NodeStatus.Pass, None) else of_outer)
    written.clear()
    lean_dbt._note_query("of no run", "/project", "compiled/alone", "select 1")  # type: ignore[arg-type]
    assert written == ["compiled/alone"]


def test_a_full_disk_does_not_hide_why_a_node_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(runner: Any, _: object) -> object:
        lean_dbt._note_query(runner.node, "/project", "run/a", "select 1")
        return SimpleNamespace(status=NodeStatus.Error, message="of the node")

    def write(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(lean_dbt, "_run_node_anew", run)
    monkeypatch.setattr(lean_dbt, "_write_query", write)
    runner: Any = SimpleNamespace(node="a", config=SimpleNamespace(project_root="/project"))
    assert lean_dbt._run_node(runner, None).message == "of the node"  # type: ignore[arg-type]


def test_columns_are_of_the_types_that_dbt_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        {"a": "005", "b": "null", "c": 1, "d": "2024-02-29", "e": None, "f": True},
        {"a": "", "b": "x", "c": 2.5, "d": None, "e": None, "f": False},
    ]

    def told(type_tester: object) -> list[object]:
        monkeypatch.setattr(agate_helper, "build_type_tester", type_tester)
        tables = [agate_helper.table_from_data_flat(rows, names) for names in ("abc", "abcdef")]
        tables += [agate_helper.table_from_rows([["1", "x"]], "ab", text) for text in (["a"], None)]
        return [
            [
                (type(kind), column.values())
                for kind, column in zip(t.column_types, t.columns, strict=True)
            ]
            for t in (*tables, *tables)
        ]

    assert told(lean_dbt._type_tester) == told(lean_dbt._build_type_tester.__wrapped__)


def test_the_graph_is_the_one_that_dbt_makes(parsed_project: ParsedProject) -> None:
    manifest = parsed_project.of("demo")
    linker = Linker()
    linker.link_graph(manifest)
    summary = lean_dbt._graph_summary(linker, manifest)
    assert summary == lean_dbt._graph_summary_anew(linker, manifest)
    assert len(summary) > 500
    assert lean_dbt._find_cycles(linker) is lean_dbt._find_cycles(linker) is None
    first, *_, last = linker.graph.edges
    linker.dependency(first[0], last[1])
    linker.dependency(last[1], first[0])
    assert lean_dbt._find_cycles(linker) == lean_dbt._find_cycles_anew(linker) != None  # noqa: E711
