"""The models as dbt compiles them, run on any raw rows inside one transaction.

A full `dbt build` of a small farm takes 15 s, nearly all of it dbt's own time. Here dbt compiles
once; the compiled queries then run in their order, in one transaction that is taken back, so that
thousands of small farms can be tried against one database. The tables of the models are empty
before and after.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Final
from unittest import mock

import psycopg
from dbt.cli.main import dbtRunner
from psycopg import Connection, sql

from anchorline import settings
from anchorline.lean_dbt import make_lean, make_quiet
from anchorline.raw.schema import OLDER_COLUMNS, create_raw_tables

TARGET: Final = "prod"
SCHEMA: Final = "anchorline"
"""What the names of that target's schemas begin with."""
RAW_SCHEMA: Final = "public"
_COMPILED: Final = ("model", "test", "snapshot")


@dataclass(frozen=True)
class Model:
    """One model: its name, relation, materialization, indexes, compiled query and parents.

    A partial index is what stands behind the table's name when it is made.
    """

    name: str
    schema: str
    materialized: str
    query: str
    parents: tuple[str, ...]
    indexes: tuple[Mapping[str, Any], ...]
    partial_indexes: tuple[str, ...] = ()

    @property
    def relation(self) -> sql.Identifier:
        """The quoted name of its table or view."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class DataTest:
    """A data test that stops a build: its query and the models and seeds that it reads."""

    name: str
    query: str
    parents: frozenset[str]


@dataclass(frozen=True)
class CompiledProject:
    """All models in an order in which each comes after its parents, and the data tests.

    Those of severity error, which stop a build where they fail. The queries name no database:
    they run in any copy of the one that they were compiled for.
    """

    models: tuple[Model, ...]
    data_tests: tuple[DataTest, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all models, parents first."""
        return tuple(model.name for model in self.models)

    def with_ancestors(self, wanted: Collection[str]) -> frozenset[str]:
        """Return the wanted models and all that they are built from."""
        found = set(wanted)
        for model in reversed(self.models):
            if model.name in found:
                found.update(model.parents)
        return frozenset(found)

    def with_descendants(self, changed: Collection[str]) -> frozenset[str]:
        """Return the changed models and all that is built from them."""
        found = set(changed)
        for model in self.models:
            if found.intersection(model.parents):
                found.add(model.name)
        return frozenset(found)


class Dbt:
    """dbt in this process, on one database. It parses the project once, whatever the variables.

    It takes the project as it was parsed before for this database, where it is given one.
    """

    def __init__(self, url: str, manifest: Any = None) -> None:
        parameters = psycopg.conninfo.conninfo_to_dict(url)
        names = {"host": "HOST", "port": "PORT", "user": "USER", "dbname": "DATABASE"}
        self.url = url
        self.database = str(parameters["dbname"])
        self._environment = {
            **{f"PG{name}": str(parameters[key]) for key, name in names.items()},
            "PGPASSWORD": str(parameters.get("password", "")),
        }
        self._manifest = manifest

    def run(
        self,
        command: str,
        folder: Path,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
        with_json: bool = False,
    ) -> None:
        """Run a command; raise RuntimeError where it fails.

        `folder` receives the queries and, `with_json`, dbt's artifacts.
        """
        kept = "--write-json" if with_json else "--no-write-json"
        self._run(command, folder, kept, *arguments, variables=variables)

    def nodes(
        self,
        command: str,
        folder: Path,
        *arguments: str,
        variables: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """Run a command; return what it selected as dbt's nodes, with their compiled queries."""
        done = self._run(command, folder, "--no-write-json", *arguments, variables=variables)
        return [result.node for result in done.results]

    def query(
        self, model: str, folder: Path, *arguments: str, variables: Mapping[str, Any] | None = None
    ) -> str:
        """Return the compiled query of a model; its tests are compiled with it."""
        nodes = self.nodes("compile", folder, "--select", model, *arguments, variables=variables)
        (query,) = (str(node.compiled_code) for node in nodes if node.name == model)
        return query

    def _run(
        self,
        command: str,
        folder: Path,
        kept: str,
        *arguments: str,
        variables: Mapping[str, Any] | None,
    ) -> Any:
        self.manifest(folder)
        return self._invoke([kept, *command.split(), *arguments, *_vars(variables)], folder)

    def manifest(self, folder: Path) -> Any:
        """Return the project as its commands take it."""
        if self._manifest is None:
            self._manifest = self.parse(folder, "--no-partial-parse")
        return self._manifest

    def parse(
        self, folder: Path, *arguments: str, variables: Mapping[str, Any] | None = None
    ) -> Any:
        """Return the project as dbt reads it for this database."""
        return self._invoke(["--no-write-json", "parse", *arguments, *_vars(variables)], folder)

    def _invoke(self, arguments: list[str], folder: Path) -> Any:
        project = str(settings.project_folder())
        command = [
            *("--quiet", "--no-use-colors", "--log-level", "none", "--log-level-file", "none"),
            *arguments,
            *("--target", TARGET, "--target-path", str(folder)),
            *("--project-dir", project, "--profiles-dir", project),
        ]
        make_lean()
        make_quiet(heard=frozenset())
        with mock.patch.dict(os.environ, self._environment):
            done = dbtRunner(manifest=self._manifest).invoke(command)
        if not done.success:
            failed = [
                f"{one.node.name}: {one.message}"
                for one in getattr(done.result, "results", ())
                if str(one.status) in ("error", "fail")
            ]
            raise RuntimeError(f"dbt {arguments[0]} failed: {done.exception or failed}")
        return done.result


@dataclass(frozen=True)
class ParsedProject:
    """The project as dbt has parsed it for one database, for all others of that server.

    A parse takes dbt longer than most builds of a small farm; another database only has another
    name, and another target other schemas.
    """

    pickled: bytes

    @classmethod
    def parse(
        cls, dbt: Dbt, folder: Path, *, variables: Mapping[str, Any] | None = None
    ) -> ParsedProject:
        """Let dbt read the project; `folder` receives its artifacts."""
        manifest = dbt.parse(folder, "--no-partial-parse", variables=variables)
        return cls(pickle.dumps(manifest))

    def of(self, database: str, schema: str = SCHEMA) -> Any:
        """Return the project as dbt would parse it for a database and a target's schema."""
        manifest = pickle.loads(self.pickled)  # noqa: S301

        def own(name: str) -> str:
            of_target = f"{name}_".startswith(f"{SCHEMA}_")
            return schema + name.removeprefix(SCHEMA) if of_target else name

        for test in manifest.unit_tests.values():
            test.schema = own(test.schema)
        for node in (*manifest.nodes.values(), *manifest.sources.values()):
            before = f'"{node.database}"."{node.schema}".'
            node.database, node.schema = database, own(node.schema)
            if node.relation_name:
                node.relation_name = node.relation_name.replace(
                    before, f'"{database}"."{node.schema}".', 1
                )
        manifest.build_flat_graph()
        return manifest


def _vars(variables: Mapping[str, Any] | None) -> tuple[str, str]:
    return "--vars", json.dumps(dict(variables or {}))


def compile_project(
    dbt: Dbt, folder: Path, *, variables: Mapping[str, Any] | None = None
) -> CompiledProject:
    """Let dbt compile the project for a database that holds the raw tables and the seeds.

    `folder` receives the queries; two compilations need two folders.
    """
    compiled = dbt.nodes("compile", folder, "--full-refresh", variables=variables)
    nodes = {node.unique_id: node for node in compiled if node.resource_type in _COMPILED}
    histories = _of_snapshots(nodes)
    models: dict[str, Model] = {}
    data_tests: list[DataTest] = []
    for node in nodes.values():
        if not histories.isdisjoint((node.unique_id, *node.depends_on.nodes)):
            continue
        if node.resource_type == "model":
            models[node.name] = Model(
                name=node.name,
                schema=node.schema,
                materialized=node.config.materialized,
                query=without_database(node.compiled_code, dbt.database),
                parents=tuple(
                    parent.split(".")[-1]
                    for parent in node.depends_on.nodes
                    if parent.startswith("model.")
                ),
                indexes=tuple(node.config.get("indexes") or ()),
                partial_indexes=tuple(node.config.get("partial_indexes") or ()),
            )
        elif node.resource_type == "test" and node.config.severity.lower() == "error":
            data_tests.append(
                DataTest(
                    name=node.name,
                    query=without_database(node.compiled_code, dbt.database),
                    parents=frozenset(
                        parent.split(".")[-1]
                        for parent in node.depends_on.nodes
                        if parent.startswith(("model.", "seed."))
                    ),
                )
            )
    order = TopologicalSorter({name: model.parents for name, model in models.items()})
    return CompiledProject(
        models=tuple(models[name] for name in order.static_order()),
        data_tests=tuple(data_tests),
    )


def without_database(text: str, database: str) -> str:
    """Leave the database's name out of a compiled query: it runs in copies of the database."""
    return text.replace(f'"{database}".', "")


def _of_snapshots(nodes: Mapping[str, Any]) -> frozenset[str]:
    """Return the ids of snapshots and of what is made from them: no query fills a history."""
    snapshots = {key for key, node in nodes.items() if node.resource_type == "snapshot"}
    return frozenset(snapshots).union(
        key
        for key, node in nodes.items()
        if node.resource_type == "model" and not snapshots.isdisjoint(node.depends_on.nodes)
    )


def prepare_database(
    dbt: Dbt, folder: Path, *, variables: Mapping[str, Any] | None = None
) -> CompiledProject:
    """Make the raw tables, without their constraints, the seeds, and all models, empty.

    Without constraints, because the models must bear rows that a constraint keeps out today:
    older instances hold them. The columns that only older instances have are there, too.
    """
    with psycopg.connect(dbt.url) as connection:
        create_raw_tables(connection, RAW_SCHEMA)
        _add_older_columns(connection)
        _drop_constraints(connection)
    dbt.run("seed", folder / "seed")
    with psycopg.connect(dbt.url) as connection:
        connection.execute(
            "alter table anchorline_ops.calibrated_tgc "
            "drop constraint calibrated_tgc_calibration_id_fkey"
        )
    project = compile_project(dbt, folder / "models", variables=variables)
    with psycopg.connect(dbt.url) as connection:
        for model in project.models:
            connection.execute(
                sql.SQL("create schema if not exists {}").format(sql.Identifier(model.schema))
            )
            kind = sql.SQL("view" if model.materialized == "view" else "table")
            connection.execute(
                sql.SQL("create {} {} as {}{}").format(
                    kind,
                    model.relation,
                    sql.SQL(model.query),
                    sql.SQL("" if model.materialized == "view" else " with no data"),
                )
            )
            for index in model.indexes:
                connection.execute(
                    sql.SQL("create {} on {} ({})").format(
                        sql.SQL("unique index" if index.get("unique") else "index"),
                        model.relation,
                        sql.SQL(", ").join(map(sql.Identifier, index["columns"])),
                    )
                )
            for partial in model.partial_indexes:
                connection.execute(
                    sql.SQL("create index on {} {}").format(model.relation, sql.SQL(partial))
                )
    return project


def replace_views(connection: Connection, project: CompiledProject) -> None:
    """Give a prepared database the views of a project that was compiled with other variables."""
    for model in project.models:
        if model.materialized == "view":
            connection.execute(
                sql.SQL("create or replace view {} as {}").format(
                    model.relation, sql.SQL(model.query)
                )
            )


@contextmanager
def taken_back(connection: Connection) -> Iterator[None]:
    """Take back, at the end of the block, all that was done in it."""
    with connection.transaction(force_rollback=True):
        connection.execute("set local jit = off")
        connection.execute("set local enable_mergejoin = off")
        yield


def prepare_filling(connection: Connection, project: CompiledProject) -> dict[str, sql.Composed]:
    """Let the server prepare what fills the tables of the models; return what calls it, by model.

    Called in that order they fill all tables from the raw rows, parents first; views are there
    already. A model's plan costs more than its few rows: a session plans it once.
    """
    # where psycopg prepares statements by itself, it drops all of the session's at a rollback
    connection.prepare_threshold = None
    columns_of = _columns(connection, project)
    calls: dict[str, sql.Composed] = {}
    for number, model in enumerate(project.models):
        if model.materialized == "view":
            continue
        columns = sql.SQL(", ").join(map(sql.Identifier, columns_of[model.schema, model.name]))
        name = sql.Identifier(f"fill_{number}")
        connection.execute(
            sql.SQL("prepare {} as insert into {} ({}) select {} from ({}) as model").format(
                name, model.relation, columns, columns, sql.SQL(model.query)
            )
        )
        calls[model.name] = sql.SQL("execute {}").format(name)
    return calls


def _columns(connection: Connection, project: CompiledProject) -> dict[tuple[str, str], list[str]]:
    """Return the columns of all models, by schema and name."""
    rows = connection.execute(
        """
        select nspname, relname, array_agg(attname::text order by attnum)
        from pg_catalog.pg_attribute
        inner join pg_catalog.pg_class on attrelid = pg_class.oid
        inner join pg_catalog.pg_namespace on relnamespace = pg_namespace.oid
        where nspname = any(%s) and attnum > 0 and not attisdropped
        group by nspname, relname
        """,
        (sorted({model.schema for model in project.models}),),
    ).fetchall()
    return {(schema, name): columns for schema, name, columns in rows}


def _add_older_columns(connection: Connection) -> None:
    for table, columns in OLDER_COLUMNS.items():
        for name, kind in columns.items():
            connection.execute(
                sql.SQL("alter table {} add column {} {}").format(
                    sql.Identifier(RAW_SCHEMA, table), sql.Identifier(name), sql.SQL(kind)
                )
            )


def _drop_constraints(connection: Connection) -> None:
    connection.execute(
        """
        do $$
        declare
            statement text;
        begin
            for statement in
                select format(
                    'alter table %s drop constraint %I', conrelid::regclass, conname
                )
                from pg_constraint
                where connamespace = 'public'::regnamespace and contype in ('f', 'u', 'c')
                union all
                select format('drop index %s', indexrelid::regclass)
                from pg_index
                inner join pg_class on indrelid = pg_class.oid
                where
                    relnamespace = 'public'::regnamespace
                    and indisunique
                    and not indisprimary
                union all
                select format(
                    'alter table %s alter column %I drop not null', pg_class.oid::regclass, attname
                )
                from pg_attribute
                inner join pg_class on attrelid = pg_class.oid
                where
                    relnamespace = 'public'::regnamespace
                    and relkind = 'r'
                    and attnum > 0
                    and attnotnull
                    and attidentity = ''
            loop
                execute statement;
            end loop;
        end
        $$
        """
    )
