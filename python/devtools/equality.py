"""Does a refresh give what a rebuild gives? Random edits, a refresh after each, and a comparison.

    python -m devtools.equality --edits 500 --seed 7

loads a small demo farm into the database that the PG* variables name (it must be empty), builds
it, edits its raw tables at random (`devtools.edits`) and refreshes after each edit, by turns as a
scan and limited to the batches that the edit names. Now and then a run is stopped half way
before it, a model is run alone or rebuilt alone, an edit is undone, rules (engine version, vars,
seeds) or the as-of date change. From time to time all tables of the marts, and the intermediate
ones, are compared row for row and to the last bit with those of a full rebuild of the same
records under another target schema in the same database.

A difference is reported with the edits since the last good comparison; the seed makes it again.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
from dbt.cli.main import dbtRunner
from psycopg import sql

from anchorline import settings
from anchorline.events import queue
from anchorline.events.install import install, project_place
from anchorline.lean_dbt import make_lean, make_quiet, write_failures_only
from devtools.edits import Edit, Editor, loosen, thin_out

Connection = psycopg.Connection[Any]

FIRST_AS_OF: Final = date(2025, 1, 8)
REFRESHED: Final = "anchorline"
REBUILD_USER: Final = "rebuild"
REBUILT: Final = f"dev_{REBUILD_USER}"
LAYERS: Final = ("intermediate", "marts")
LEFT_OUT: Final = frozenset({"last_computed_at"})
"""Columns that say when a row was computed."""

MODELS: Final = "path:models/intermediate path:models/marts"
"""What a refresh runs: staging are views that change with the project only."""

ABOUT_REFRESHES: Final = frozenset(
    {
        *("refresh_log", "restatements", "scenario_history", "state_freshness"),
        *("int_batch_freshness", "forecast_history", "forecast_accuracy"),
    }
)
"""What tells of the refreshes, or keeps what they said: a rebuild has another history."""

_FLAGS: Final = (
    *("--quiet", "--no-use-colors", "--no-write-json", "--no-partial-parse"),
    *("--log-level", "none", "--log-level-file", "none", "--no-send-anonymous-usage-stats"),
)
_VARIABLES: Final[Mapping[str, Sequence[Any]]] = {
    "fcr_cap": (10, 2, 4),
    "min_gain_kg_for_fcr": (1, 20),
    "max_interpolation_gap_days": (14, 5),
    "max_nearest_gap_days": (7, 3),
    "inference_window_days": (1, 2),
    "min_inferred_cover": (0.5, 0.9),
    "max_transfer_mortality_share": (0.05, 0.5),
    "missing_mortality": ("model", "zero"),
    "health_samplings_are_anchors": (False, True),
    "stage_caps_enabled": (False, True),
    "timezone": ("UTC", "Pacific/Auckland"),
}
_SEEDS: Final[Mapping[str, tuple[str, str]]] = {
    "confidence_by_source": ("weight,unchanged,0.3", "weight,unchanged,0.25"),
    "selection_factors": ("LARGEST,0.88", "LARGEST,0.85"),
    "plausible_ranges": ("temp,°C,-2,30,", "temp,°C,-2,12,"),
    "growth_constants": ("default_start_weight_g,1,", "default_start_weight_g,2,"),
}


class DbtFailedError(Exception):
    """dbt could not run the models: that is not what is tried here."""


@dataclass
class Project:
    """A copy of the dbt project, whose rules may be changed, run in this process."""

    folder: Path
    variables: dict[str, Any]
    version: int = 0
    manifests: dict[tuple[int, str], Any] = field(default_factory=dict)
    rebuilt_rules: tuple[int, str] | None = None
    rules_of_views: tuple[int, str] | None = None

    @classmethod
    def copied(cls, folder: Path, variables: Mapping[str, Any]) -> Project:
        """Copy what dbt reads, but for unit tests and tests of data, which take time to parse."""
        original = settings.project_folder()
        folder.mkdir(parents=True)
        for name in ("macros", "models", "seeds", "tests", "snapshots", "analyses"):
            if (original / name).is_dir():
                shutil.copytree(
                    original / name,
                    folder / name,
                    ignore=shutil.ignore_patterns("*unit_tests.yml", "assert_*"),
                )
        for name in ("dbt_project.yml", "profiles.yml"):
            shutil.copy(original / name, folder / name)
        return cls(folder, dict(variables))

    def raise_engine_version(self) -> str:
        """Change the growth rules, as far as their version says so."""
        path = self.folder / "macros/growth/engine_version.sql"
        text = path.read_text(encoding="utf-8")
        found = re.search(r"return\((\d+)\)", text)
        if found is None:
            raise DbtFailedError(f"{path} names no version")
        version = int(found[1]) + 1
        path.write_text(text.replace(found[0], f"return({version})"), encoding="utf-8")
        self.version += 1
        return f"engine_version {version}"

    def change_seed(self, name: str) -> str | None:
        """Change a row of a seed, or put it back; None where the seed has no such row."""
        path = self.folder / "seeds" / f"{name}.csv"
        text = path.read_text(encoding="utf-8")
        for before, after in (_SEEDS[name], _SEEDS[name][::-1]):
            if before in text:
                path.write_text(text.replace(before, after), encoding="utf-8")
                self.version += 1
                self.dbt("prod", "seed", "--select", name)
                return f"seed {name}: {before} -> {after}"
        return None

    def model_names(self) -> list[str]:
        """All models that are tables, parents first."""
        manifest = self.manifest("prod")
        nodes = {
            key: node
            for key, node in manifest.nodes.items()
            if node.resource_type == "model"
            and "staging" not in node.path
            and node.name not in ABOUT_REFRESHES
        }
        done: list[str] = []

        def visit(key: str) -> None:
            for parent in sorted(nodes[key].depends_on.nodes):
                if parent in nodes:
                    visit(parent)
            if key not in done:
                done.append(key)

        for key in sorted(nodes):
            visit(key)
        return [key.split(".")[-1] for key in done]

    def dbt(self, target: str, *arguments: str, variables: Mapping[str, Any] | None = None) -> None:
        """Run dbt; raise DbtFailedError where something fails."""
        make_lean()
        make_quiet(heard=frozenset())
        write_failures_only()
        runner = dbtRunner(manifest=self.manifest(target))
        result = runner.invoke(
            [
                *_FLAGS,
                *arguments,
                *("--exclude", " ".join(sorted(ABOUT_REFRESHES))),
                *("--target", target),
                *("--project-dir", str(self.folder), "--profiles-dir", str(self.folder)),
                *("--vars", json.dumps({**self.variables, **(variables or {})})),
            ]
        )
        if not result.success:
            failed = [
                f"{one.node.name}: {one.message}"
                for one in getattr(result.result, "results", [])
                if str(one.status) in ("error", "fail")
            ]
            raise DbtFailedError(f"dbt {' '.join(arguments)}: {result.exception or failed}")

    @property
    def rules(self) -> tuple[int, str]:
        """What a build follows from, besides the records."""
        return self.version, json.dumps(self.variables, sort_keys=True)

    def refresh(self, variables: Mapping[str, Any] | None = None) -> None:
        """Run what a refresh runs: tables, and views where the rules have changed."""
        views = ("--exclude", "config.materialized:view")
        is_new = self.rules_of_views != self.rules
        self.dbt("prod", "run", "--select", MODELS, *(() if is_new else views), variables=variables)
        self.rules_of_views = self.rules

    def manifest(self, target: str) -> Any:
        """Return the project as dbt reads it for a target."""
        key = (self.version, target)
        if key not in self.manifests:
            result = dbtRunner().invoke(
                [
                    *_FLAGS,
                    "parse",
                    *("--target", target),
                    *("--project-dir", str(self.folder), "--profiles-dir", str(self.folder)),
                ]
            )
            if not result.success:
                raise DbtFailedError(f"dbt parse: {result.exception}")
            self.manifests = {k: v for k, v in self.manifests.items() if k[0] == self.version}
            self.manifests[key] = result.result
        return self.manifests[key]


# -- comparison -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """A table whose rows are not those of a rebuild."""

    table: str
    only_refreshed: int
    only_rebuilt: int
    columns: tuple[str, ...]
    examples: tuple[str, ...]

    def __str__(self) -> str:
        """Say it, with examples."""
        lines = [
            f"{self.table}: {self.only_refreshed} rows only refreshed, "
            f"{self.only_rebuilt} only rebuilt; columns {', '.join(self.columns) or '(rows)'}"
        ]
        return "\n      ".join([*lines, *self.examples])


def rebuild(connection: Connection, project: Project) -> None:
    """Build the same records from nothing, under a target schema of their own."""
    with connection.transaction():
        for layer in ("ops", *LAYERS):
            connection.execute(
                sql.SQL("drop schema if exists {} cascade").format(
                    sql.Identifier(f"{REBUILT}_{layer}")
                )
            )
        ops = sql.Identifier(f"{REBUILT}_ops")
        connection.execute(sql.SQL("create schema {}").format(ops))
        for table in ("manual_anchors", "anchor_exclusions", "calibrations", "calibrated_tgc"):
            copied = sql.Identifier(f"{REBUILT}_ops", table)
            original = sql.Identifier(f"{REFRESHED}_ops", table)
            connection.execute(
                sql.SQL("create table {} (like {} including all)").format(copied, original)
            )
            connection.execute(
                sql.SQL("insert into {} overriding system value select * from {}").format(
                    copied, original
                )
            )
    if project.rebuilt_rules == project.rules:
        project.dbt(
            "dev",
            "run",
            "--full-refresh",
            "--select",
            MODELS,
            "stg_manual_anchors",
            "stg_anchor_exclusions",
            "stg_calibrations",
            "stg_calibrated_tgc",
        )
    else:
        project.dbt(
            "dev", "build", "--full-refresh", "--resource-type", "model", "--resource-type", "seed"
        )
        project.rebuilt_rules = project.rules


def compare(connection: Connection) -> list[Difference]:
    """Compare all tables of the layers, row for row and to the last bit."""
    differences = []
    for layer in LAYERS:
        rows = connection.execute(
            """
            select tables.table_name, columns.names
            from information_schema.tables as tables
            cross join lateral (
                select array_agg(column_name::text order by ordinal_position) as names
                from information_schema.columns
                where
                    columns.table_schema = tables.table_schema
                    and columns.table_name = tables.table_name
            ) as columns
            where tables.table_schema = %s and tables.table_type = 'BASE TABLE'
            order by tables.table_name
            """,
            (f"{REBUILT}_{layer}",),
        ).fetchall()
        for table, names in rows:
            columns = [name for name in names if name not in LEFT_OUT]
            found = _compare_table(connection, layer, table, columns)
            if found is not None:
                differences.append(found)
    return differences


def content(
    connection: Connection, relation: sql.Composable, columns: Sequence[str]
) -> tuple[int, int | None]:
    """Return the number of a table's rows, and a sum of their hashes.

    Of the rows as text, which shows every bit of a float, and the scale of a numeric.
    """
    query = sql.SQL("select count(*), sum(hashtextextended(row({})::text, 0)) from {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), relation
    )
    ((count, hashes),) = connection.execute(query).fetchall()
    return count, hashes


def _compare_table(
    connection: Connection, layer: str, table: str, columns: Sequence[str]
) -> Difference | None:
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    sides = {
        "refreshed": sql.Identifier(f"{REFRESHED}_{layer}", table),
        "rebuilt": sql.Identifier(f"{REBUILT}_{layer}", table),
    }

    if content(connection, sides["refreshed"], columns) == content(
        connection, sides["rebuilt"], columns
    ):
        return None

    def only(one: str, other: str) -> list[tuple[Any, ...]]:
        return connection.execute(
            sql.SQL(
                """
                with differing as (
                    select row({listed})::text as line from {one}
                    except all
                    select row({listed})::text as line from {other}
                )

                select {listed} from {one}
                where row({listed})::text in (select line from differing)
                order by {listed}
                """
            ).format(listed=listed, one=sides[one], other=sides[other])
        ).fetchall()

    refreshed, rebuilt = only("refreshed", "rebuilt"), only("rebuilt", "refreshed")
    key = _key_length(connection, f"{REBUILT}_{layer}", table, columns)
    positions = [columns.index(name) for name in key]
    by_key = {tuple(row[i] for i in positions): row for row in rebuilt}
    names: set[str] = set()
    examples = []
    for row in refreshed:
        mate = by_key.get(tuple(row[i] for i in positions)) if key else None
        if mate is not None:
            changed = [i for i in range(len(columns)) if row[i] != mate[i]]
            names.update(columns[i] for i in changed)
            what = ", ".join(f"{columns[i]} {row[i]!r} is {mate[i]!r}" for i in changed[:6])
            examples.append(", ".join(f"{k} {row[i]}" for k, i in zip(key, positions, strict=True)))
            examples[-1] += f": {what}"
        else:
            examples.append(f"only refreshed: {_said(columns, row)}")
    seen = {tuple(row[i] for i in positions) for row in refreshed}
    examples += [
        f"only rebuilt: {_said(columns, row)}"
        for row in rebuilt
        if not key or tuple(row[i] for i in positions) not in seen
    ]
    return Difference(
        f"{layer}.{table}", len(refreshed), len(rebuilt), tuple(sorted(names)), tuple(examples[:4])
    )


def _said(columns: Sequence[str], row: Sequence[Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in list(zip(columns, row, strict=True))[:9])


def _key_length(
    connection: Connection, schema: str, table: str, columns: Sequence[str]
) -> list[str]:
    """Return the columns of the table's unique index, or none."""
    row = connection.execute(
        """
        select array(
            select attname::text from pg_attribute
            where attrelid = indrelid and attnum = any(indkey) order by attnum
        )
        from pg_index
        where indrelid = to_regclass(%s) and indisunique
        limit 1
        """,
        (f'"{schema}"."{table}"',),
    ).fetchone()
    return [name for name in row[0] if name in columns] if row else []


# -- the trial --------------------------------------------------------------------------------


@dataclass
class Trial:
    """Edits and refreshes of one database, and what came of them."""

    connection: Connection
    project: Project
    rng: np.random.Generator
    say: Callable[[str], None]
    as_of: date = FIRST_AS_OF
    edit_count: int = 0
    refresh_count: int = 0
    seconds: dict[str, list[float]] = field(default_factory=dict)
    since_good: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    kinds: Sequence[str] | None = None
    oddities: bool = True
    most_edits: int = 4
    """How many edits a refresh may have to follow."""
    _turn: int = 0
    _new_days: date | None = None
    """The first day that another as-of date concerns, until a refresh has followed it."""

    def __post_init__(self) -> None:
        """Start at the as-of date of the farm."""
        self.editor = Editor(self.connection, self.rng, self.as_of)
        self.project.variables["as_of_date"] = self.as_of.isoformat()

    def chance(self, share: float) -> bool:
        """Tell whether something with this chance happens."""
        return bool(self.rng.random() < share)

    def note(self, text: str) -> None:
        """Say what happens, and keep it until a comparison was good."""
        self.since_good.append(text)
        self.say(f"  {text}")

    def edit(self, kind: str | Callable[[], None] | None = None) -> Edit:
        """Make one edit: at random, of one kind, or the one given."""
        edit = self.editor.edit(kind)
        self.edit_count += 1
        self.note(f"edit {self.edit_count}: {edit}")
        return edit

    def step(self) -> None:
        """Make some edits and refresh, with something odd in between now and then."""
        count = 1 if self.chance(0.5) else self.editor.number(1, self.most_edits)
        edits = [self._random_edit() for _ in range(count)]
        if self.chance(0.06):
            undone = edits[-1]
            if self.oddities and self.chance(0.5):
                self._stop_half_way(edits)
            self.editor.undo(undone)
            self.note("  undone")
        rules = self._change_rules() if self.oddities else False
        if self.oddities and self.chance(0.2):
            self._stop_half_way(edits, rules)
            if self.chance(0.4):
                edits.append(self._random_edit())
        of_new_days = self._new_days is not None and self.chance(0.7)
        self.refresh(edits, must_scan=rules, of_new_days=of_new_days)

    def _random_edit(self) -> Edit:
        return self.edit(
            self.kinds[int(self.rng.integers(len(self.kinds)))] if self.kinds else None
        )

    def refresh(
        self, edits: Sequence[Edit], *, must_scan: bool = False, of_new_days: bool = False
    ) -> None:
        """Refresh: by turns everything, and the batches that the edits name.

        `of_new_days`: all batches from the first changed record on, for another as-of date.
        """
        self._turn += 1
        limits = None if must_scan or self._turn % 3 == 0 else limits_of(edits)
        if of_new_days:
            limits = self._limits_of_new_days(edits)
        if limits is not None:
            limits |= self._days_since()
        began = time.monotonic()
        if limits is None:
            if self.chance(0.2) or must_scan:
                self.project.dbt("prod", "run")
            else:
                self.project.refresh()
        else:
            self.project.refresh(limits)
        self._new_days = None
        self.connection.execute("delete from anchorline_ops.change_events")
        mode = "scan" if limits is None else "limited"
        took = time.monotonic() - began
        self.seconds.setdefault(mode, []).append(took)
        self.refresh_count += 1
        self.note(f"refresh {self.refresh_count}, {mode} {limits or ''} {took:.1f} s")

    def _limits_of_new_days(self, edits: Sequence[Edit]) -> dict[str, Any]:
        """Return the limits of a refresh of all batches, for another as-of date."""
        rows = self.connection.execute(
            "select batch_id from anchorline_staging.stg_batches order by batch_id"
        ).fetchall()
        since = [edit.readings_since for edit in edits if edit.readings_since is not None]
        return {
            "refresh_batches": [row[0] for row in rows],
            "refresh_readings_since": min([*since, self._new_days or self.as_of]).isoformat(),
        }

    def _days_since(self) -> dict[str, Any]:
        """Return the first day of the changed records, as the queue of changes tells it."""
        entries = queue.read_events(self.connection, "anchorline_ops")
        days = [entry.records_since for entry in entries]
        if None in days or any(entry.is_scan for entry in entries) or self.chance(0.1):
            return {}
        known = [day for day in [*days, self._new_days] if day is not None]
        return {"refresh_days_since": min(known).isoformat()} if known else {}

    def check(self) -> bool:
        """Compare with a rebuild; tell whether all is equal."""
        began = time.monotonic()
        rebuild(self.connection, self.project)
        found = compare(self.connection)
        took = time.monotonic() - began
        self.seconds.setdefault("check", []).append(took)
        if not found:
            self.say(f"equal after {self.edit_count} edits ({took:.1f} s)")
            self.since_good.clear()
            return True
        self.differences += found
        self.say(f"DIFFERENT after {self.edit_count} edits. Since the last good comparison:")
        for line in self.since_good:
            self.say(f"    {line}")
        for difference in found:
            self.say(f"  - {difference}")
        return False

    def _stop_half_way(self, edits: Sequence[Edit], must_scan: bool = False) -> None:
        """Run a part of the models, as a killed run does, or one who runs a model by hand."""
        names = self.project.model_names()
        name = names[int(self.rng.integers(len(names)))]
        limits = None if must_scan or self.chance(0.4) else limits_of(edits)
        if limits is not None:
            limits |= self._days_since()
        arguments = {
            0: ("--select", " ".join(names[: names.index(name) + 1])),
            1: ("--select", f"+{name}"),
            2: ("--select", name),
            3: ("--select", name, "--full-refresh"),
            4: ("--select", f"{name}+"),
        }[int(self.rng.integers(5))]
        self.note(f"run {' '.join(arguments)[:160]} ... {name} {limits or ''}")
        self.project.dbt("prod", "run", *arguments, variables=limits)

    def advance(self, days: int) -> None:
        """Let the states end so many days later, or earlier."""
        self._new_days = min(self.as_of, self.as_of + timedelta(days=days))
        self.as_of += timedelta(days=days)
        self.editor.last_day = self.as_of
        self.project.variables["as_of_date"] = self.as_of.isoformat()
        self.note(f"as of {self.as_of}")

    def _change_rules(self) -> bool:
        """Now and then change the rules or the as-of date; a scan is needed then."""
        if self.chance(0.08):
            days = int(self.rng.choice([1, 1, 1, 2, 7, 40, -1, -5, 60]))
            self.advance(days)
            return True
        if self.chance(0.03):
            self.note(self.project.raise_engine_version())
            return True
        if self.chance(0.05):
            name = str(self.rng.choice(list(_VARIABLES)))
            value = _VARIABLES[name][int(self.rng.integers(len(_VARIABLES[name])))]
            self.project.variables[name] = value
            self.note(f"var {name}: {value}")
            return True
        if self.chance(0.02):
            changed = self.project.change_seed(str(self.rng.choice(list(_SEEDS))))
            if changed:
                self.note(changed)
                return True
        return False


def limits_of(edits: Sequence[Edit]) -> dict[str, Any] | None:
    """Return the vars that limit a run to what edits touch; None where only a scan finds it."""
    batches: set[int] = set()
    for edit in edits:
        if edit.batches is None:
            return None
        batches |= edit.batches
    since = [edit.readings_since for edit in edits if edit.readings_since is not None]
    return {
        "refresh_batches": sorted(batches),
        "refresh_readings_since": min(since).isoformat() if since else None,
    }


def prepare(connection: Connection, project: Project, *, batches: int, seed: int) -> None:
    """Load the farm, open it for every edit, and build it."""
    from anchorline.demo import load_farm

    load_farm(connection, batches=batches, as_of=FIRST_AS_OF, seed=seed)
    loosen(connection)
    thin_out(connection)
    connection.commit()
    project.variables["as_of_date"] = FIRST_AS_OF.isoformat()
    project.dbt("prod", "build", "--resource-type", "model", "--resource-type", "seed")
    install(connection, project_place("prod"))
    connection.execute("delete from anchorline_ops.change_events")


def main() -> int:
    """Run a trial in the database that the PG* variables name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--compare-every", type=int, default=10, help="refreshes")
    parser.add_argument("--most-edits", type=int, default=4, help="per refresh")
    parser.add_argument("--kinds", nargs="*", help="only these kinds of edits")
    parser.add_argument("--plain", action="store_true", help="no killed runs, no changed rules")
    parser.add_argument(
        "--go-on", action="store_true", help="rebuild after a difference, and look for others"
    )
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    os.environ["USER"] = REBUILD_USER
    with (
        tempfile.TemporaryDirectory(prefix="anchorline-equality-") as folder,
        psycopg.connect(autocommit=True) as connection,
    ):
        os.environ.setdefault("DBT_TARGET_PATH", str(Path(folder) / "target"))
        os.environ.setdefault("DBT_LOG_PATH", str(Path(folder) / "logs"))
        project = Project.copied(Path(folder) / "project", {})
        prepare(connection, project, batches=options.batches, seed=options.seed)
        trial = Trial(
            connection,
            project,
            np.random.default_rng(options.seed),
            lambda text: print(text, flush=True),
            kinds=options.kinds,
            oddities=not options.plain,
            most_edits=options.most_edits,
        )
        print(f"seed {options.seed}, {options.edits} edits, {options.batches} batches", flush=True)
        is_checked = True
        while trial.edit_count < options.edits:
            trial.step()
            is_checked = False
            if trial.refresh_count % options.compare_every == 0:
                is_checked = True
                if not trial.check():
                    if not options.go_on:
                        break
                    project.dbt("prod", "run", "--full-refresh")
                    trial.since_good.clear()
        if not is_checked:
            trial.check()
        for mode, seconds in trial.seconds.items():
            print(
                f"{mode}: {len(seconds)} times, median {np.median(seconds):.1f} s, "
                f"longest {max(seconds):.1f} s"
            )
        print("EQUAL" if not trial.differences else "DIFFERENT")
        return 1 if trial.differences else 0


if __name__ == "__main__":
    sys.exit(main())
