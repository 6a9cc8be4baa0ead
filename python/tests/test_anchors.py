"""What people state about weights: names, who and why, and that nothing is lost."""

from __future__ import annotations

import getpass
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, BuiltDemo
from psycopg.rows import dict_row

from anchorline.anchors import Anchors, anchor_types, parse_weight
from anchorline.cli import main
from anchorline.errors import AnchorlineError

ONE_DAY = timedelta(days=1)


@pytest.mark.parametrize("text", ["0.1", "1250", " 1250.5 ", "50000"])
def test_weights_in_g_are_taken_as_they_are_written(text: str) -> None:
    assert parse_weight(text) == Decimal(text.strip())


@pytest.mark.parametrize("text", ["0", "-5", "50000.1", "NaN", "Infinity", "1,250", "5 kg", ""])
def test_other_weights_are_refused(text: str) -> None:
    with pytest.raises(AnchorlineError, match="weight"):
        parse_weight(text)


def test_kinds_of_measurements_come_from_the_seed() -> None:
    assert anchor_types() == [
        "growth_sample",
        "transfer",
        "vaccination",
        "manual",
        "health_sampling",
    ]


# -- on the demo farm ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def farm_url(built_demo: BuiltDemo, copy_database: Callable[[str], str]) -> str:
    return copy_database(built_demo.url)


@dataclass(frozen=True)
class Stay:
    """A stay of a batch that goes on, on some day before the last."""

    batch_id: int
    batch_number: str
    container_id: int
    container_name: str
    assignment_id: int
    assignment_date: date


class Desk:
    """Somebody with a terminal, and a look into the database beside it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.stated = Anchors(connection, "prod")

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["anchors", *arguments, "--target", "prod"])

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.stderr
        return result.stderr

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.done("list", "--json", *arguments))
        return found

    def one(self, query: str, *parameters: Any) -> dict[str, Any]:
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(query, parameters).fetchone()  # type: ignore[call-overload]
        assert row is not None
        return dict(row)

    def stay(self, named_like: str = "%") -> Stay:
        """Return a stay of a month or more that goes on, in a container named like this."""
        return Stay(
            **self.one(
                "select batch_id, batch_number, container_id, container_name, assignment_id, "
                "assignment_date from anchorline_marts.population_reconciliation "
                "where not is_finished and departure_date is null "
                "and last_state_date - assignment_date > 30 and container_name like %s "
                "order by assignment_id limit 1",
                named_like,
            )
        )


@pytest.fixture
def desk(farm_url: str, use_database: Callable[[str], None]) -> Iterator[Desk]:
    """A terminal on the demo farm; what was stated is gone after the test."""
    use_database(farm_url)
    with psycopg.connect(farm_url, autocommit=True) as connection:
        connection.execute("create temp table kept as table anchorline_ops.manual_anchors")
        connection.execute(
            "create temp table kept_exclusions as table anchorline_ops.anchor_exclusions"
        )
        yield Desk(connection)
        connection.execute(
            "delete from anchorline_ops.manual_anchors; "
            "insert into anchorline_ops.manual_anchors overriding system value table kept; "
            "delete from anchorline_ops.anchor_exclusions; "
            "insert into anchorline_ops.anchor_exclusions "
            "overriding system value table kept_exclusions"
        )


def test_added_weight_goes_to_the_assignment_of_that_day(desk: Desk) -> None:
    stay = desk.stay()
    said = desk.done(
        "add",
        stay.batch_number.lower(),
        stay.container_name,
        str(AS_OF - ONE_DAY),
        "812.5",
        "--reason",
        "it's the camera's \"mean\": 体重",
        "--by",
        "Åse O'Brien",
    )
    assert stay.batch_number in said
    assert "812.5 g" in said
    row = desk.one(
        "select * from anchorline_ops.manual_anchors order by manual_anchor_id desc limit 1"
    )
    assert row["assignment_id"] == stay.assignment_id
    assert row["anchor_date"] == AS_OF - ONE_DAY
    assert row["weight_g"] == Decimal("812.5")
    assert row["reason"] == "it's the camera's \"mean\": 体重"
    assert row["entered_by"] == "Åse O'Brien"
    assert row["removed_at"] is None
    read = desk.one(
        "select weight_g from anchorline_staging.stg_manual_anchors where manual_anchor_id = %s",
        row["manual_anchor_id"],
    )
    assert read == {"weight_g": 812.5}


def test_difference_from_the_state_is_said(desk: Desk) -> None:
    stay = desk.stay()
    state = desk.one(
        "select avg_weight_g from anchorline_marts.daily_assignment_states "
        "where assignment_id = %s and state_date = %s",
        stay.assignment_id,
        AS_OF - ONE_DAY,
    )
    day = str(AS_OF - ONE_DAY)
    twice = str(2 * state["avg_weight_g"])
    result = desk.run("add", stay.batch_number, stay.container_name, day, twice, "--reason", "x")
    assert "100.0 % above" in result.stdout
    assert "far off" in result.stderr


@pytest.mark.parametrize("quoted", ["Кольцо", '"'])
def test_containers_of_any_name_are_found(desk: Desk, quoted: str) -> None:
    stay = desk.stay(f"%{quoted}%")
    added = desk.stated.add(
        f"id:{stay.batch_id}",
        stay.container_name,
        AS_OF,
        Decimal(900),
        reason="x",
        by="Anna",
    )
    assert added.stay.assignment_id == stay.assignment_id


def test_weights_of_days_after_the_marts_wait_for_them(desk: Desk) -> None:
    stay = desk.stay()
    today = desk.one("select (now() at time zone 'UTC')::date as day")["day"]
    assert today > AS_OF
    result = desk.run(
        "add", stay.batch_number, f"id:{stay.container_id}", str(today), "900", "--reason", "x"
    )
    assert result.exit_code == 0, result.output
    assert f"the marts end on {AS_OF}" in result.stderr
    tomorrow = str(today + ONE_DAY)
    assert "still to come" in desk.refused(
        "add", stay.batch_number, stay.container_name, tomorrow, "900", "--reason", "x"
    )


def test_departure_day_belongs_to_those_who_leave(desk: Desk) -> None:
    left = desk.one(
        """
        select stays.*
        from anchorline_marts.population_reconciliation as stays
        where
            stays.departure_date <= %s
            and stays.last_state_date is not null
            and not exists (
                select from anchorline_marts.population_reconciliation as later
                where
                    later.batch_id = stays.batch_id
                    and later.container_id = stays.container_id
                    and later.assignment_id != stays.assignment_id
            )
        order by stays.assignment_id
        limit 1
        """,
        AS_OF,
    )
    name = f"id:{left['container_id']}"
    batch = left["batch_number"]
    result = desk.run("add", batch, name, str(left["departure_date"]), "100", "--reason", "x")
    assert result.exit_code == 0, result.output
    assert "of the fish that left" in result.stderr
    day_after = str(left["departure_date"] + ONE_DAY)
    said = desk.refused("add", batch, name, day_after, "100", "--reason", "x")
    assert f"was not in {left['container_name']} on {day_after}" in said
    assert f"batch_batchcontainerassignment#{left['assignment_id']}" in said
    day_before = str(left["assignment_date"] - ONE_DAY)
    assert "was not in" in desk.refused("add", batch, name, day_before, "100", "--reason", "x")


def test_unknown_names_are_answered_with_near_ones(desk: Desk) -> None:
    stay = desk.stay()
    said = desk.refused("add", "no batch", "x", str(AS_OF), "900", "--reason", "x")
    assert "There is no batch with the number or id 'no batch'" in said
    said = desk.refused(
        "add", stay.batch_number, stay.container_name + "x", str(AS_OF), "900", "--reason", "x"
    )
    assert f"Did you mean {stay.container_name!r}" in said


def test_one_day_takes_one_manual_anchor(desk: Desk) -> None:
    stay = desk.stay()
    first = desk.stated.add(
        stay.batch_number, stay.container_name, AS_OF, Decimal(900), reason="mine", by="Anna"
    )
    arguments = ("add", stay.batch_number, stay.container_name, str(AS_OF), "901", "--reason", "x")
    said = desk.refused(*arguments)
    assert f"Manual anchor {first.manual_anchor_id} already says 900 g" in said
    assert "by Anna" in said
    assert "mine" in said
    desk.done("remove", str(first.manual_anchor_id), "--reason", "typing error")
    desk.done(*arguments)


def test_who_and_why_must_be_said(desk: Desk) -> None:
    stay = desk.stay()
    where = (stay.batch_number, stay.container_name, str(AS_OF), "900")
    assert desk.run("add", *where).exit_code == 2
    assert "reason is empty" in desk.refused("add", *where, "--reason", " ")
    assert "name is empty" in desk.refused("add", *where, "--reason", "x", "--by", "")
    assert "reason is empty" in desk.refused("exclude", "growth_sample", "1", "--reason", "")


def test_who_is_the_user_of_the_database_unless_named(desk: Desk) -> None:
    stay = desk.stay()
    desk.done("add", stay.batch_number, stay.container_name, str(AS_OF), "9", "--reason", "x")
    stated = desk.listed("--batch", stay.batch_number, "--stated")
    assert [entry["stated"]["by"] for entry in stated if entry["anchor_date"] == str(AS_OF)] == [
        "anchorline"
    ]
    assert getpass.getuser() != "anchorline"


def test_removed_anchor_keeps_its_trace_and_counts_no_more(desk: Desk) -> None:
    stay = desk.stay()
    added = desk.stated.add(
        stay.batch_number, stay.container_name, AS_OF, Decimal(900), reason="mine", by="Anna"
    )
    key = added.manual_anchor_id
    assert [entry["change"] for entry in desk.listed("--stated") if entry["record_id"] == key] == [
        "will count"
    ]
    desk.done("remove", str(key), "--reason", "typing error", "--by", "Bent")
    row = desk.one("select * from anchorline_ops.manual_anchors where manual_anchor_id = %s", key)
    assert (row["entered_by"], row["reason"]) == ("Anna", "mine")
    assert (row["removed_by"], row["removed_reason"]) == ("Bent", "typing error")
    assert row["removed_at"] is not None
    assert desk.one(
        "select count(*) as n from anchorline_staging.stg_manual_anchors "
        "where manual_anchor_id = %s",
        key,
    ) == {"n": 0}
    assert all(entry["record_id"] != key for entry in desk.listed("--stated"))
    [trace] = [e for e in desk.listed("--stated", "--removed") if e["record_id"] == key]
    assert trace["taken_back"]["by"] == "Bent"
    assert trace["change"] is None
    assert "was taken back already by Bent" in desk.refused("remove", str(key), "--reason", "x")
    assert "There is no manual anchor 99999" in desk.refused("remove", "99999", "--reason", "x")


def test_computed_manual_anchor_goes_with_the_next_refresh(desk: Desk) -> None:
    key = desk.one(
        "select record_id from anchorline_marts.weight_anchors "
        "where anchor_type = 'manual' and is_used order by 1 limit 1"
    )["record_id"]
    desk.done("remove", str(key), "--reason", "x")
    [entry] = [
        e for e in desk.listed("--stated") if (e["anchor_type"], e["record_id"]) == ("manual", key)
    ]
    assert (entry["status"], entry["change"]) == ("used", "will go")


def test_excluded_measurement_can_be_included_and_excluded_again(desk: Desk) -> None:
    sample = desk.one(
        "select record_id, batch_number from anchorline_marts.weight_anchors "
        "where anchor_type = 'growth_sample' and is_used order by record_id limit 1"
    )
    key = str(sample["record_id"])

    def excluded() -> int:
        count: int = desk.one(
            "select count(*) as n from anchorline_staging.stg_anchor_exclusions "
            "where anchor_type = 'growth_sample' and record_id = %s",
            sample["record_id"],
        )["n"]
        return count

    said = desk.done("exclude", "growth_sample", key, "--reason", "bad scale", "--by", "Anna")
    assert sample["batch_number"] in said
    assert excluded() == 1
    [entry] = [e for e in desk.listed("--stated") if e["change"] == "will be excluded"]
    assert (entry["anchor_type"], str(entry["record_id"])) == ("growth_sample", key)
    assert entry["exclusion"]["reason"] == "bad scale"
    said = desk.refused("exclude", "growth_sample", key, "--reason", "x")
    assert "excluded already by Anna" in said
    assert "bad scale" in said

    desk.done("include", "growth_sample", key, "--reason", "other scale", "--by", "Bent")
    assert excluded() == 0
    assert "not excluded by anybody" in desk.refused(
        "include", "growth_sample", key, "--reason", "x"
    )
    desk.done("exclude", "growth_sample", key, "--reason", "after all")
    assert excluded() == 1
    history = desk.one(
        "select array_agg(reason order by anchor_exclusion_id) as reasons, "
        "array_agg(removed_reason order by anchor_exclusion_id) as removed "
        "from anchorline_ops.anchor_exclusions "
        "where anchor_type = 'growth_sample' and record_id = %s",
        sample["record_id"],
    )
    assert history == {"reasons": ["bad scale", "after all"], "removed": ["other scale", None]}


def test_computed_exclusion_says_that_it_will_count_again(desk: Desk) -> None:
    sample = desk.one(
        "select record_id from anchorline_marts.weight_anchors where anchor_status = 'excluded'"
    )
    desk.done("include", "growth_sample", str(sample["record_id"]), "--reason", "x")
    [entry] = [e for e in desk.listed("--stated") if e["change"] == "will count again"]
    assert entry["record_id"] == sample["record_id"]


def test_only_what_is_there_can_be_excluded(desk: Desk) -> None:
    said = desk.refused("exclude", "growth_sample", "999999", "--reason", "x")
    assert "neither in the mart weight_anchors nor in public.batch_growthsample" in said
    assert "manual_anchors" in desk.refused("exclude", "manual", "999999", "--reason", "x")
    said = desk.refused("exclude", "weighing", "1", "--reason", "x")
    assert "It is one of growth_sample, transfer, vaccination, manual and health_sampling" in said
    assert desk.run("exclude", "growth_sample", str(2**63), "--reason", "x").exit_code == 2


def test_sample_that_no_model_has_seen_can_be_excluded(desk: Desk) -> None:
    rejected = desk.one(
        "select record_id, reason from anchorline_marts.rejected_records as rejected "
        "where table_name = 'batch_growthsample' and record_id not in ("
        "select record_id from anchorline_marts.weight_anchors where anchor_type = 'growth_sample'"
        ") order by record_id limit 1"
    )
    result = desk.run("exclude", "growth_sample", str(rejected["record_id"]), "--reason", "x")
    assert result.exit_code == 0, result.output
    assert f"it is not used as it is: rejected: {rejected['reason']}" in result.stderr


def test_list_shows_a_batch_with_residuals_and_limits_the_rest(desk: Desk) -> None:
    stay = desk.stay()
    shown = desk.listed("--batch", stay.batch_number)
    count = desk.one(
        "select count(*) as n from anchorline_marts.weight_anchors where batch_id = %s",
        stay.batch_id,
    )["n"]
    assert len(shown) == count > 10
    assert {entry["batch_number"] for entry in shown} == {stay.batch_number}
    assert any(entry["residual_percent"] for entry in shown)
    assert [e["anchor_date"] for e in shown] == sorted(
        (e["anchor_date"] for e in shown), reverse=True
    )
    assert len(desk.listed("--limit", "3")) == 3
    result = desk.run("list", "--limit", "2")
    assert "older ones are left out" in result.stderr
    assert "There is no batch" in desk.refused("list", "--batch", "nothing like it")


def test_rejected_manual_anchor_says_why(desk: Desk) -> None:
    """The marts of the demo farm list one that was entered for a day without the fish."""
    rejected = desk.connection.execute(
        "select record_id, reason from anchorline_marts.rejected_records "
        "where table_name = 'anchorline_ops.manual_anchors'"
    ).fetchall()
    listed = {
        entry["record_id"]: entry["status"]
        for entry in desk.listed("--stated")
        if entry["anchor_type"] == "manual"
    }
    for record_id, reason in rejected:
        assert listed[record_id] == f"rejected: {reason}"
    assert listed


def test_table_shows_who_and_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    shown = desk.done("list", "--stated")
    assert "anchorline demo:" in shown
    assert "excluded" in shown


def test_two_who_state_at_once_do_not_both_succeed(desk: Desk, farm_url: str) -> None:
    stay = desk.stay()
    with psycopg.connect(farm_url) as other:
        other.execute("select 1")  # a transaction that both statements belong to
        Anchors(other, "prod").exclude("growth_sample", _sample(desk), reason="x", by="Anna")
        Anchors(other, "prod").add(
            stay.batch_number, stay.container_name, AS_OF, Decimal(9), reason="x", by="Anna"
        )
        # not committed yet: who comes second waits, and is told once it is
        desk.connection.execute("set lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            desk.stated.add(
                stay.batch_number, stay.container_name, AS_OF, Decimal(8), reason="y", by="Bent"
            )
        other.commit()
        with pytest.raises(AnchorlineError, match="already says 9 g"):
            desk.stated.add(
                stay.batch_number, stay.container_name, AS_OF, Decimal(8), reason="y", by="Bent"
            )
        with pytest.raises(AnchorlineError, match="excluded already by Anna"):
            desk.stated.exclude("growth_sample", _sample(desk), reason="y", by="Bent")


def test_database_without_marts_says_what_to_build(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    result = CliRunner().invoke(main, ["anchors", "list", "--target", "prod"])
    assert result.exit_code == 1
    assert "Build them with `dbt build --target prod`" in result.stderr


def _sample(desk: Desk) -> int:
    key: int = desk.one(
        "select min(record_id) as key from anchorline_marts.weight_anchors "
        "where anchor_type = 'growth_sample' and is_used"
    )["key"]
    return key
