"""Small farms through the compiled models and through the reference, and what differs.

All in one transaction that is taken back: thousands of farms need one database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from random import Random
from typing import Any, Final

import pandas as pd
from psycopg import Connection, sql

from anchorline import settings
from anchorline.comparison import TableComparison
from anchorline.reference import Parameters
from anchorline.verify import Comparison, run_parameters, verify
from anchorline.verify.groups import STATES_OF_A_GROUP
from devtools.compiled_models import (
    TARGET,
    CompiledProject,
    prepare_filling,
    replace_views,
    taken_back,
)
from devtools.expectations import marts_expectations
from devtools.random_farms import RandomFarm, insert_farm, random_farm, side_by_side

_FEATURES: Final = """
    select 'temperature ' || temp_source from {marts}.daily_assignment_states
    union select 'mortality ' || mortality_source from {marts}.daily_assignment_states
    union select 'weight ' || weight_source from {marts}.daily_assignment_states
    union select 'feed ' || feed_source from {marts}.daily_assignment_states
    union select 'feed conversion ' || fcr_source from {marts}.daily_assignment_states
    union select 'scenario ' || scenario_source from {marts}.daily_assignment_states
    union select 'arrival inferred' from {marts}.daily_assignment_states where is_arrival_inferred
    union select 'numbers that do not add up' from {marts}.daily_assignment_states
    where count_adjustment > 0
    union select 'empty container' from {marts}.daily_assignment_states where population = 0
    union select 'provisional state' from {marts}.daily_assignment_states where is_provisional
    union select 'planned activity' from {marts}.daily_assignment_states
    where planned_activity_id is not null
    union select 'activity of a ' || anchor_type
    from {intermediate}.int_measurement_activities
    union select 'leap day' from {marts}.daily_assignment_states
    where to_char(state_date, 'MM-DD') = '02-29'
    union select 'year end' from {marts}.daily_assignment_states
    where to_char(state_date, 'MM-DD') in ('12-31', '01-01')
    union select 'stage changed' from {marts}.daily_assignment_states as states
    inner join {intermediate}.int_assignments as assignments using (assignment_id)
    where states.lifecycle_stage_id <> assignments.lifecycle_stage_id
    union select 'fish in transit' from {intermediate}.int_growth_states where is_in_transit
    union select 'anchor ' || anchor_type || ' ' || anchor_status
    from {intermediate}.int_anchor_measurements
    union select 'several measurements in one anchor' from {intermediate}.int_anchors
    where measurement_count > 1
    union select 'stocked from ' || stocking_source from {intermediate}.int_stocking
    union select 'rebuilt from ' || rebuilt_from from {intermediate}.int_stocking
    union select 'start weight from ' || start_weight_source from {intermediate}.int_stocking
    union select 'movement ' || movement_type from {intermediate}.int_movements
    union select 'chain within a day' from {intermediate}.int_movements
    where movement_key like '%<%'
    union select 'movement between batches' from {intermediate}.int_movements as movements
    inner join {intermediate}.int_assignments as sources
        on movements.from_assignment_id = sources.assignment_id
    inner join {intermediate}.int_assignments as destinations
        on movements.to_assignment_id = destinations.assignment_id
    where sources.batch_id <> destinations.batch_id
    union select 'lineage of several batches' from {intermediate}.int_lineages
    where batch_id <> lineage_id
    union select 'plan ' || plan_source from {intermediate}.int_plan_days
    union select 'plan that is not in force' from {intermediate}.int_plan_days
    where not is_in_force
    union select 'plan that goes on from its stored days' from {intermediate}.int_plan_days
    group by batch_id, scenario_id having count(distinct plan_source) = 2
    union select 'forecast ' || forecast_tier from {marts}.container_forecast
    union select 'forecast that reaches harvest' from {marts}.container_forecast
    where expected_harvest_date is not null
    union select 'forecast that never reaches harvest' from {marts}.container_forecast
    where expected_harvest_date is null
    union select 'forecast of a transfer' from {marts}.container_forecast
    where expected_transfer_date is not null
    union select 'forecast with other temperatures than the profile'
    from {marts}.container_forecast where temperature_bias_c <> 0
    union select 'forecast with calibrated growth at a site' from {intermediate}.int_calibrated_tgc
    where site_kind <> 'all'
    union select 'rejected: ' || reason from {marts}.rejected_records
"""
"""What a farm holds, in the words of the models."""


@dataclass(frozen=True)
class Setting:
    """One way to run the project: its last day, and the vars that differ from dbt_project.yml."""

    name: str
    as_of: date
    variables: Mapping[str, Any]

    @property
    def all_variables(self) -> dict[str, Any]:
        """The vars of the run, its last day among them."""
        return {**self.variables, "as_of_date": self.as_of.isoformat()}

    @property
    def is_power_law(self) -> bool:
        """Whether coefficients of the power law are asked for."""
        return self.variables.get("growth_formula") == "power_law"


SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        Setting("defaults", date(2024, 3, 10), {}),
        Setting(
            "no record is no death",
            date(2025, 1, 8),
            {
                "missing_mortality": "zero",
                "stage_caps_enabled": True,
                "timezone": "Pacific/Auckland",
            },
        ),
        Setting(
            "power law",
            date(2024, 3, 2),
            {
                "growth_formula": "power_law",
                "health_samplings_are_anchors": True,
                "inference_window_days": 2,
                "max_interpolation_gap_days": 6,
                "max_nearest_gap_days": 2,
            },
        ),
    )
}
"""The settings under which farms are tried, by name: every switch once on and once off."""


@dataclass(frozen=True)
class FarmReport:
    """What a comparison found.

    `failures` counts the failing rows of the data tests that would stop a build, and those of the
    marts' expectations: bad records must make none. `features` is what the farms hold.
    """

    comparison: Comparison
    failures: Mapping[str, int]
    features: frozenset[str]

    @property
    def agrees(self) -> bool:
        """Whether both say the same, and no data test and no expectation fails."""
        return self.comparison.agrees and not self.failures

    @cached_property
    def kind(self) -> frozenset[str]:
        """What differs, without how much: a smaller farm must still fail in the same way."""
        found = {column.name for column in self.comparison.columns if column.differing}
        for table in self.comparison.tables:
            found.update(f"{table.name}.{c.name}" for c in table.columns if c.differing)
            if table.only_in_database or table.only_in_reference:
                found.add(f"rows of {table.name} on one side only")
        found.update(f"missing {name}" for name in self.comparison.missing)
        for rejected in self._rejected_on_one_side.values():
            found.update(f"rejected for {reason}" for reason in rejected["reason"])
        if self.comparison.only_in_database or self.comparison.only_in_reference:
            found.add("rows on one side only")
        return frozenset(found | set(self.failures))

    @property
    def _rejected_on_one_side(self) -> dict[str, pd.DataFrame]:
        return {
            "database": self.comparison.rejected_only_in_database,
            "reference": self.comparison.rejected_only_in_reference,
        }

    def text(self) -> str:
        """Say what differs, readably; empty where nothing does."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        comparison = self.comparison
        for column in comparison.columns:
            if column.differing:
                yield (
                    f"{column.name}: {column.differing} of {comparison.state_count} states "
                    f"differ (largest difference {column.largest:.6g}, allowed: {column.rule})"
                )
        if len(comparison.first_rows):
            with pd.option_context("display.width", 160, "display.max_columns", None):
                yield comparison.first_rows.to_string(index=False)
        for side, count in (
            ("database", comparison.only_in_database),
            ("reference", comparison.only_in_reference),
        ):
            if count:
                yield f"states only in the {side}: {count}"
        for compared in comparison.tables:
            yield from _table_lines(compared)
        yield from (f"missing: {name}" for name in comparison.missing)
        for side, rejected in self._rejected_on_one_side.items():
            for table, record_id, reason in rejected.itertuples(index=False, name=None):
                yield f"rejected only in the {side}: {table} {record_id}, {reason}"
        for name, count in sorted(self.failures.items()):
            yield f"{name}: {count} rows"


def _table_lines(compared: TableComparison) -> Iterator[str]:
    for column in compared.columns:
        if column.differing:
            yield (
                f"{compared.name}.{column.name}: {column.differing} of {compared.row_count} rows "
                f"differ (largest difference {column.largest:.6g}, allowed: {column.rule})"
            )
    if len(compared.first_rows):
        with pd.option_context("display.width", 160, "display.max_columns", None):
            yield compared.first_rows.to_string(index=False)
    for side, count in (
        ("database", compared.only_in_database),
        ("reference", compared.only_in_reference),
    ):
        if count:
            yield f"rows of {compared.name} only in the {side}: {count}"


@dataclass(frozen=True)
class FarmBench:
    """A prepared database and a project compiled for one setting.

    `filling` fills the models, each by its name; the session has it prepared, and the data tests
    and expectations as `failing`.
    """

    connection: Connection
    project: CompiledProject
    setting: Setting
    parameters: Parameters
    filling: Mapping[str, sql.Composed]
    _told: dict[str, str] = field(default_factory=dict)

    @classmethod
    def prepare(
        cls, connection: Connection, project: CompiledProject, setting: Setting
    ) -> FarmBench:
        """Take a project compiled for the setting; the database is the setting's own from now."""
        with connection.transaction():
            replace_views(connection, project)
        parameters = run_parameters(connection, TARGET, setting.all_variables)
        connection.execute(
            sql.SQL("prepare failing as ") + _checks_query(connection, project, setting)
        )
        return cls(
            connection,
            project,
            setting,
            parameters,
            filling=prepare_filling(connection, project),
        )

    def random_farm(self, random: Random) -> RandomFarm:
        """Draw a farm for the setting."""
        return random_farm(random, as_of=self.setting.as_of, power_law=self.setting.is_power_law)

    def compare(self, *farms: RandomFarm, states_of_a_group: int = STATES_OF_A_GROUP) -> FarmReport:
        """Run the models and the reference on farms, and leave the database as it was.

        Most of what it costs is the same for one row and for thousands: farms that stand side by
        side share it.
        """
        with taken_back(self.connection):
            insert_farm(self.connection, _one_farm(farms))
            self.connection.execute(sql.SQL(";\n").join(self.filling.values()))
            comparison = verify(
                self.connection,
                TARGET,
                parameters=self.parameters,
                states_of_a_group=states_of_a_group,
            )
            return FarmReport(comparison, self._failures(), self._features())

    def smaller_failure(self, *farms: RandomFarm) -> str:
        """Make farms that fail smaller, and say what differs and how to make them again.

        It is one farm alone, wherever one of them fails without its neighbours. Told once:
        Hypothesis runs a failing example again.
        """
        together = _one_farm(farms)
        given = together.literal()
        if given not in self._told:
            kind = self.compare(together).kind

            def still_fails(other: RandomFarm) -> bool:
                return bool(kind & self.compare(other).kind)

            alone = next(filter(still_fails, farms), together)
            smaller = smaller_farm(alone, still_fails)
            self._told[given] = f"{self.compare(smaller).text()}\n{smaller.literal()}"
        return self._told[given]

    def _failures(self) -> dict[str, int]:
        rows = self.connection.execute("execute failing").fetchall()
        return {name: count for name, count in rows if count}

    def _features(self) -> frozenset[str]:
        query = sql.SQL(_FEATURES).format(
            **{
                layer: sql.Identifier(settings.layer_schema(layer, TARGET))
                for layer in ("marts", "intermediate")
            }
        )
        return frozenset(text for (text,) in self.connection.execute(query).fetchall())


def _one_farm(farms: Sequence[RandomFarm]) -> RandomFarm:
    return farms[0] if len(farms) == 1 else side_by_side(farms)


def _checks_query(
    connection: Connection, project: CompiledProject, setting: Setting
) -> sql.Composed:
    """All data tests of what is derived, and the expectations of the marts.

    The data tests of staging are about the rows themselves.
    """
    checks = {
        f"data test {test.name}": test.query
        for test in project.data_tests
        if "_stg_" not in test.name
    }
    for expectation, query in marts_expectations(connection, setting.all_variables):
        checks[f"expectation {expectation.id}"] = query
    return sql.SQL(" union all ").join(
        sql.SQL("select {}, count(*) from ({}) as failures").format(
            sql.Literal(name), sql.SQL(query)
        )
        for name, query in checks.items()
    )


def smaller_farm(farm: RandomFarm, still_fails: Callable[[RandomFarm], bool]) -> RandomFarm:
    """Leave out rows as long as the farm still fails, until no single row can be left out.

    Whole tables go first, then halves of them, and so on. Some 60 to 150 runs; Hypothesis, which
    has to draw a smaller farm anew each time, is not halfway there after as many.
    """
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for table in sorted(farm.rows):
            size = len(farm.rows[table])
            while size >= 1:
                start = 0
                while start < len(farm.rows.get(table, ())):
                    rows = farm.rows[table]
                    kept = [*rows[:start], *rows[start + size :]]
                    candidate = RandomFarm(
                        {
                            name: kept if name == table else others
                            for name, others in farm.rows.items()
                            if name != table or kept
                        }
                    )
                    if still_fails(candidate):
                        farm, is_smaller = candidate, True
                    else:
                        start += size
                size //= 2
    return farm
