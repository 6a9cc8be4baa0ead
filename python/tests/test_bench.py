"""What the benchmark says of what it has measured; the measuring itself is in test_workload."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from click.testing import CliRunner

from anchorline.bench.building import BuildWork, LayerSize, ModelTime
from anchorline.bench.questions import QuestionTime
from anchorline.bench.refreshes import RefreshTime
from anchorline.bench.run import BenchReport, Machine
from anchorline.bench.scratch import LoadedFarm
from anchorline.bench.table import Line, lines
from anchorline.bench.usage import Meter, Usage
from anchorline.bench.yardsticks import EngineTime, FloorTime, LoopTime
from anchorline.cli import main
from anchorline.database import EmbeddedServer

MB = 1_000_000


def report() -> BenchReport:
    """Return a report of 145 batches in round numbers, which meets everything."""
    small = Usage(seconds=2.0, client_bytes=100 * MB)
    return BenchReport(
        machine=Machine(2, 24 * 1000 * MB, "Linux", "3.11", "1.12", "18", {"jit": "off"}),
        farm=LoadedFarm("a farm", 20_000_000, 18_000_000, 200.0),
        batches=145,
        load=small,
        build=Usage(58.0, 20.0, 70.0, 400 * MB, 500 * MB, 256 * MB),
        work=BuildWork([ModelTime("m", "marts", 1.0, 100)], 700, 30.0, 2_900, {"m": 60_000_000}),
        sizes=[LayerSize("marts", 5_800_000, 2_000 * MB, 500 * MB)],
        engine=EngineTime(1_200_000, 8.0, 1.0),
        floor=FloorTime(5.0, 15.0),
        loop=LoopTime("B", 1_500, 10_500, 3.0, 1e-13),
        questions=[
            QuestionTime("growth/weight", 20, 0.05, 0.25, 900),
            QuestionTime("growth/number", 20, 0.02, 0.1, 900),
            QuestionTime("farm/sites", 1, 0.01, 0.01, 10),
        ],
        checks={"validate": small},
        refreshes=[
            RefreshTime("scan, nothing changed", replace(small, seconds=29.0), 0, 0),
            RefreshTime("events, one new sample", small, 148, 5_000),
        ],
    )


def said(of: BenchReport) -> dict[str, Line]:
    return {line.what: line for line in lines(of)}


def test_figures_follow_from_what_was_measured() -> None:
    found = said(report())
    assert found["Full build"].value == "58.0 s, 100,000 rows/s"
    assert found["Full build / floor"].value == "2.9"
    assert found["Engine / create table as"].value == "8.0"
    assert found["Engine, times as fast as the loop"].value == "300"
    assert found["Per batch: seconds"].value == "0.40"
    assert found["Per batch: statements"].value == "20.0 (2,900 in all)"
    assert found["Rows read / rows in"].value == "3.0"
    assert found["Dashboards: median of 3 questions"].value == "20 ms"
    assert found["Dashboards: worst (growth/weight)"].value == "250 ms, its median 50 ms"
    assert found["Refresh: scan, nothing changed"].wanted == "at most 29.0 s"


def test_all_of_it_is_met_in_round_numbers() -> None:
    verdicts = [line.is_met for line in lines(report())]
    assert verdicts.count(True) == 9
    assert False not in verdicts


def test_what_takes_too_long_or_too_much_is_missed() -> None:
    slow = report()
    slow.build.seconds = 60.1
    slow.build.client_bytes = 501 * MB
    slow.engine = EngineTime(1_200_000, 8.1, 1.0)
    slow.refreshes[1].usage.seconds = 3.1
    missed = {line.what for line in lines(slow) if line.is_met is False}
    assert missed == {
        "Full build",
        "Full build / floor",
        "Engine / create table as",
        "Client's memory at most: building",
        "Refresh: events, one new sample",
    }


def test_seconds_are_wanted_of_the_farm_that_they_were_set_for() -> None:
    large = report()
    large.batches = 1_450
    assert said(large)["Full build"].is_met is None
    assert said(large)["Refresh: events, one new sample"].is_met is None
    assert said(large)["Full build / floor"].is_met is True


def test_parts_that_were_left_out_have_no_line() -> None:
    found = said(BenchReport(report().machine, report().farm, 145, Usage()))
    assert set(found) == {
        "Batches",
        "Rows in, of them readings",
        "Farm made and loaded",
        "Client's memory at most: loading",
    }


def test_a_phase_counts_cpu_and_memory_of_both_sides(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url("postgres", with_password=True), autocommit=True) as connection:
        meter = Meter(connection)
        with meter.phase() as usage:
            held = bytearray(64 * MB)
            connection.execute(
                "select count(*) from (select n from generate_series(1, 2000000) as n "
                "order by n desc) as numbers"
            )
    assert len(held) == 64 * MB
    assert usage.seconds > 0
    assert usage.client_bytes > 64 * MB
    assert usage.server_bytes is not None
    assert usage.server_bytes > 0
    assert usage.server_shared_bytes >= 16 * MB
    assert usage.server_cpu_seconds is not None
    assert usage.server_cpu_seconds > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "huge"], "'huge' is not one of 'small', 'seed', 'x3', 'x10'"),
        (["--only", "luck"], "'luck' is not one of"),
        (["--batches", "0"], "0 is not in the range"),
    ],
)
def test_wrong_choices_are_refused(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["bench", *arguments])
    assert result.exit_code == 2
    assert message in result.output
