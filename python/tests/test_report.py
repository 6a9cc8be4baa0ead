"""The growth page, without a browser: packing, what is read, what is put into the file."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from datetime import date
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from conftest import BuiltDemo
from hypothesis import given
from hypothesis import strategies as st
from report_farm import made_up

from anchorline.cli import main
from anchorline.errors import AnchorlineError
from anchorline.report.data import EPOCH, QUERIES, BatchData, batches, read
from anchorline.report.packing import Cell, Column, Table, pack, unpack
from anchorline.report.page import locales, page
from anchorline.report.summary import summaries

MARTS = "anchorline_marts"


def packed_and_unpacked(column: Column, cells: list[Cell]) -> list[Cell]:
    return unpack(pack({"table": Table((column,), {column.name: cells})}))["table"][column.name]


@given(st.lists(st.none() | st.integers(-(10**12), 10**12)))
def test_numbers_survive_packing(cells: list[int | None]) -> None:
    assert packed_and_unpacked(Column("count", "number"), list(cells)) == cells


@given(st.lists(st.none() | st.decimals(0, 99_999_999, places=4).map(float)))
def test_weights_keep_the_four_places_of_the_marts(cells: list[float | None]) -> None:
    assert packed_and_unpacked(Column("avg_weight_g", "number", 4), list(cells)) == cells


@given(st.lists(st.none() | st.text(max_size=20), max_size=20))
def test_texts_survive_packing(cells: list[str | None]) -> None:
    assert packed_and_unpacked(Column("name", "text"), list(cells)) == cells


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [None],
        [None, None, 5],
        [5, None, None],
        [(date(2024, 2, day) - EPOCH).days for day in (27, 28, 29)]
        + [(date(2024, 3, 1) - EPOCH).days],
    ],
)
def test_days_survive_packing(cells: list[Cell]) -> None:
    assert packed_and_unpacked(Column("state_date", "date"), cells) == cells


def test_days_in_a_row_take_next_to_nothing() -> None:
    cells: list[Cell] = list(range(19_000, 39_000))
    alone = len(pack({"table": Table((Column("d", "date"),), {"d": cells})}))
    assert alone < 300


def test_flags_are_zero_and_one() -> None:
    assert packed_and_unpacked(Column("is_used", "flag"), [1, 0, None]) == [1, 0, None]


# -- the file ---------------------------------------------------------------------------------


def index_of(content: str) -> dict:
    found = re.search(r'<script type="application/json" id="index">(.*?)</script>', content, re.S)
    assert found
    return json.loads(found[1])


HOSTILE = "</script><script>alert('x')</script><!-- \"&amp; \u2028 Á Føroyar 三文鱼"


def test_names_cannot_leave_their_place() -> None:
    plain = page([made_up(3, 1)], written_on=date(2026, 1, 31))
    hostile = page(
        [made_up(3, 1, batch_number=HOSTILE, names=[HOSTILE])], written_on=date(2026, 1, 31)
    )
    for mark in ("<script", "</script", "<!--"):
        assert hostile.lower().count(mark) == plain.lower().count(mark)
    batch = index_of(hostile)["batches"][0]
    assert batch["batch_number"] == HOSTILE
    assert batch["containers"][0]["name"] == HOSTILE


def test_only_the_scripts_and_the_style_of_the_page_are_allowed() -> None:
    content = page([made_up(3, 1)], written_on=date(2026, 1, 31))
    found = re.search(r'Content-Security-Policy" content="([^"]*)"', content)
    assert found
    policy = dict(part.strip().split(" ", 1) for part in html.unescape(found[1]).split(";"))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in re.findall(r"<script>(.*?)</script>", content, re.S)
    ]
    assert len(hashes) == 4
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].split() == hashes
    assert "unsafe" not in policy["script-src"] + policy["style-src-elem"]


def test_page_carries_the_licences_of_its_charts() -> None:
    content = html.unescape(page([], written_on=date(2026, 1, 31)))
    assert "Apache ECharts\nCopyright 2017-2026 The Apache Software Foundation" in content
    assert "Apache License" in content
    assert "Copyright (c) 2017, Baidu Inc." in content
    assert "Mike Bostock" in content


def test_catalogues_have_every_text_that_the_page_says() -> None:
    folder = Path(__file__).parents[1] / "anchorline" / "report"
    script = (folder / "page.js").read_text()
    said = set(re.findall(r'say\("(\w+)"', script)) | set(re.findall(r"texts\.(\w+)", script))
    assert len(said) > 80
    english = json.loads((folder / "locales" / "en.json").read_text())
    for locale in locales():
        texts = json.loads((folder / "locales" / f"{locale}.json").read_text())
        assert said <= set(texts), locale
        for key, text in texts.items():
            assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", english[key])), key


def test_page_puts_nothing_in_as_html() -> None:
    folder = Path(__file__).parents[1] / "anchorline" / "report"
    for name in ("page.js", "charts.js", "unpack.js"):
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(",
            (folder / name).read_text(),
        ), name


# -- what is read -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def connection(built_demo: BuiltDemo) -> psycopg.Connection:
    with psycopg.connect(built_demo.url, autocommit=False) as connection:
        connection.read_only = True
        yield connection


@pytest.fixture(scope="module")
def farm(connection: psycopg.Connection) -> list[BatchData]:
    return list(read(connection, MARTS, batches(connection, MARTS, ())))


@pytest.fixture(scope="module")
def unpacked(farm: list[BatchData]) -> list[dict[str, dict[str, list[Cell]]]]:
    """The tables of each batch, as the page reads them."""
    return [unpack(pack(data.tables)) for data in farm]


@pytest.fixture(scope="module")
def small(farm: list[BatchData]) -> list[str]:
    """The numbers of the two batches with the least days."""
    numbers = {
        data.batch.batch_number: len(data.tables["container_days"].cells["state_date"])
        for data in farm
    }
    return sorted(sorted(numbers, key=numbers.__getitem__)[:2])


def days_of(day: date) -> int:
    return (day - EPOCH).days


def test_every_batch_is_read(connection: psycopg.Connection, farm: list[BatchData]) -> None:
    (count,) = connection.execute("select count(*) from anchorline_marts.batches").fetchone()
    assert len(farm) == count > 0


@pytest.mark.parametrize("series", ["actual", "smoothed", "scenario", "forecast", "sample"])
def test_page_holds_the_rows_of_growth_analysis(
    connection: psycopg.Connection,
    farm: list[BatchData],
    unpacked: list[dict[str, dict[str, list[Cell]]]],
    series: str,
) -> None:
    key = "scenario_id" if series == "scenario" else "container_id"
    expected = connection.execute(
        f"""
        select batch_id, {key}, state_date, coalesce(sample_type, ''), avg_weight_g::float8,
            population, biomass_kg::float8, weight_low_g::float8, weight_high_g::float8
        from anchorline_marts.growth_analysis where series = %s
        """,  # noqa: S608
        (series,),
    ).fetchall()
    found = []
    for data, tables in zip(farm, unpacked, strict=True):
        names = ["batch_days", "container_days"] if series == "actual" else [series]
        for cells in map(tables.__getitem__, names):
            count = len(cells["state_date"])
            nothing = [None] * count
            found += zip(
                [data.batch.batch_id] * count,
                cells.get(key, nothing),
                (EPOCH.fromordinal(EPOCH.toordinal() + day) for day in cells["state_date"]),
                cells.get("sample_type", [""] * count),
                cells["avg_weight_g"],
                cells.get("population", nothing),
                cells.get("biomass_kg", nothing),
                cells.get("weight_low_g", nothing),
                cells.get("weight_high_g", nothing),
                strict=True,
            )
    if series in ("smoothed", "sample"):  # number and biomass are those of the states
        expected = [(*row[:5], None, None, *row[7:]) for row in expected]
    assert len(found) == len(expected) > 0
    assert set(found) == set(expected)


def test_cards_agree_with_growth_variance(
    connection: psycopg.Connection, farm: list[BatchData]
) -> None:
    compared = 0
    for data in farm:
        found = summaries(data)
        if not found:
            continue
        rows = connection.execute(
            """
            select state_date, weight_variance_percent::float8, days_ahead::float8
            from anchorline_marts.growth_variance
            where batch_id = %s and container_id is null and actual_weight_g is not null
                and scenario_weight_g is not null
            order by state_date
            """,
            (data.batch.batch_id,),
        ).fetchall()
        whole = found[0]
        assert whole.days_with_plan == len(rows)
        if not rows:
            continue
        compared += 1
        percents = [percent for _, percent, _ in rows]
        mean = sum(map(abs, percents)) / len(percents)
        assert whole.mean_variance_percent == pytest.approx(mean, abs=0.011)
        assert abs(whole.largest_variance_percent) == pytest.approx(
            max(map(abs, percents)), abs=0.0051
        )
        on_day = {days_of(day): (percent, ahead) for day, percent, ahead in rows}
        if whole.state_date in on_day:
            percent, ahead = on_day[whole.state_date]
            assert whole.variance_percent == pytest.approx(percent, abs=0.0051)
            assert whole.days_ahead == ahead
    assert compared > 1


def test_harvest_dates_are_those_of_the_forecast(
    connection: psycopg.Connection, farm: list[BatchData]
) -> None:
    rows = connection.execute(
        """
        select batch_id, min(harvest_date_p10), min(expected_harvest_date),
            max(expected_harvest_date), max(harvest_date_p90)
        from anchorline_marts.container_forecast
        group by batch_id
        having bool_and(harvest_date_p90 is not null)
        """
    ).fetchall()
    wholes = {data.batch.batch_id: summaries(data)[0] for data in farm if summaries(data)}
    assert rows
    for batch_id, *dates in rows:
        whole = wholes[batch_id]
        assert [
            whole.harvest_date_p10,
            whole.first_harvest_date,
            whole.last_harvest_date,
            whole.harvest_date_p90,
        ] == [days_of(day) for day in dates]


def test_one_batch_is_the_same_alone(connection: psycopg.Connection, farm: list[BatchData]) -> None:
    chosen = farm[-1].batch
    (alone,) = read(connection, MARTS, batches(connection, MARTS, [chosen.batch_number]))
    assert pack(alone.tables) == pack(farm[-1].tables)
    assert [entry.batch_id for entry in batches(connection, MARTS, [str(chosen.batch_id)])] == [
        chosen.batch_id
    ]


def test_unknown_batch_is_named(connection: psycopg.Connection) -> None:
    with pytest.raises(AnchorlineError, match="have no batch 'NO-SUCH'"):
        batches(connection, MARTS, ["NO-SUCH"])


def test_marts_that_are_not_there_are_named(connection: psycopg.Connection) -> None:
    with (
        connection.transaction(force_rollback=True),
        pytest.raises(AnchorlineError, match=r"Schema no_such_marts .* holds no marts"),
    ):
        batches(connection, "no_such_marts", ())


def test_number_of_queries_does_not_grow_with_the_batches(
    built_demo: BuiltDemo, small: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    executed = []
    for kind in (psycopg.Cursor, psycopg.ServerCursor):
        execute = kind.execute

        def counted(self, *arguments, execute=execute, **options):
            executed.append(arguments[0])
            return execute(self, *arguments, **options)

        monkeypatch.setattr(kind, "execute", counted)
    with psycopg.connect(built_demo.url) as connection:
        found = batches(connection, MARTS, small)
        list(read(connection, MARTS, found))
    assert len(found) > 1
    assert len(executed) == len(QUERIES) + 3


def test_command_writes_the_page_and_names_it(
    built_demo: BuiltDemo, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "a folder" / "page.html"
    wanted = [argument for number in small for argument in ("--batch", number)]
    done = CliRunner().invoke(main, ["report", "--target", "prod", "--out", str(path), *wanted])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{path}\n"
    shown = index_of(path.read_text(encoding="utf-8"))["batches"]
    assert [batch["batch_number"] for batch in shown] == small
    assert list(path.parent.iterdir()) == [path]


def test_command_says_which_batch_is_missing_and_keeps_the_old_page(
    built_demo: BuiltDemo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    path = tmp_path / "page.html"
    path.write_text("old")
    done = CliRunner().invoke(
        main, ["report", "--target", "prod", "--out", str(path), "--batch", "NO-SUCH"]
    )
    assert done.exit_code == 1
    assert "have no batch 'NO-SUCH'" in done.stderr
    assert path.read_text() == "old"


def test_command_says_where_it_cannot_write(
    built_demo: BuiltDemo, small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "page.html"
    done = CliRunner().invoke(
        main, ["report", "--target", "prod", "--out", str(path), "--batch", small[0]]
    )
    assert done.exit_code == 1
    assert f"{path} cannot be written" in " ".join(done.stderr.split())


def test_pictures_need_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "no-browser"))
    done = CliRunner().invoke(main, ["report", "--png", str(tmp_path / "pictures")])
    assert done.exit_code == 1
    assert "Pictures are taken by a Chromium" in done.stderr
