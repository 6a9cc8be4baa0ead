"""The growth page in a browser: what it draws equals the marts, and each of its switches works.

A Chromium of the system is driven: $CHROMIUM, else one on the PATH (tools/get_chromium.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from axe_playwright_python.sync_playwright import Axe
from click.testing import CliRunner
from conftest import BuiltDemo
from playwright.sync_api import Browser, Page, sync_playwright
from report_farm import START, made_up

from anchorline.cli import main
from anchorline.report import page as page_module
from anchorline.report.browser import find_browser
from anchorline.report.data import EPOCH, BatchData, batches
from anchorline.report.packing import pack
from anchorline.report.page import page as page_of
from anchorline.report.summary import curves, summaries
from anchorline.report.write import write

MARTS = "anchorline_marts"
CHROMIUM = find_browser()
DESKTOP, PHONE = 1280, 390
WRITTEN_ON = date(2026, 1, 31)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the PATH: install one, or let CHROMIUM name it"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


Open = Callable[..., Page]

GO_TO = """async (state) => {
    for (const hash of ["", state]) {
        if (location.hash === hash) continue;
        const changed = new Promise((done) => addEventListener("hashchange", done, { once: true }));
        location.hash = hash;
        await changed;
        while (document.body.dataset.ready !== "yes") await new Promise((done) => setTimeout(done));
    }
}"""
"""Go to a view by way of the start page, so that the view is made anew."""


class Windows:
    """Pages that were opened, one for each file, width and kind of screen, and what went wrong."""

    def __init__(self, browser: Browser) -> None:
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self._browser = browser
        self._pages: dict[str, Page] = {}

    def open(
        self,
        path: Path,
        state: str = "",
        *,
        width: int = DESKTOP,
        is_fresh: bool = False,
        **options: Any,
    ) -> Page:
        """Show a view; what was chosen in the last one is gone, what was zoomed to is not."""
        name = f"{path} {width} {options}"
        if name in self._pages and not is_fresh:
            page = self._pages[name]
            page.mouse.move(0, 0)
            page.evaluate(GO_TO, state)
            return ready(page)
        context = self._browser.new_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(path.as_uri() + state)
        if not is_fresh:
            self._pages[name] = page
        return ready(page)


@pytest.fixture(scope="module")
def windows(browser: Browser) -> Windows:
    return Windows(browser)


@pytest.fixture
def open_page(windows: Windows) -> Iterator[Open]:
    """Open a file; in the end, nothing was asked for but files, and nothing complained."""
    yield windows.open
    complaints, asked = windows.complaints[:], windows.asked[:]
    windows.complaints.clear()
    windows.asked.clear()
    assert complaints == []
    assert [url for url in asked if not url.startswith("file:")] == []


def ready(page: Page) -> Page:
    """Wait until a view has been put together, and drawn: charts are drawn in the next frame."""
    page.wait_for_selector("body[data-ready=yes]")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    return page


@pytest.fixture(scope="module")
def connection(built_demo: BuiltDemo) -> Iterator[psycopg.Connection]:
    with psycopg.connect(built_demo.url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def demo_page(built_demo: BuiltDemo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "growth.html"
    with psycopg.connect(built_demo.url) as connection:
        write(connection, MARTS, path, wanted=(), locale="en")
    return path


@pytest.fixture(scope="module")
def batch_id(connection: psycopg.Connection) -> int:
    """A batch with several scenarios, that is forecast."""
    row = connection.execute(
        """
        select batch_id from anchorline_marts.growth_analysis
        where series = 'scenario'
            and batch_id in (
                select container_forecast.batch_id from anchorline_marts.container_forecast
            )
        group by batch_id having count(distinct scenario_id) > 1
        order by batch_id limit 1
        """
    ).fetchone()
    assert row
    return int(row[0])


@pytest.fixture(scope="module")
def container_id(connection: psycopg.Connection, batch_id: int) -> int:
    """The open container of the batch with the most samples."""
    row = connection.execute(
        """
        select container_id from anchorline_marts.growth_analysis
        where series = 'sample' and batch_id = %s
            and container_id in (
                select container_id from anchorline_marts.container_forecast where batch_id = %s
            )
        group by container_id order by count(*) desc, container_id limit 1
        """,
        (batch_id, batch_id),
    ).fetchone()
    assert row
    return int(row[0])


CASES: dict[str, Callable[[int], BatchData]] = {
    "179 days": lambda number: made_up(179, 1, batch_id=number),
    "180 days": lambda number: made_up(180, 1, batch_id=number),
    "a year": lambda number: made_up(365, 1, batch_id=number),
    "60 days": lambda number: made_up(60, 1, batch_id=number),
    "one day": lambda number: made_up(1, 1, batch_id=number),
    "two stays": lambda number: two_stays(number),
    "no states, no plan": lambda number: made_up(0, 0, has_plan=False, batch_id=number),
    "no plan": lambda number: made_up(40, 2, has_plan=False, batch_id=number),
    "only a plan": lambda number: only_a_plan(number),
}


def case(name: str) -> str:
    """Return the address of a batch that is made up."""
    return f"#batch={list(CASES).index(name) + 1}"


def two_stays(number: int) -> BatchData:
    """Return a batch whose container holds none of its fish from the tenth day to the twentieth."""
    data = made_up(30, 1, batch_id=number)
    days = data.tables["container_days"]
    kept = [row for row in range(30) if not 10 <= row < 20]
    cells = {name: [column[row] for row in kept] for name, column in days.cells.items()}
    return replace(data, tables=data.tables | {"container_days": replace(days, cells=cells)})


def only_a_plan(number: int) -> BatchData:
    data = made_up(40, 1, batch_id=number)
    kept = {"scenario": data.tables["scenario"]}
    return replace(data, containers=[], tables=made_up(0, 0).tables | kept)


@pytest.fixture(scope="module")
def cases_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of all the batches that are made up."""
    data = [made(number) for number, made in enumerate(CASES.values(), 1)]
    path = tmp_path_factory.mktemp("cases") / "page.html"
    path.write_text(page_of(data, written_on=WRITTEN_ON), encoding="utf-8")
    return path


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    def save(*data: BatchData) -> Path:
        path = tmp_path / "page.html"
        path.write_text(page_of(data, written_on=WRITTEN_ON), encoding="utf-8")
        return path

    return save


def drawn(page: Page, chart: str = "weight") -> dict[str, list[list[float | None]]]:
    """Return the points of each series that a chart holds."""
    return page.evaluate(
        """(chart) => Object.fromEntries(anchorline.charts[chart].getOption().series
            .map((series) => [series.id, series.data]))""",
        chart,
    )


def names(page: Page) -> set[str]:
    """Return the names of the series in the chart of weights."""
    return set(
        page.evaluate(
            "() => anchorline.charts.weight.getOption().series.map((series) => series.id)"
        )
    )


def said(page: Page, chart: str = "weight") -> str:
    """Return what was read aloud of a chart, with plain blanks."""
    return " ".join(page.locator(f"[data-chart={chart}] + [role=status]").inner_text().split())


def day_of(milliseconds: float) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()


def points_of(series: list[list[float | None]]) -> list[tuple[Any, ...]]:
    """Return drawn points as (day, value, ...); breaks of a line have no value."""
    return [(day_of(day), *values) for day, *values in series if values[0] is not None]


# -- what is drawn ----------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["daily", "weekly"])
@pytest.mark.parametrize("of", ["batch", "container"])
def test_charts_draw_what_the_marts_hold(
    demo_page: Path,
    open_page: Open,
    connection: psycopg.Connection,
    batch_id: int,
    container_id: int,
    step: str,
    of: str,
) -> None:
    is_container = of == "container"
    state = f"#batch={batch_id}&step={step}" + (f"&container={container_id}" * is_container)
    page = open_page(demo_page, state)
    view, day = {
        "daily": ("growth_analysis", "state_date"),
        "weekly": ("growth_analysis_weekly", "last_state_date"),
    }[step]
    rows = connection.execute(
        f"""
        select analysis.series, {day}, avg_weight_g::float8, population, biomass_kg::float8,
            weight_low_g::float8, weight_high_g::float8, std_deviation_weight_g::float8
        from anchorline_marts.{view} as analysis
        where batch_id = %s
            and (container_id is not distinct from %s or series = 'scenario')
            and (
                series <> 'scenario' or scenario_id = (
                    select batches.scenario_id from anchorline_marts.batches
                    where batches.batch_id = %s
                )
            )
        order by series, {day}, sample_type
        """,  # noqa: S608
        (batch_id, container_id if is_container else None, batch_id),
    ).fetchall()
    marts: dict[str, list[tuple[Any, ...]]] = {}
    for series, *row in rows:
        marts.setdefault(series, []).append(tuple(row))
    if is_container:  # from its first day to the end of its forecast
        first, last = marts["actual"][0][0], marts["forecast"][-1][0]
        marts["scenario"] = [row for row in marts["scenario"] if first <= row[0] <= last]
    weight, population = drawn(page), drawn(page, "population")
    biomass = drawn(page, "biomass")
    for series in ("actual", "scenario", "forecast", "smoothed", "sample"):
        expected = [(row[0], row[1]) for row in marts[series] if row[1] is not None]
        assert sorted(points_of(weight[series])) == sorted(expected), series
        assert expected
    for series in ("actual", "forecast") if is_container else ("actual", "scenario", "forecast"):
        assert points_of(population[series]) == [(row[0], row[2]) for row in marts[series]]
        assert points_of(biomass[series]) == [(row[0], row[3]) for row in marts[series]]
    for series in ("smoothed", "forecast"):
        bands = [(row[0], row[4], row[5]) for row in marts[series] if row[4] is not None]
        assert points_of(weight[f"{series}_band"]) == bands
    spread = [(row[0], row[1] - row[6], row[1] + row[6]) for row in marts["sample"] if row[6]]
    assert sorted(points_of(weight["sample_spread"])) == sorted(spread)


def test_feed_conversion_is_that_between_anchors(
    demo_page: Path,
    open_page: Open,
    connection: psycopg.Connection,
    batch_id: int,
    container_id: int,
) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&container={container_id}")
    rows = connection.execute(
        """
        select period_start_date, last_state_date + 1, economic_fcr::float8
        from anchorline_marts.production_figures
        where batch_id = %s and container_id = %s and period_type = 'anchor_window'
            and economic_fcr is not null
        order by period_start_date
        """,
        (batch_id, container_id),
    ).fetchall()
    assert rows
    assert points_of(drawn(page, "fcr")["windows"]) == [
        point for start, end, fcr in rows for point in ((start, fcr), (end, fcr))
    ]


@pytest.mark.parametrize(
    ("figures", "said"),
    [([0.82, 0.98, 1.0, 1.01], None), ([1.2] * 40 + [2.3], None), ([1.2] * 40 + [9], "1 above 2")],
)
def test_only_what_would_press_the_others_flat_is_not_drawn(
    open_page: Open, cases_page: Path, figures: list[float], said: str | None
) -> None:
    page = open_page(cases_page)
    above = page.evaluate(
        """(figures) => feedConversion({ fcr: {
            period_start_date: figures, economic_fcr: figures, biological_fcr: figures,
            container_id: figures.map(() => 1), period_type: figures.map(() => "anchor_window"),
        } }, null).above""",
        figures,
    )
    assert above == (said and f"Not drawn: {said}.")


def test_weeks_are_shown_from_180_days_on(open_page: Open, cases_page: Path) -> None:
    assert open_page(cases_page, case("179 days")).input_value("#step") == "daily"
    assert open_page(cases_page, case("180 days")).input_value("#step") == "weekly"


def test_table_of_anchors_holds_all_of_them(
    demo_page: Path,
    open_page: Open,
    connection: psycopg.Connection,
    batch_id: int,
) -> None:
    page = open_page(demo_page, f"#batch={batch_id}")
    (count,) = connection.execute(
        "select count(*) from anchorline_marts.weight_anchors where batch_id = %s", (batch_id,)
    ).fetchone()
    page.click("#anchors button:has-text('Show all')")
    assert page.locator("#anchors tbody tr").count() == count
    assert page.evaluate(
        """() => {
            const region = document.querySelector("#anchors .scroll");
            return region.scrollWidth <= region.clientWidth;
        }"""
    )


# -- what people do ---------------------------------------------------------------------------


def test_start_page_lists_searches_and_sorts_the_batches(
    demo_page: Path, open_page: Open, connection: psycopg.Connection
) -> None:
    page = open_page(demo_page)
    numbers = [entry.batch_number for entry in batches(connection, MARTS, ())]
    names = page.locator("tbody th")
    assert sorted(names.all_inner_texts()) == sorted(numbers)
    page.get_by_role("button", name="Mean weight").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # the focus stays, and the second press turns the order round
    assert "sort=weight&down=1" in page.url
    weights = page.evaluate(
        """() => Object.fromEntries(anchorline.index.batches
            .map((batch) => [batch.batch_number, batch.summaries[0]?.avg_weight_g ?? -1]))"""
    )
    shown = [weights[name] for name in names.all_inner_texts()]
    assert shown == sorted(shown, reverse=True)
    page.fill("#search", numbers[0].lower())
    assert names.all_inner_texts() == [numbers[0]]
    page.fill("#search", "no such batch")
    assert "No batch matches." in page.inner_text("main")


def test_a_batch_is_opened_and_left_by_keyboard(demo_page: Path, open_page: Open) -> None:
    page = open_page(demo_page)
    link = page.locator("tbody th a").first
    name = link.inner_text()
    for _ in range(30):
        page.keyboard.press("Tab")
        if link.evaluate("(link) => link === document.activeElement"):
            break
    outline = link.evaluate("(link) => getComputedStyle(link).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    page.wait_for_selector("#card-weight")
    assert page.inner_text("h1") == name
    page.go_back()
    page.wait_for_selector("#search")


def test_each_series_has_a_switch(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}")
    before = names(page)
    for name in ("actual", "smoothed", "scenario", "forecast", "sample"):
        page.uncheck(f"#series-{name}")
        gone = before - names(page)
        assert gone
        assert {series.split("_")[0] for series in gone} == {name}
        page.check(f"#series-{name}")
        assert names(page) == before
    page.check("#series-containers")
    added = names(page) - before
    assert len(added) == page.evaluate("() => anchorline.state.batch.containers.length")
    page.reload()
    assert names(ready(page)) == before | added  # the address keeps it


def test_days_and_weeks_have_a_switch(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&step=weekly")
    weeks = len(points_of(drawn(page)["actual"]))
    page.select_option("#step", "daily")
    days = len(points_of(drawn(page)["actual"]))
    assert weeks == pytest.approx(days / 7, abs=2)
    assert "step=daily" in page.url


def test_a_plan_is_chosen(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&step=daily")
    in_force = page.input_value("#plan")
    other = page.evaluate(
        """(id) => String(
            anchorline.state.batch.scenarios.find((plan) => String(plan.id) !== id).id)""",
        in_force,
    )
    before = drawn(page)["scenario"]
    page.select_option("#plan", other)
    assert drawn(page)["scenario"] != before
    page.select_option("#plan", in_force)
    assert drawn(page)["scenario"] == before


def test_nothing_is_drawn_between_two_stays_in_a_container(
    open_page: Open, cases_page: Path
) -> None:
    page = open_page(cases_page, case("two stays") + "&container=1")
    line = drawn(page)["actual"]
    breaks = [day_of(day) for day, weight in line if weight is None]
    assert breaks == [START + timedelta(days=10)]
    assert len(points_of(line)) == 20
    assert page.evaluate(
        """() => anchorline.charts.weight.getOption().series
            .every((series) => series.type !== "line" || series.connectNulls === false)"""
    )


def test_a_period_is_chosen(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&step=daily")
    page.select_option("#period", "60")
    shown = page.evaluate(
        """() => Object.values(anchorline.charts).map((chart) => {
            const [from, to] = chart.getModel().getComponent("xAxis").axis.scale.getExtent();
            return Math.round((to - from) / 86400000);
        })"""
    )
    assert set(shown) == {60}


def test_what_the_bar_was_drawn_to_stays(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}", is_fresh=True)
    page.evaluate(
        "() => anchorline.charts.weight.dispatchAction({ type: 'dataZoom', start: 40, end: 60 })"
    )
    page.uncheck("#series-sample")
    zooms = page.evaluate(
        """() => Object.values(anchorline.charts).map((chart) => {
            const { start, end } = chart.getOption().dataZoom[0];
            return [Math.round(start), Math.round(end)];
        })"""
    )
    assert zooms == [[40, 60]] * len(zooms)


def test_containers_are_drilled_into_and_left(
    demo_page: Path, open_page: Open, batch_id: int, container_id: int
) -> None:
    page = open_page(demo_page, f"#batch={batch_id}")
    page.select_option("#container", str(container_id))
    page.wait_for_selector("#back-to-batch")
    own = drawn(ready(page))["actual"]
    page.click("#back-to-batch")
    page.wait_for_selector("#containers")
    assert drawn(ready(page))["actual"] != own
    page.click(f"#containers a[href$='container={container_id}']")
    page.wait_for_selector("#back-to-batch")
    assert drawn(ready(page))["actual"] == own


def test_a_line_leads_to_its_container(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("60 days") + "&hide=actual,smoothed,scenario,sample,forecast")
    x, y = page.evaluate(
        """() => anchorline.charts.weight.convertToPixel({ seriesId: "container_1" },
            anchorline.charts.weight.getOption().series[0].data[40])"""
    )
    page.locator("[data-chart=weight]").hover(position={"x": x, "y": y})
    ready(page)  # a point appears there, and is what is clicked on
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("#back-to-batch")
    assert page.inner_text("h1") == "MADE-UP: Pen 1"


def test_tooltip_names_sources_and_confidence(
    demo_page: Path,
    open_page: Open,
    connection: psycopg.Connection,
    batch_id: int,
    container_id: int,
) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&container={container_id}&step=daily")
    row = connection.execute(
        """
        select state_date, avg_weight_g::float8, temp_c::float8, mortality_count
        from anchorline_marts.daily_assignment_states
        where batch_id = %s and container_id = %s and weight_source = 'tgc_computed'
            and temp_source = 'measured' and mortality_source = 'actual'
        order by state_date desc limit 1
        """,
        (batch_id, container_id),
    ).fetchone()
    assert row
    x, y = page.evaluate(
        "([day, weight]) => anchorline.charts.weight.convertToPixel('grid', [day, weight])",
        [(row[0] - EPOCH).days * 86_400_000, row[1]],
    )
    page.locator("[data-chart=weight]").hover(position={"x": x, "y": y})
    tip = page.locator("[data-chart=weight] .tip").inner_text()
    assert f"{row[1]:,.0f} g" in tip
    assert "grown by the model, confidence 0.60" in tip
    assert f"{row[2]:.1f} °C, measured, confidence 1.00" in tip
    assert f"{row[3]:,} fish, recorded, confidence 1.00" in tip


def test_tooltips_are_read_by_arrow_keys(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("60 days") + "&container=1&step=daily")
    page.focus("[data-chart=weight]")
    page.keyboard.press("ArrowLeft")
    assert "29 Feb 2024" in said(page)  # the newest day, and a leap day
    page.keyboard.press("ArrowLeft")
    assert "28 Feb 2024" in said(page)
    assert page.locator("[data-chart=weight] .tip").is_visible()


def test_weeks_are_named_as_iso_does(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("a year") + "&container=1&step=weekly")
    page.focus("[data-chart=weight]")
    page.keyboard.press("ArrowLeft")
    assert "Week 1, to 30 Dec 2024" in said(page)  # a Monday, in the first week of 2025


def test_tooltip_of_a_week_sums_deaths_and_feed(
    demo_page: Path, open_page: Open, connection: psycopg.Connection, batch_id: int
) -> None:
    page = open_page(demo_page, f"#batch={batch_id}&step=weekly")
    row = connection.execute(
        """
        select last_state_date, mortality_count, feed_kg::float8
        from anchorline_marts.weekly_batch_states
        where batch_id = %s and feed_kg > 10 order by week_start_date desc limit 1
        """,
        (batch_id,),
    ).fetchone()
    assert row
    page.focus("[data-chart=population]")
    page.keyboard.press("ArrowLeft")
    # how a month is abbreviated changes with the browser
    last_day = page.evaluate(
        """(day) => new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" })
            .format(new Date(day))""",
        row[0].isoformat(),
    )
    tip = said(page, "population")
    assert f"to {last_day}" in tip
    assert f"Deaths {row[1]:,} fish" in tip
    assert f"{row[2]:,.0f} kg" in tip


# -- widths, colours, paper -------------------------------------------------------------------


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_page_never_scrolls_sideways(
    demo_page: Path, open_page: Open, batch_id: int, container_id: int, width: int
) -> None:
    for state in ("", f"#batch={batch_id}", f"#batch={batch_id}&container={container_id}"):
        page = open_page(demo_page, state, width=width)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width, state


def test_dark_screens_get_other_colours_and_paper_does_not(
    demo_page: Path, open_page: Open, batch_id: int
) -> None:
    colour = "() => anchorline.charts.weight.getOption().series.at(-1).itemStyle.color"
    light = open_page(demo_page, f"#batch={batch_id}")
    dark = open_page(demo_page, f"#batch={batch_id}", color_scheme="dark")
    on_light = light.evaluate(colour)
    assert dark.evaluate(colour) != on_light
    dark.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert dark.evaluate(colour) == on_light
    zooms = "() => anchorline.charts.weight.getOption().dataZoom.map((zoom) => zoom.type)"
    assert light.evaluate(zooms) == ["inside", "slider"]
    assert dark.evaluate(zooms) == ["inside"]
    assert dark.pdf(format="A4").startswith(b"%PDF")


def test_pictures_are_taken(
    built_demo: BuiltDemo, batch_id: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in built_demo.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CHROMIUM", str(CHROMIUM))
    done = CliRunner().invoke(
        main,
        [
            *("report", "--target", "prod", "--batch", str(batch_id)),
            *("--out", str(tmp_path / "page.html"), "--png", str(tmp_path / "pictures")),
        ],
    )
    assert done.exit_code == 0, done.output
    pictures = sorted((tmp_path / "pictures").iterdir())
    assert [picture.name for picture in pictures] == [f"batch-{batch_id}.png", "batches.png"]
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size > 20_000  # an empty page has a few


def test_series_differ_by_more_than_colour(demo_page: Path, open_page: Open, batch_id: int) -> None:
    page = open_page(demo_page, f"#batch={batch_id}")
    dashes = page.evaluate(
        """() => anchorline.charts.weight.getOption().series
            .filter((series) => series.type === "line")
            .map((series) => String(series.lineStyle.type))"""
    )
    assert len(set(dashes)) == len(dashes) > 3


@pytest.mark.parametrize("screen", [{}, {"width": PHONE, "color_scheme": "dark"}], ids=str)
def test_axe_finds_nothing(
    demo_page: Path, open_page: Open, batch_id: int, container_id: int, screen: dict[str, Any]
) -> None:
    rules = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": rules}, "resultTypes": ["violations"]}
    for state in ("", f"#batch={batch_id}&container={container_id}"):
        found = Axe().run(open_page(demo_page, state, **screen), options=options).response
        assert found["violations"] == [], state
        assert len(found["passes"]) > 20


# -- what may not happen ----------------------------------------------------------------------


def test_nothing_can_be_loaded_or_sent(browser: Browser, cases_page: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(cases_page.as_uri())
    ready(page)
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener("securitypolicyviolation",
                (event) => refused.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.strange = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/picture";
            document.body.append(image);
            await fetch("http://127.0.0.1:9/data").catch(() => null);
            await new Promise((done) => setTimeout(done, 100));
            return [window.strange, ...refused.sort()];
        }"""
    )
    assert refused == [None, "connect-src", "img-src", "script-src-elem"]
    context.close()


HOSTILE = """<script>alert(1)</script><img src=x onerror=alert(1)> "O'Brien" Á Føroyar 三文鱼"""


def test_names_are_shown_as_they_are(open_page: Open, save: Callable[..., Path]) -> None:
    page = open_page(save(made_up(40, 2, batch_number=HOSTILE, names=[HOSTILE, "Kví 3"])))
    assert page.locator("tbody th").inner_text() == HOSTILE
    page.click("tbody th a")
    page.wait_for_selector("#containers")
    assert page.inner_text("h1") == HOSTILE
    assert page.locator("#containers tbody th").all_inner_texts() == [HOSTILE, "Kví 3"]
    page.select_option("#container", label=HOSTILE)
    page.wait_for_selector("#back-to-batch")
    assert page.locator("img").count() == 0
    for width in (DESKTOP, PHONE):
        page.set_viewport_size({"width": width, "height": 900})
        ready(page)
        assert page.evaluate("() => document.documentElement.scrollWidth") == width


# -- little and much --------------------------------------------------------------------------


def test_no_batches_are_said(open_page: Open, save: Callable[..., Path]) -> None:
    assert "The marts have no batches yet." in open_page(save()).inner_text("main")


def test_a_batch_without_states_says_so(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("no states, no plan"))
    assert "No day of this batch has a state yet" in page.inner_text("main")
    assert "This batch has no scenario" in page.inner_text("main")


def test_a_batch_without_scenario_still_shows_its_fish(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("no plan"))
    assert "This batch has no scenario" in page.inner_text("main")
    assert len(points_of(drawn(page)["actual"])) == 40
    assert "scenario" not in names(page)
    assert "No plan covers" in page.inner_text("#card-variance")


def test_a_batch_that_is_only_planned_shows_its_plan(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("only a plan"))
    assert "No day of this batch has a state yet" in page.inner_text("main")
    assert names(page) == {"scenario"}
    assert len(points_of(drawn(page)["scenario"])) == 40


def test_one_day_is_drawn(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("one day"))
    assert points_of(drawn(page)["actual"]) == [(START, 50)]
    assert page.inner_text("#card-weight .value") == "50 g"


def test_callout_appears_beyond_five_percent(open_page: Open, cases_page: Path) -> None:
    page = open_page(cases_page, case("60 days"))
    assert page.inner_text("#callout") == "11.1 % above the plan"


def test_twenty_whole_lives_fit_in_a_page_that_opens_quickly(
    open_page: Open,
    save: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """Twenty batches, each of them 900 days in 20 containers, with a sample in each every month."""
    data = made_up(900, 20)
    # one is as long as another
    made = {"pack": pack(data.tables), "summaries": summaries(data), "curves": curves(data)}
    for name, value in made.items():
        monkeypatch.setattr(page_module, name, lambda _, value=value: value)
    numbers = range(1, 21)
    path = save(*(replace(data, batch=replace(data.batch, batch_id=number)) for number in numbers))
    size = path.stat().st_size
    began = time.perf_counter()
    page = open_page(path)
    start = time.perf_counter() - began
    began = time.perf_counter()
    page.evaluate(GO_TO, "#batch=20&step=daily&hide=none")
    batch = time.perf_counter() - began
    print(f"20 lives: {size / 1e6:.1f} MB, opened in {start:.2f} s, a batch in {batch:.2f} s")
    record_property("seconds", start)
    assert len(points_of(drawn(page)["container_20"])) == 900
    assert size < 10e6
    assert start < 10  # 2 s where nothing else runs
    assert batch < 10
