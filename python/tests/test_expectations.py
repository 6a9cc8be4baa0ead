"""The expectation suites: their files, what each must see, and the command that runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, DEMO_BATCHES, BuiltDemo, set_aside
from psycopg import sql
from psycopg.rows import namedtuple_row
from spoilt_marts import CORRUPTIONS

from anchorline.cli import main
from anchorline.cli.validate import validate as validate_command
from anchorline.errors import AnchorlineError
from anchorline.expectations.limits import Limit, find_limit, find_raw_limit
from anchorline.expectations.names import Catalogue, Names, for_target
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, SKIPPED, Outcome
from anchorline.expectations.suites import (
    BATCH,
    DAYS,
    FARM,
    LINEAGE,
    QUERY_TYPE,
    SUITES,
    Expectation,
    Relation,
    read_suite,
    suite_in_form,
    suite_text,
)
from anchorline.expectations.validation import Validator
from anchorline.raw.sources import project_variable, read_sources

AS_OF_TEXT = AS_OF.isoformat()


def expectations(suite: str) -> dict[str, Expectation]:
    return {expectation.id: expectation for expectation in read_suite(suite).expectations}


def failing(
    connection: psycopg.Connection[Any], names: Names, expectation: Expectation
) -> list[Any]:
    """Return the rows that fail, without their number."""
    query = names.query(expectation)
    assert query is not None
    query = query.replace("count(*) over () as rows_failed, failed.*", "failed.*")
    with connection.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query.encode()).fetchall()


@pytest.fixture(scope="module")
def copy_url(built_demo: BuiltDemo, copy_database: Callable[[str], str]) -> str:
    """A copy of the built demo."""
    return copy_database(built_demo.url)


@pytest.fixture
def spoilable(copy_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the copy whose changes are taken back."""
    with psycopg.connect(copy_url) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def own_url(
    built_demo: BuiltDemo,
    validated: Callable[[str], AbstractContextManager[str]],
    use_database: Callable[[str], None],
) -> Iterator[str]:
    """A copy of the built demo for one test, which commands find."""
    with validated(set_aside("demo")) as url:
        use_database(url)
        yield url


@pytest.fixture(scope="module")
def names(copy_url: str) -> Names:
    with psycopg.connect(copy_url) as connection:
        return for_target("prod", connection, as_of=AS_OF)


# -- the files ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SUITES)
def test_suite_file_is_in_its_one_form(name: str) -> None:
    text = suite_text(name)
    content = json.loads(text)
    assert suite_in_form(content) == text
    ids = [block["id"] for block in content["expectations"]]
    assert len(ids) == len(set(ids))
    severity = {"raw": "warning", "marts": "critical"}[name]
    assert {block["severity"] for block in content["expectations"]} == {severity}
    for block in content["expectations"]:
        assert block["description"].endswith(".")


@pytest.mark.parametrize("name", SUITES)
def test_suites_name_no_schema_and_only_known_vars(name: str) -> None:
    text = suite_text(name)
    assert not re.search(
        r"\b(public|anchorline_\w+)\.\w", text.replace("anchorline_ops.manual", "")
    )
    for variable in set(re.findall(r"\{var:(\w+)\}", text)):
        assert project_variable(variable, ""), variable
    for expectation in read_suite(name).expectations:
        if expectation.type == QUERY_TYPE:
            assert expectation.rows_tried is not None, expectation.id


def test_shapes_are_those_that_the_models_declare() -> None:
    shapes = {e.relation.name: e for id_, e in expectations("raw").items() if id_.endswith("shape")}
    sources = read_sources()
    assert set(shapes) == set(sources)
    for table, expectation in shapes.items():
        assert set(expectation.kwargs["column_set"]) == sources[table].required_columns
        assert expectation.is_optional == sources[table].is_optional


def test_optional_columns_are_named_where_they_are_read() -> None:
    for expectation in read_suite("raw").expectations:
        text = f"{expectation.query} {expectation.rows_tried}"
        needed = {column for _, column in expectation.needs}
        for column in read_sources()[expectation.relation.name].columns:
            if column.is_optional and re.search(rf"\brecords\.{column.name}\b", text):
                assert column.name in needed, expectation.id


def test_placeholders_become_quoted_names_and_literals() -> None:
    names = Names({"raw": 'O\'Brien "A" {b}', "marts": "m"}, AS_OF, {"farm": "it's"})
    rendered = names.render("{raw}.t {var:farm} {as_of} {other} '{3}'")
    assert rendered == (
        f"\"O'Brien \"\"A\"\" {{b}}\".t 'it''s' '{AS_OF_TEXT}'::date {{other}} '{{3}}'"
    )


# -- what each expectation must see ---------------------------------------------------------


def test_every_marts_expectation_has_a_corruption() -> None:
    assert {id_ for id_, _ in CORRUPTIONS} == set(expectations("marts"))


def test_marts_as_built_hold_what_they_promise(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    for expectation in read_suite("marts").expectations:
        assert failing(spoilable, names, expectation) == [], expectation.id


@pytest.mark.parametrize(("expectation_id", "corruption"), CORRUPTIONS)
def test_expectation_sees_its_corruption_and_limited_what_is_theirs(
    spoilable: psycopg.Connection[Any], names: Names, expectation_id: str, corruption: str
) -> None:
    changed = spoilable.execute(corruption.encode()).rowcount
    assert changed > 0, "the demo farm has no such row"
    expectation = expectations("marts")[expectation_id]

    def found(limit: Limit) -> list[Any]:
        return failing(spoilable, Catalogue(spoilable, names).limited(limit), expectation)

    everywhere = failing(spoilable, names, expectation)
    assert everywhere
    spoilt = {row.batch for row in everywhere}
    assert len(spoilt) in (1, DEMO_BATCHES), "one batch, or a whole table"
    batches = spoilable.execute(
        "select batch_number from anchorline_marts.batches "
        "order by batch_number = any(%s) desc, batch_number",
        [list(spoilt)],
    ).fetchall()
    for batch in (batches[0][0], batches[-1][0]):
        limit = find_limit(spoilable, names, batch_numbers=[batch])
        theirs = {row for row in everywhere if row.batch in limit.batch_numbers}
        assert set(found(limit)) == theirs
        for row in list(theirs)[:1]:
            if row.date is not None:
                monday = row.date - timedelta(days=row.date.weekday())
                assert row in found(replace(limit, first_date=monday))
                later = found(replace(limit, first_date=monday + timedelta(days=14)))
                assert (row in later) == (expectation.scope == LINEAGE)


def test_a_limit_is_a_whole_lineage_and_a_whole_week(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    lineage = spoilable.execute(
        """
        select array_agg(batch_number order by batch_number) from anchorline_marts.batches
        group by lineage_id having count(*) > 1
        """
    ).fetchone()
    assert lineage is not None
    rows = spoilable.execute(
        "select assignment_id from anchorline_marts.population_reconciliation "
        "where batch_number = any(%s)",
        lineage,
    ).fetchall()
    ids = sorted(row[0] for row in rows)
    thursday, monday = date(2025, 9, 25), date(2025, 9, 22)
    by_batch = find_limit(spoilable, names, batch_numbers=lineage[0][1:2], first_date=thursday)
    by_assignment = find_limit(spoilable, names, assignment_ids=ids[:1], first_date=monday)
    assert by_batch == by_assignment
    assert by_batch.batch_numbers == tuple(lineage[0])
    assert set(by_batch.assignment_ids) >= set(ids)
    assert by_batch.first_date == monday
    assert Limit.from_json(json.loads(json.dumps(by_batch.as_json()))) == by_batch
    with pytest.raises(AnchorlineError, match=r"There is no batch SEA-1\. Batches are called"):
        find_limit(spoilable, names, batch_numbers=["SEA-1"])


def test_raw_expectations_of_one_batch_name_it(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    spoilable.execute(
        "update batch_growthsample set sample_size = 0 where id in "
        "(select min(id) from batch_growthsample group by assignment_id)"
    )
    expectation = expectations("raw")["batch_growthsample.values"]
    limit = find_raw_limit(spoilable, names, ["TROUBLE-001"])
    limited = Catalogue(spoilable, names).limited(limit)
    found = failing(spoilable, limited, expectation)
    assert {row.batch for row in found} == {"TROUBLE-001"}
    assert len({row.batch for row in failing(spoilable, names, expectation)}) > 1


@pytest.mark.parametrize("name", SUITES)
def test_an_expectation_says_how_far_it_can_be_limited(name: str) -> None:
    for expectation in read_suite(name).expectations:
        if name == "marts":
            assert expectation.scope in (DAYS, LINEAGE), expectation.id
        else:
            names_batch = expectation.query and "null::text as batch" not in expectation.query
            assert expectation.scope == (BATCH if names_batch else FARM), expectation.id


def test_raw_expectations_run_on_an_older_instance(
    spoilable: psycopg.Connection[Any], names: Names
) -> None:
    """Without the optional tables and columns some are skipped, and no other breaks."""
    for table in read_sources().values():
        named = sql.Identifier(table.name)
        if table.is_optional:
            spoilable.execute(sql.SQL("drop table if exists {} cascade").format(named))
            continue
        for column in table.columns:
            if column.is_optional:
                spoilable.execute(
                    sql.SQL("alter table {} drop column if exists {} cascade").format(
                        named, sql.Identifier(column.name)
                    )
                )
    catalogue = Catalogue(spoilable, names)
    skipped = 0
    for expectation in read_suite("raw").expectations:
        reason = catalogue.missing(expectation)
        if reason is not None:
            assert expectation.is_optional or expectation.needs, expectation.id
            skipped += 1
        elif expectation.type == QUERY_TYPE:
            failing(spoilable, names, expectation)
            spoilable.execute(names.render(expectation.rows_tried or "").encode())
    assert 10 < skipped < 60


# -- the command ----------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["validate", "--target", "prod", *arguments])


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.id: outcome for outcome in outcomes}


def test_the_command_itself_does_not_import_great_expectations() -> None:
    assert validate_command.name == "validate"
    script = (
        "import sys, anchorline.cli.validate\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('great_expectations', 'sqlalchemy')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_built_farm_validates(
    built_demo: BuiltDemo, use_database: Callable[[str], None], tmp_path: Path
) -> None:
    use_database(built_demo.url)
    shown = run("--as-of", AS_OF_TEXT, "--out", str(tmp_path / "docs"))
    assert shown.exit_code == 0, shown.output
    # what the demo farm has spoilt on purpose is a warning
    assert "warning   batch_growthsample.values" in shown.stdout
    assert "batch TROUBLE-001, assignment" in shown.stdout
    assert re.search(r"ok +weight_follows_from_the_day_before +\d\d,\d{3}", shown.stdout)
    assert "not evaluated" not in shown.stdout
    assert "there is no table" not in shown.stdout
    page = (tmp_path / "docs" / "index.html").read_text("utf-8")
    assert "marts.daily_assignment_states" in page


def test_states_that_are_not_kept_are_not_missed(own_url: str, validator: Validator) -> None:
    # two years back, at the beginning of a chunk of 91 days
    days = (AS_OF.replace(year=AS_OF.year - 2) - date(1970, 1, 1)).days // 91 * 91
    with psycopg.connect(own_url) as connection:
        dropped = connection.execute(
            "delete from anchorline_marts.daily_assignment_states "
            "where state_date < date '1970-01-01' + %s::integer",
            (days,),
        )
        assert dropped.rowcount > 1000
    kept = {"states_kept_years": 2}
    unknown = validator.validate(("marts",), as_of=AS_OF, batch_numbers=["FAR-2022-001"])
    assert unknown.errors
    found = validator.validate(("marts",), as_of=AS_OF, variables=kept)
    assert not found.errors
    assert found.names.limit is not None
    assert found.names.limit.batch_numbers
    assert "FAR-2022-001" not in found.names.limit.batch_numbers
    cut = run(
        "--suite",
        "marts",
        "--as-of",
        AS_OF_TEXT,
        "--vars",
        json.dumps(kept),
        "--batch",
        "FAR-2022-001",
    )
    assert cut.exit_code == 1
    assert "old states have been dropped" in cut.output


def test_great_expectations_sees_every_corruption(
    own_url: str, validator: Validator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = set()
    with psycopg.connect(own_url) as connection:
        for id_, corruption in CORRUPTIONS:
            if id_ not in seen:
                connection.execute(corruption.encode())
                seen.add(id_)
        connection.execute(
            "update anchorline_marts.daily_assignment_states set batch_number = %s",
            ["Ær <b>&'\"$1{0}"],
        )
        # a column that is gone: its SQL fails, and that is no pass
        connection.execute(
            "alter table anchorline_marts.weekly_batch_states rename column gain_kg to gain"
        )
    found = validator.validate(("marts",), docs_folder=tmp_path)
    outcomes = by_id(found.outcomes)
    broken = outcomes.pop("batch_week_is_the_sum_of_its_days")
    assert broken.status == BROKEN
    assert broken.is_error
    assert "gain_kg does not exist" in str(broken.reason)
    assert [name for name, outcome in outcomes.items() if outcome.status != FAILED] == []
    for outcome in outcomes.values():
        assert outcome.rows_failed > 0
        assert outcome.rows_tried is not None
        assert 0 < len(outcome.examples) <= 3
        assert {"batch", "assignment_id", "date"} <= set(outcome.examples[0])
        for name, value in outcome.examples[0].items():
            if name.endswith(("_count", "_population", "_g", "_kg")):
                assert isinstance(value, int | float | None), (
                    f"{name}: Great Expectations is slow with decimals"
                )
    pages = [page.read_text("utf-8") for page in (tmp_path / "validations").rglob("*.html")]
    shown_names = {name for page in pages for name in re.findall(r"Ær.{0,40}?(?=</div>)", page)}
    assert shown_names == {"Ær &lt;b&gt;&amp;&#x27;&quot;$1{0}"}
    assert any("gain_kg does not exist" in page for page in pages)
    monkeypatch.setattr("anchorline.cli.validate.run_suites", lambda *_, **__: found)
    shown = run("--suite", "marts")
    assert shown.exit_code == 1
    assert "error   every_day_adds_up_in_whole_fish" in shown.stdout
    assert "batch_week_is_the_sum_of_its_days could not be evaluated" in shown.stdout


def test_names_that_need_quotes_are_safe(
    own_url: str, validator: Validator, tmp_path: Path
) -> None:
    schema = 'O\'Brien :a "B" {c} %s 100%'
    with psycopg.connect(own_url) as connection:
        connection.execute(
            sql.SQL("alter schema public rename to {}").format(sql.Identifier(schema))
        )
    found = validator.validate(
        ("raw",), docs_folder=tmp_path, as_of=AS_OF, variables={"raw_schema": schema}
    )
    assert {o.status for o in found.outcomes} <= {PASSED, FAILED, SKIPPED}
    assert by_id(found.outcomes)["batch_growthsample.shape"].status == PASSED
    assert not found.errors
    # a table that must be there and is not
    with psycopg.connect(own_url) as connection:
        connection.execute(
            sql.SQL("drop table {} cascade").format(sql.Identifier(schema, "batch_growthsample"))
        )
        names = replace(found.names)
        missing = Catalogue(connection, names).missing(
            expectations("raw")["batch_growthsample.shape"]
        )
    assert missing == f"there is no table {schema}.batch_growthsample"


def test_without_marts_it_says_what_to_do(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    use_database(make_database())
    shown = run()
    assert shown.exit_code == 1
    assert "dbt build --target prod" in shown.stderr
    assert "--suite raw" in shown.stderr


def test_vars_must_be_a_mapping() -> None:
    assert "no mapping of vars" in run("--vars", "[1]").stderr
    assert "not YAML" in run("--vars", "{").stderr


def test_relations_are_found_in_queries() -> None:
    expectation = expectations("marts")["anchor_on_an_active_day_finds_its_state"]
    assert Relation("marts", "daily_assignment_states") in expectation.relations


# -- the process ----------------------------------------------------------------------------


@pytest.fixture
def stuck(own_url: str) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """A built farm whose days are locked, so that a validation waits; and who sees that it does."""
    with psycopg.connect(own_url) as lock, psycopg.connect(own_url, autocommit=True) as watch:
        lock.execute("lock table anchorline_marts.daily_assignment_states")

        def waiting() -> psycopg.Connection[Any]:
            for _ in range(300):
                if _sessions(watch, "wait_event_type = 'Lock'") == 2:
                    return watch
                time.sleep(0.1)
            raise AssertionError("nobody waits for the days")

        yield waiting


def _sessions(watch: psycopg.Connection[Any], condition: str = "true") -> int:
    row = watch.execute(
        sql.SQL(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and application_name like 'anchorline%' and {}"
        ).format(sql.SQL(condition))
    ).fetchone()
    assert row is not None
    return int(row[0])


def _must_end(watch: psycopg.Connection[Any]) -> None:
    """Wait until the validation has no session; the server takes a moment to end one."""
    for _ in range(100):
        if _sessions(watch) == 0:
            return
        time.sleep(0.1)
    raise AssertionError("a session is left")


def test_a_database_that_goes_away_is_no_result(
    stuck: Callable[[], psycopg.Connection[Any]], validator: Validator
) -> None:
    with ThreadPoolExecutor(1) as pool:
        validation = pool.submit(validator.validate, ("marts",))
        stuck().execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and wait_event_type = 'Lock'"
        )
        with pytest.raises(AnchorlineError, match="database went away") as raised:
            validation.result(timeout=60)
    assert "because: terminating connection" in str(raised.value.details)


def test_an_interrupted_validation_leaves_no_query_behind(
    stuck: Callable[[], psycopg.Connection[Any]], tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "anchorline", "validate", "--suite", "marts"]
    with subprocess.Popen(
        [*command, "--target", "prod", "--out", str(tmp_path)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        watch = stuck()
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in said
    _must_end(watch)


def test_one_process_validates_again_and_again(own_url: str, validator: Validator) -> None:
    with psycopg.connect(own_url) as connection:
        whole = validator.validate(("marts",), as_of=AS_OF)
        began = time.monotonic()
        limited = validator.validate(("marts",), as_of=AS_OF, batch_numbers=["TROUBLE-001"])
        assert time.monotonic() - began < 10, "much less than the import and all batches"
        connection.autocommit = True
        _must_end(connection)
    assert not whole.errors
    assert whole.docs is None
    assert [o.status for o in limited.outcomes] == [o.status for o in whole.outcomes]
    tried, of_all = by_id(limited.outcomes), by_id(whole.outcomes)
    for id_, outcome in tried.items():
        if outcome.status == PASSED and id_ != "every_measurement_is_an_anchor_or_rejected":
            assert (outcome.rows_tried or 0) <= (of_all[id_].rows_tried or 0), id_
    days = "numbers_lie_within_their_ranges"
    assert 0 < (tried[days].rows_tried or 0) < (of_all[days].rows_tried or 0) / 2


def test_a_folder_that_cannot_be_written_is_said_first(
    built_demo: BuiltDemo, use_database: Callable[[str], None], tmp_path: Path
) -> None:
    use_database(built_demo.url)
    (tmp_path / "file").touch()
    shown = run("--out", str(tmp_path / "file" / "docs"))
    assert shown.exit_code == 1
    assert "--out DIR" in shown.stderr
