"""The check by mutants as a whole, on one farm: it begins, and tells a mutant from an equal query.

The generator has tests of its own. All mutants on all farms are `make mutants`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest
from conftest import SmallFarms

from devtools.farm_comparison import SETTINGS
from devtools.mutants.arena import VERIFY, Arena, Finding, Setting
from devtools.mutants.check import fed_by_what_is_read
from devtools.mutants.unit_tests import UnitTest, compile_unit_tests
from devtools.random_farms import random_farm

ENGINE = "int_growth_states"
WITH_INFINITE_DATES = "int_forecast_parameters"
"""A model whose unit tests expect dates that Python has no values for."""
OF_A_SEED = "int_activity_timeliness"
"""A model whose unit test takes a seed as it is."""


@pytest.fixture(scope="module")
def arena(small_farms: SmallFarms, copy_database: Callable[[str], str]) -> Iterator[Arena]:
    name, setting = next(iter(SETTINGS.items()))
    project = fed_by_what_is_read(small_farms.projects[name])
    arena = Arena(
        copy_database(small_farms.dbt.url),
        Setting(name, setting.all_variables, project),
        timeout_s=60,
    )
    arena.fill([random_farm(Random(2), as_of=setting.as_of, power_law=False)])  # noqa: S311
    arena.prepare()
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def unit_tests(small_farms: SmallFarms) -> tuple[UnitTest, ...]:
    selection = " ".join(f"{model},test_type:unit" for model in (WITH_INFINITE_DATES, OF_A_SEED))
    return compile_unit_tests(small_farms.dbt, small_farms.folder / "unit_tests", selection)


def test_reference_and_checks_agree_before_anything_is_changed(arena: Arena) -> None:
    assert arena.differences() == ""
    assert arena.failing_checks() == []


def test_an_equal_query_changes_nothing(arena: Arena) -> None:
    same = f"select * from ({arena.models[ENGINE].query}) as states"  # noqa: S608
    trial = arena.try_query(ENGINE, same)
    assert (trial.finding, trial.is_changed) == (None, False)


def test_heavier_fish_are_found_and_taken_back(arena: Arena) -> None:
    engine = arena.models[ENGINE]
    heavier = f"""
        select (
            jsonb_populate_record(
                null::"{engine.schema}"."{ENGINE}",
                to_jsonb(states) || jsonb_build_object('weight_g', states.weight_g * 1.001)
            )
        ).*
        from ({engine.query}) as states
    """  # noqa: S608
    assert arena.try_query(ENGINE, heavier).finding == Finding(VERIFY, "avg_weight_g")
    assert arena.differences() == ""


def test_unit_tests_of_a_model_pass_and_notice_another_query(
    arena: Arena, unit_tests: tuple[UnitTest, ...]
) -> None:
    assert {test.model for test in unit_tests} == {WITH_INFINITE_DATES, OF_A_SEED}
    assert all(test.passes(arena.connection) for test in unit_tests)
    nothing = [f"select * from ({test.query}) as rows limit 0" for test in unit_tests]  # noqa: S608
    for test, query in zip(unit_tests, nothing, strict=True):
        assert not test.passes(arena.connection, query)


def test_a_unit_test_that_takes_a_seed_as_it_is_notices_another_number(
    arena: Arena, unit_tests: tuple[UnitTest, ...]
) -> None:
    (test,) = (test for test in unit_tests if test.model == OF_A_SEED)
    assert test.reads("planning_constants")
    longer = """
        update "anchorline_seeds"."planning_constants" set value = value + 1
        where constant = 'on_time_days'
    """
    assert not test.passes_after(arena.connection, longer)
    assert test.passes(arena.connection)
