"""Try every mutant on all farms and checks, from the cheapest to the dearest."""

from __future__ import annotations

import dataclasses
import multiprocessing
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import Connection, sql

from devtools.compiled_models import CompiledProject, Dbt, compile_project, prepare_database
from devtools.mutants.arena import (
    UNIT_TEST,
    Arena,
    Finding,
    Setting,
)
from devtools.mutants.farms import AS_OF, LATE_AS_OF, edge_farms, random_farms
from devtools.mutants.generator import Mutant, Query
from devtools.mutants.seeds import seed_mutants, seed_schema
from devtools.mutants.unit_tests import UnitTest, compile_unit_tests

ENGINE: Final = "int_growth_states"
"""The model whose ancestors are changed, and which is changed itself."""

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "default": {"as_of_date": AS_OF.isoformat()},
    "other": {
        "as_of_date": LATE_AS_OF.isoformat(),
        "timezone": "Atlantic/Faroe",
        "growth_formula": "power_law",
        "missing_mortality": "zero",
        "health_samplings_are_anchors": True,
        "stage_caps_enabled": True,
        "max_interpolation_gap_days": 11,
        "short_interpolation_gap_days": 2,
        "max_nearest_gap_days": 9,
        "inference_window_days": 2,
        "min_inferred_cover": 0.7,
        "max_transfer_mortality_share": 0.1,
    },
}
"""The vars that choose between branches of the models: a mutant of a branch needs its setting."""

FEW: Final = 12
"""Random farms of the first round, which catches most mutants."""

ROUNDS: Final = ("few", "edges", "many")
"""Few random farms, the farms at the edges of the rules, many random farms."""

SECONDS: Final = {"few": 5.0, "edges": 30.0, "many": 30.0}
"""After which a query counts as endless, by round; it takes milliseconds otherwise."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant. `finding` is None where it survived."""

    mutant: Mutant
    finding: Finding | None
    is_changed: bool
    seconds: float


@dataclass(frozen=True)
class Ground:
    """A database with farms: its URL (or name), its setting, and in which round it is used."""

    url: str
    setting: str
    round: str


@dataclass(frozen=True)
class Plan:
    """All that a process needs to try mutants."""

    settings: Mapping[str, Setting]
    unit_tests: tuple[UnitTest, ...]
    seeds: Mapping[str, str]


class Databases:
    """Databases of one run on a server, dropped at the end."""

    def __init__(
        self,
        url_of: Callable[[str], str],
        admin: Callable[[], Connection],
        prefix: str,
        owner: str | None = None,
    ) -> None:
        self._url_of = url_of
        self._admin = admin
        self._prefix = prefix
        self._owner = owner
        self._names: list[str] = []

    def make(self, name: str, template: str | None = None) -> str:
        """Make a database, perhaps as a copy of another one, and return its URL."""
        full = f"{self._prefix}_{name}"
        statement = sql.SQL("create database {}").format(sql.Identifier(full))
        if template is not None:
            statement += sql.SQL(" template {}").format(sql.Identifier(self.name_of(template)))
        if self._owner is not None:
            statement += sql.SQL(" owner {}").format(sql.Identifier(self._owner))
        with self._admin() as connection:
            connection.autocommit = True
            connection.execute(statement)
        self._names.append(full)
        return self._url_of(full)

    def name_of(self, name: str) -> str:
        """Return the full name of a database of this run."""
        return f"{self._prefix}_{name}"

    def drop(self) -> None:
        """Drop all of them."""
        with self._admin() as connection:
            connection.autocommit = True
            for name in self._names:
                connection.execute(
                    sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
                )
        self._names.clear()


class Preparation:
    """The compiled project, the mutants, and the databases with farms."""

    def __init__(self, databases: Databases, folder: Path, tell: Callable[[str], None]) -> None:
        self._databases = databases
        self._folder = folder
        self._tell = tell
        tell("Compiling the models and filling the seeds")
        self._dbt = Dbt(databases.make("empty"))
        prepare_database(self._dbt, folder / "empty")
        self.settings = {name: self._setting(name) for name in SETTINGS}
        with psycopg.connect(self._dbt.url) as connection:
            self.seeds = tuple(seed_mutants(connection, self._seeds_that_are_read()))

    def _seeds_that_are_read(self) -> frozenset[str]:
        """Name the seeds that a model reads: what only Python reads, no query can show."""
        seed = re.compile(rf'"{seed_schema()}"."(\w+)"')
        return frozenset(
            name
            for setting in self.settings.values()
            for model in setting.project.models
            for name in seed.findall(model.query)
        )

    def _setting(self, name: str) -> Setting:
        project = compile_project(self._dbt, self._folder / name, variables=SETTINGS[name])
        return Setting(name, SETTINGS[name], fed_by_what_is_read(project))

    def mutants(self) -> list[Mutant]:
        """Return the mutants of all settings, each once, and those of the seeds."""
        found: dict[str, Mutant] = {}
        for setting in self.settings.values():
            for query in queries(setting):
                for mutant in query.mutants:
                    found.setdefault(mutant.address, mutant)
        for seed in self.seeds:
            found[seed.mutant.address] = seed.mutant
        return list(found.values())

    def unit_tests(self) -> tuple[UnitTest, ...]:
        """Return dbt's unit tests that pass on the models as they are."""
        self._tell("Compiling the unit tests")
        tests = compile_unit_tests(self._dbt, self._folder / "unit_tests")
        with psycopg.connect(self._dbt.url, options="-c jit=off") as connection:
            failing = [test.name for test in tests if not test.passes(connection)]
        if failing:
            raise RuntimeError(f"unit tests that fail without a mutant: {', '.join(failing)}")
        return tests

    def grounds(self, seed: int, count: int) -> list[Ground]:
        """Make the databases with farms, one for each setting and round."""
        found = []
        for name, setting in self.settings.items():
            farms = {
                "few": random_farms(seed, 0, FEW, setting.variables),
                "edges": edge_farms(setting.variables),
                "many": random_farms(seed, FEW, count, setting.variables),
            }
            for round_name in ROUNDS:
                label = f"{name}_{round_name}"
                self._tell(f"Building farms: {round_name}, setting {name}")
                arena = Arena(self._databases.make(label, "empty"), setting, timeout_s=600)
                try:
                    arena.fill(farms[round_name])
                    self._must_hold(arena, label)
                finally:
                    arena.close()
                found.append(Ground(label, name, round_name))
        return found

    def _must_hold(self, arena: Arena, label: str) -> None:
        arena.prepare()
        differences = arena.differences()
        if differences:
            raise RuntimeError(
                f"verify finds differences on the farms {label} before anything is changed:\n"
                + differences
            )
        failing = arena.failing_checks()
        if failing:
            raise RuntimeError(
                f"checks fail on the farms {label} before anything is changed: "
                + ", ".join(failing)
            )

    def copies(self, grounds: Sequence[Ground], number: int) -> list[Ground]:
        """Copy the databases for one process."""
        return [
            dataclasses.replace(
                ground, url=self._databases.make(f"{ground.url}_{number}", ground.url)
            )
            for ground in grounds
        ]


def queries(setting: Setting) -> Iterator[Query]:
    """Parse the engine and all models that feed it."""
    wanted = setting.project.with_ancestors({ENGINE})
    for model in setting.project.models:
        if model.name in wanted:
            yield Query(model.name, model.query)


def fed_by_what_is_read(project: CompiledProject) -> CompiledProject:
    """Return the project with the parents that each model's query reads when all is built.

    What only decides how much a refresh computes does not feed the engine here.
    """
    named = {model.name: f'"{model.schema}"."{model.name}"' for model in project.models}
    return dataclasses.replace(
        project,
        models=tuple(
            dataclasses.replace(
                model, parents=tuple(name for name in model.parents if named[name] in model.query)
            )
            for model in project.models
        ),
    )


# -- one process --------------------------------------------------------------------------------


class Worker:
    """Tries mutants on databases of its own."""

    def __init__(self, plan: Plan, grounds: Sequence[Ground]) -> None:
        self._plan = plan
        self._queries: dict[tuple[str, str], Query] = {}
        self._arenas: list[tuple[Ground, Arena]] = []
        for ground in grounds:
            seconds = SECONDS[ground.round]
            arena = Arena(ground.url, plan.settings[ground.setting], timeout_s=seconds)
            arena.prepare()
            self._arenas.append((ground, arena))

    def try_mutant(self, mutant: Mutant) -> Outcome:
        """Try one mutant until something catches it."""
        start = time.monotonic()
        finding, is_changed = None, False
        for step in ("few", UNIT_TEST, "edges", "many"):
            if step == UNIT_TEST:
                finding, differs = self._on_unit_tests(mutant)
            else:
                finding, differs = self._on_farms(mutant, step)
            is_changed = is_changed or differs
            if finding is not None:
                break
        return Outcome(mutant, finding, is_changed, time.monotonic() - start)

    def _on_farms(self, mutant: Mutant, round_name: str) -> tuple[Finding | None, bool]:
        is_changed = False
        for ground, arena in self._arenas:
            if ground.round != round_name:
                continue
            if mutant.kind == "seed":
                trial = arena.try_seed(mutant.model, self._plan.seeds[mutant.address])
            else:
                query = self._query(ground.setting, mutant.model)
                found = query.find(mutant)
                if found is None:
                    continue  # a branch that this setting does not have
                trial = arena.try_query(mutant.model, query.mutated(found))
            is_changed = is_changed or trial.is_changed
            if trial.finding is not None:
                return trial.finding, True
        return None, is_changed

    def _query(self, setting: str, model: str) -> Query:
        """Parse a model's query when it is needed."""
        if (setting, model) not in self._queries:
            models = {other.name: other for other in self._plan.settings[setting].project.models}
            self._queries[setting, model] = Query(model, models[model].query)
        return self._queries[setting, model]

    def _on_unit_tests(self, mutant: Mutant) -> tuple[Finding | None, bool]:
        connection = self._arenas[0][1].connection
        for test in self._plan.unit_tests:
            if mutant.kind == "seed":
                if test.reads(mutant.model) and not test.passes_after(
                    connection, self._plan.seeds[mutant.address]
                ):
                    return Finding(UNIT_TEST, test.name), True
            elif test.model == mutant.model and not test.passes_with(connection, mutant):
                return Finding(UNIT_TEST, test.name), True
        return None, False


_worker: Worker


def _start(plan: Plan, numbers: Any, grounds: Sequence[Sequence[Ground]]) -> None:
    global _worker
    with numbers.get_lock():
        number = numbers.value
        numbers.value += 1
    _worker = Worker(plan, grounds[number])


def _try(mutant: Mutant) -> Outcome:
    return _worker.try_mutant(mutant)


def try_all(
    plan: Plan, mutants: Sequence[Mutant], grounds: Sequence[Sequence[Ground]]
) -> Iterator[Outcome]:
    """Try mutants in as many processes as there are sets of databases."""
    context = multiprocessing.get_context("spawn")
    numbers = context.Value("i", 0)
    shuffled = list(mutants)
    random.Random(0).shuffle(shuffled)  # noqa: S311 - so that the rest of the time is known
    with ProcessPoolExecutor(
        len(grounds), mp_context=context, initializer=_start, initargs=(plan, numbers, grounds)
    ) as pool:
        try:
            for future in as_completed([pool.submit(_try, mutant) for mutant in shuffled]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
