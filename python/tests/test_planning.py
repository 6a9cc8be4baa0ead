"""Suggestions on their way into the plan: what is chosen, once each, and the full circle."""

# ruff: noqa: S608  (the table's name is a constant)

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, BuiltDemo
from psycopg.rows import dict_row

from anchorline.cli import main
from anchorline.planning import ACTIVITY_TABLE, suggestion_marker
from anchorline.raw.schema import create_raw_tables
from anchorline.refresh.session import RefreshSession

Connection = psycopg.Connection[Any]

# The marts, as far as they are read: batch 3 has no scenario; Move is planned, Count far ahead.
MARTS = """
create schema anchorline_marts;
create table anchorline_marts.batches (batch_id bigint, batch_number text);
insert into anchorline_marts.batches values (1, 'FAR-1'), (2, 'SCO-2'), (3, 'MIX-3'), (4, 'TWIN'),
    (5, 'TWIN');
create table anchorline_marts.daily_batch_states (state_date date);
insert into anchorline_marts.daily_batch_states values ('2025-06-09'), ('2025-06-10');
create table anchorline_marts.suggested_activities (
    batch_id bigint, batch_number text, activity_template_id bigint, template_name text,
    activity_type text, scenario_id bigint, trigger_status text, triggered_date date,
    due_date date, notes text, reason text, planned_activity_id bigint, covered_by text,
    needs_planning boolean, suggestion_marker text
);
insert into anchorline_marts.suggested_activities
select
    batch_id, number, template_id, name, type, scenario_id, 'fired', due_date, due_date, notes,
    name || ' because.', activity_id, case when activity_id is not null then 'marker' end, is_due,
    '[anchorline suggestion ' || template_id || ']'
from (
    values
    (1, 'FAR-1', 1, 'Weigh', 'SAMPLING', 11, date '2025-06-01', 'Weigh 50 fish.', null, true),
    (1, 'FAR-1', 12, 'Feed', 'FEED_CHANGE', 11, date '2025-06-20', 'Feed', null, true),
    (1, 'FAR-1', 3, 'Move', 'TRANSFER', 11, date '2025-06-05', 'Move', 900, false),
    (2, 'SCO-2', 1, 'Weigh', 'SAMPLING', 21, date '2025-06-30', 'Weigh 50 fish.', null, true),
    (2, 'SCO-2', 4, 'Count', 'TREATMENT', 21, date '2025-12-01', 'Count', null, false),
    (3, 'MIX-3', 1, 'Weigh', 'SAMPLING', null, date '2025-06-02', 'Weigh 50 fish.', null, true)
) as rows (
    batch_id, number, template_id, name, type, scenario_id, due_date, notes, activity_id, is_due
);
"""

ROWS = "select batch_id, activity_type, due_date::text, status, notes, created_by_id, scenario_id, "
ROWS += f"container_id, completed_at from {ACTIVITY_TABLE} order by batch_id, due_date"

WEIGH_1 = (1, "SAMPLING", "2025-06-10", "PENDING", "Weigh 50 fish.\n[anchorline suggestion 1]", 7)
FEED_1 = (1, "FEED_CHANGE", "2025-06-20", "PENDING", "Feed\n[anchorline suggestion 12]", 7)
WEIGH_2 = (2, "SAMPLING", "2025-06-30", "PENDING", WEIGH_1[4], 7)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["planning", *arguments, "--target", "prod"])


def said(*arguments: str, code: int = 0) -> str:
    result = run(*arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.stderr
    return result.output


@pytest.fixture
def plan(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> Iterator[Connection]:
    """The plan of an operational system, empty, beside marts with some suggestions."""
    url = make_database()
    use_database(url)
    with psycopg.connect(url, autocommit=True) as connection:
        create_raw_tables(connection, "public")
        for (constraint,) in connection.execute(
            "select conname from pg_constraint where conrelid = %s::regclass and contype = 'f'",
            (ACTIVITY_TABLE,),
        ).fetchall():
            connection.execute(f'alter table {ACTIVITY_TABLE} drop constraint "{constraint}"')  # type: ignore[call-overload]
        connection.execute(MARTS)
        yield connection


def planned(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(ROWS).fetchall()  # type: ignore[call-overload, no-any-return]


# -- listing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [(1, 1), (3, 1), (1, 12), (2, 1)]),
        (("--batch", "far-1"), [(1, 1), (1, 12)]),
        (("--batch", "id:1", "--batch", "SCO-2"), [(1, 1), (1, 12), (2, 1)]),
        (("--template", "weigh", "--batch", "2"), [(2, 1)]),
        (("--template", "12"), [(1, 12)]),
        (("--all",), [(1, 1), (3, 1), (1, 3), (1, 12), (2, 1), (2, 4)]),
        (("--batch", "SCO-2", "--template", "Move"), []),
    ],
)
def test_what_needs_planning_is_listed_by_due_date(
    plan: Connection, arguments: tuple[str, ...], expected: list[tuple[int, int]]
) -> None:
    listed = json.loads(run("list", "--json", *arguments).stdout)
    assert [(row["batch_id"], row["activity_template_id"]) for row in listed] == expected


def test_the_list_says_why_and_what_covers(plan: Connection) -> None:
    table = said("list", "--all")
    assert "Weigh because." in table
    assert "900 (by marker)" in table
    assert "to be planned" in table
    assert "Nothing needs to be planned." in said("list", "--batch", "id:4")


def test_unknown_names_are_refused_with_those_alike(plan: Connection) -> None:
    assert "no batch with the name or id 'FAR-9'. Did you mean 'FAR-1'" in said(
        "list", "--batch", "FAR-9", code=1
    )
    assert "no activity template with the name or id 'Weight'" in said(
        "list", "--template", "Weight", code=1
    )
    assert "may be any of 2. Name one by its id, like id:4." in said(
        "list", "--batch", "TWIN", code=1
    )


# -- publishing -----------------------------------------------------------------------------------


def test_the_marker_is_the_marts() -> None:
    """Unit tests of the mart state the same text."""
    assert suggestion_marker(12) == "[anchorline suggestion 12]"


def test_what_is_published_is_due_on_its_day_or_today(plan: Connection) -> None:
    text = said("publish", "--batch", "FAR-1", "--batch", "SCO-2", "--created-by", "7")
    # Weigh was due on June 1, and the newest state is of June 10
    assert planned(plan) == [
        (*WEIGH_1, 11, None, None),
        (*FEED_1, 11, None, None),
        (*WEIGH_2, 21, None, None),
    ]
    assert text.count("is planned as activity") == 3
    assert "Weigh (SAMPLING) of batch FAR-1 is planned as activity 1, due on 2025-06-10." in text
    assert "anchorline refresh --target prod" in text


def test_published_twice_is_planned_once(plan: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marts do not know of the first time; what was cancelled since was declined."""
    monkeypatch.setenv("ANCHORLINE_ACTIVITY_CREATOR", "7")
    said("publish", "--batch", "FAR-1", "--template", "Weigh")
    plan.execute(f"update {ACTIVITY_TABLE} set status = 'CANCELLED'")
    text = said("publish", "--batch", "FAR-1")
    assert "Weigh (SAMPLING) of batch FAR-1 has been planned before" in " ".join(text.split())
    assert [row[3] for row in planned(plan)] == ["CANCELLED", "PENDING"]
    said("publish", "--batch", "FAR-1")
    assert len(planned(plan)) == 2


def test_only_the_markers_of_the_batch_and_template_count(plan: Connection) -> None:
    plan.execute(
        f"insert into {ACTIVITY_TABLE} (activity_type, due_date, status, notes, created_at, "
        "updated_at, batch_id, created_by_id, scenario_id) "
        "select 'OTHER', '2025-01-01', 'PENDING', notes, now(), now(), batch_id, 7, 11 "
        "from (values "
        "(1, 'x [anchorline suggestion 120]'), (2, '[anchorline suggestion 12]'), "
        "(1, '[anchorline suggestion 1'), (1, null)) as rows (batch_id, notes)"
    )
    said("publish", "--batch", "FAR-1", "--created-by", "7")
    assert [row[:6] for row in planned(plan) if row[1] != "OTHER"] == [WEIGH_1, FEED_1]


def test_batches_without_scenario_are_named_and_others_planned(plan: Connection) -> None:
    text = " ".join(said("publish", "--all", "--created-by", "7", code=1).split())
    assert "Weigh (SAMPLING) of batch MIX-3 was not planned: the batch has no scenario." in text
    assert [row[:6] for row in planned(plan)] == [WEIGH_1, FEED_1, WEIGH_2]


def test_a_dry_run_plans_nothing_and_needs_no_creator(plan: Connection) -> None:
    text = said("publish", "--all", "--dry-run", code=1)
    assert text.count("would be planned") == 3
    assert "MIX-3 was not planned" in " ".join(text.split())
    assert planned(plan) == []


def test_a_creator_and_a_choice_must_be_named(plan: Connection) -> None:
    assert "--created-by, or ANCHORLINE_ACTIVITY_CREATOR" in said("publish", "--all", code=1)
    assert "--batch, --template or --all" in said("publish", "--created-by", "7", code=2)
    assert planned(plan) == []


def test_what_one_cannot_take_none_is_planned(plan: Connection) -> None:
    """All or nothing: the creator is known to the operational system, or no row is written."""
    plan.execute("create table auth_user (id integer primary key)")
    plan.execute("insert into auth_user values (7)")
    plan.execute(
        f"alter table {ACTIVITY_TABLE} add check (batch_id <> 2), "
        "add foreign key (created_by_id) references auth_user (id)"
    )
    text = said("publish", "--batch", "FAR-1", "--created-by", "8", code=1)
    assert "does not know" in text
    assert "Nothing was planned" in text
    said("publish", "--batch", "FAR-1", "--batch", "SCO-2", "--created-by", "7", code=1)
    assert planned(plan) == []


def test_missing_tables_are_named(plan: Connection) -> None:
    plan.execute("drop table anchorline_marts.suggested_activities")
    assert "dbt build" in said("list", code=1)
    plan.execute(f"drop table {ACTIVITY_TABLE} cascade")
    assert f"has no table {ACTIVITY_TABLE}" in said("publish", "--all", "--dry-run", code=1)


def test_two_at_once_plan_once(plan: Connection) -> None:
    """Both wait for a lock that is held here, and go on at the same time."""
    command = [sys.executable, "-m", "anchorline", "planning", "publish", "--target", "prod"]
    command += ["--batch", "FAR-1", "--created-by", "7"]
    waiting = (
        "select count(*) from pg_locks where locktype = 'advisory' and not granted "
        "and database = (select oid from pg_database where datname = current_database())"
    )
    with plan.transaction():
        plan.execute(
            "select pg_advisory_xact_lock(hashtext('anchorline planning'), hashtext(%s))",
            (f'"public"."{ACTIVITY_TABLE}"',),
        )
        processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            for _ in range(2)
        ]
        deadline = time.monotonic() + 60
        while plan.execute(waiting).fetchone() != (2,) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert plan.execute(waiting).fetchone() == (2,)
    told = [" ".join(process.communicate(timeout=60)[0].split()) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [row[:6] for row in planned(plan)] == [WEIGH_1, FEED_1]
    assert sorted(text.count("is planned as activity") for text in told) == [0, 2]
    assert sorted(text.count("has been planned before") for text in told) == [0, 2]


# -- the full circle ------------------------------------------------------------------------------


def test_a_weight_is_planned_weighed_and_suggested_no_second_time(
    small_copy: BuiltDemo, use_database: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reached, suggested, published, completed with a weighing, anchored: all by events."""
    use_database(small_copy.url)
    monkeypatch.setenv("ANCHORLINE_ACTIVITY_CREATOR", "7")
    monkeypatch.setenv("DBT_TARGET_PATH", small_copy.environment["DBT_TARGET_PATH"])
    monkeypatch.setenv("DBT_LOG_PATH", small_copy.environment["DBT_LOG_PATH"])
    result = CliRunner().invoke(main, ["events", "install", "--target", "prod"])
    assert result.exit_code == 0, result.output
    # the project as the build has parsed it
    parsed = small_copy.target_folder / "refresh-prod" / "partial_parse.msgpack"
    parsed.parent.mkdir()
    shutil.copy(small_copy.target_folder / parsed.name, parsed)
    session = RefreshSession("prod", variables={"as_of_date": AS_OF.isoformat()})
    with psycopg.connect(small_copy.url, autocommit=True, row_factory=dict_row) as connection:
        circle = Circle(connection, session)
        session.refresh(scan=True, validate=False)
        circle.ask_for_a_weighing()
        session.refresh(validate=False)
        first = circle.suggestion()
        assert first["trigger_status"] == "fired"
        assert first["needs_planning"]
        assert circle.weight_before(first["triggered_date"]) < first["weight_threshold_g"]
        assert first["trigger_weight_g"] >= first["weight_threshold_g"]

        said("publish", "--batch", first["batch_number"], "--template", "Weigh now")
        session.refresh(validate=False)
        second = circle.suggestion()
        assert second["covered_by"] == "marker"
        assert not second["needs_planning"]

        sample_id = circle.weigh_and_complete(second["planned_activity_id"])
        outcome = session.refresh(validate=False)
        assert outcome is not None
        assert outcome.scope.batch_ids == (first["batch_id"],)
        anchor = circle.one(
            "select planned_activity_id, anchor_date, assignment_id, is_used "
            "from anchorline_marts.weight_anchors "
            "where anchor_type = 'growth_sample' and record_id = %s",
            sample_id,
        )
        assert anchor["is_used"]
        assert anchor["planned_activity_id"] == second["planned_activity_id"]
        state = circle.one(
            "select planned_activity_id from anchorline_marts.daily_assignment_states where "
            " assignment_id = %s and state_date = %s",
            anchor["assignment_id"],
            anchor["anchor_date"],
        )
        assert state["planned_activity_id"] == second["planned_activity_id"]

        # the fish were found lighter than the template's weight: it was crossed before
        third = circle.suggestion()
        assert third == second
        assert "Nothing needs" in said(
            "publish", "--batch", first["batch_number"], "--template", "Weigh now"
        )
        assert session.refresh(validate=False) is None
    session.close()


class Circle:
    """A farm on which fish of some batch have just reached the weight of a new template."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]], session: Any) -> None:
        self.connection = connection
        self.session = session
        self.template_id = 0

    def one(self, query: str, *parameters: object) -> dict[str, Any]:
        [row] = self.connection.execute(query, parameters).fetchall()  # type: ignore[call-overload]
        return dict(row)

    def ask_for_a_weighing(self) -> None:
        """Add a template for a weight that lies between those of the last days."""
        threshold = self.one(
            """
            select avg(avg_weight_g) as weight_g from anchorline_marts.daily_batch_states
            where state_date between %s and %s and batch_id = (
                select batch_id from anchorline_marts.batches
                where scenario_id is not null and batch_id in (
                    select batch_id from anchorline_marts.daily_batch_states
                    where state_date = %s and population > 0
                )
                order by batch_id desc
                limit 1
            )
            """,
            AS_OF - timedelta(days=8),
            AS_OF - timedelta(days=4),
            AS_OF,
        )["weight_g"]
        self.template_id = self.one(
            "insert into planning_activitytemplate (name, activity_type, trigger_type, "
            "weight_threshold_g, is_active, created_at, updated_at) values "
            "('Weigh now', 'SAMPLING', 'WEIGHT_THRESHOLD', %s, true, now(), now()) returning id",
            round(threshold, 2),
        )["id"]

    def suggestion(self) -> dict[str, Any]:
        """Return the only suggestion of the template that has just fired."""
        return self.one(
            """
            select * from anchorline_marts.suggested_activities
            where activity_template_id = %s and trigger_status = 'fired' and triggered_date >= %s
            """,
            self.template_id,
            AS_OF - timedelta(days=10),
        )

    def weight_before(self, day: Any) -> Any:
        return self.one(
            "select s.avg_weight_g from anchorline_marts.daily_batch_states as s "
            "inner join anchorline_marts.suggested_activities as a using (batch_id) "
            "where a.activity_template_id = %s and a.triggered_date = %s and s.state_date = %s - 1",
            self.template_id,
            day,
            day,
        )["avg_weight_g"]

    def weigh_and_complete(self, activity_id: int) -> int:
        """Weigh fish of one container today, lighter than was thought, and tick it off."""
        row = self.one(
            """
            insert into batch_growthsample (
                sample_date, sample_size, avg_weight_g, created_at, updated_at, assignment_id
            )
            select state_date, 100, round(avg_weight_g * 0.9, 2), now(), now(), assignment_id
            from anchorline_marts.daily_assignment_states
            where state_date = %s and population > 0 and batch_id = (
                select batch_id from planning_plannedactivity where id = %s
            )
            order by assignment_id
            limit 1
            returning id
            """,
            AS_OF,
            activity_id,
        )
        self.connection.execute(
            "update planning_plannedactivity set status = 'COMPLETED', completed_at = %s "
            "where id = %s",
            (datetime.fromisoformat(f"{AS_OF}T10:00:00+00:00"), activity_id),
        )
        return int(row["id"])
