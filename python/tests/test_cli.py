"""The command line: help, errors, exit codes, the environment, the summary."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import jinja2
import psycopg
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import free_port

from anchorline import cli, console, hints, settings
from anchorline.cli import COMMANDS, env, main
from anchorline.connection import connect, connect_url, connection_parameters
from anchorline.database import EmbeddedServer
from anchorline.errors import AnchorlineError, causes
from anchorline.raw.schema import create_raw_tables


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def at_server(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> EmbeddedServer:
    """Let the commands work on the tests' server as if it were the project's."""
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(server.folder))
    return server


@pytest.fixture
def failing_command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    def fail_with(error: Exception) -> None:
        @click.command()
        def command() -> None:
            raise error

        monkeypatch.setattr(cli, "failing", command, raising=False)
        monkeypatch.setitem(COMMANDS, "failing", ("anchorline.cli:failing", "Fail."))

    return fail_with


def test_help_imports_no_command() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from anchorline.cli import main\n"
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('psycopg', 'dbt', 'pandas')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples(name: str) -> None:
    shown = run(name, "--help")
    assert shown.exit_code == 0, shown.output
    assert "Examples:\n    " in shown.output
    assert "\\b" not in shown.output


def test_error_is_one_message_with_its_causes(
    failing_command: Callable[[Exception], None],
) -> None:
    error = AnchorlineError("The pump is off. Switch it on.", details="log line")
    error.__cause__ = ValueError("no current")
    failing_command(error)
    shown = run("failing")
    assert shown.exit_code == 1
    assert shown.stderr == (
        "Error: The pump is off. Switch it on.\n  because: no current\n  log line\n"
    )
    assert "Traceback" in run("--verbose", "failing").stderr


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (OSError(28, "No space left on device"), 1, "a disk is full"),
        (psycopg.errors.DiskFull("could not extend file"), 1, "a disk is full"),
        (ZeroDivisionError("division by zero"), 1, "Error: ZeroDivisionError: division by zero"),
    ],
)
def test_other_errors_are_plain_too(
    failing_command: Callable[[Exception], None], error: Exception, code: int, expected: str
) -> None:
    failing_command(error)
    shown = run("failing")
    assert shown.exit_code == code
    assert expected in shown.stderr
    assert "Traceback" not in shown.stderr


def test_interrupt_is_one_line_and_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def command() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "failing", command, raising=False)
    monkeypatch.setitem(COMMANDS, "failing", ("anchorline.cli:failing", "Fail."))
    shown = run("failing")
    assert shown.exit_code == 130
    assert "Interrupted" in shown.stderr


def test_causes_do_not_repeat_what_was_said() -> None:
    error = AnchorlineError("Found no server: connection refused")
    error.__cause__ = OSError("connection refused")
    assert causes(error) == []


def test_status_and_url(at_server: EmbeddedServer) -> None:
    assert "running (process" in run("db", "status").output
    status = json.loads(run("db", "status", "--json").output)
    assert status["is_running"] is True
    assert status["port"] == at_server.port
    url = run("db", "url").stdout.strip()
    assert at_server.password() not in url
    psycopg.connect(url).close()
    psycopg.connect(run("db", "url", "--with-password").stdout.strip()).close()


def test_commands_before_the_first_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("ANCHORLINE_DB_PORT", str(free_port()))
    assert "No embedded database yet" in run("db", "status").output
    assert run("db", "stop").exit_code == 0
    for arguments in (["db", "url"], ["db", "psql"], ["db", "reset", "--yes"], ["summary"]):
        shown = run(*arguments)
        assert shown.exit_code == 1
        assert "anchorline db start" in shown.stderr
    assert not (tmp_path / "none").exists()


def test_reset_asks_first(at_server: EmbeddedServer) -> None:
    shown = run("db", "reset")
    assert shown.exit_code == 1
    assert "--yes" in shown.stderr


def test_psql_gets_the_arguments(at_server: EmbeddedServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "anchorline", "db", "psql", "-XAtc", "select current_user"],
        capture_output=True,
        text=True,
        env={**os.environ, "PGPASSWORD": "of another server"},
    )
    assert done.stdout.strip() == "anchorline", done.stderr


def test_environment_survives_a_shell(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(server.folder))
    script = f'eval {shlex.quote(run("env").stdout)}; printf \'%s\\n\' "$PATH" "$PGPASSFILE"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True).stdout
    path, passfile = shown.splitlines()
    assert path.split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert passfile == str(server.passfile)
    monkeypatch.setenv("PATH", path)
    assert env.exports()["PATH"] == path


@pytest.mark.parametrize(
    ("part", "wrong", "expected"),
    [
        ("dbname", "nowhere", "no database 'nowhere'"),
        ("password", "wrong", "refuses user 'anchorline'"),
        ("port", "1", "No PostgreSQL server answers"),
    ],
)
def test_connection_errors_say_what_to_do(
    server: EmbeddedServer, part: str, wrong: str, expected: str
) -> None:
    parameters = psycopg.conninfo.conninfo_to_dict(server.url(with_password=True))
    with pytest.raises(AnchorlineError, match=expected):
        connect_url(psycopg.conninfo.make_conninfo("", **{**parameters, part: wrong}))


def test_connections_by_target(
    at_server: EmbeddedServer,
    make_database: Callable[[], str],
    use_database: Callable[[str], None],
) -> None:
    url = make_database()
    use_database(url)
    with connect("embedded") as connection:
        assert connection.info.dbname == "anchorline"
    with connect("prod") as connection:
        assert connection.info.dbname == url.rpartition("/")[2]


def test_settings_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORLINE_DB_PORT", "http")
    with pytest.raises(AnchorlineError, match="ANCHORLINE_DB_PORT is 'http'"):
        settings.port_from_environment()
    monkeypatch.setenv("DBT_TARGET", "production")
    with pytest.raises(AnchorlineError, match="no target 'production'"):
        settings.chosen_target()


def test_dev_schema_is_one_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "Anna-Maria.O")
    assert settings.layer_schema("marts", "dev") == "dev_anna_maria_o_marts"
    assert settings.layer_schema("marts", "prod") == "anchorline_marts"


@pytest.mark.parametrize("target", ["dev", "prod"])
@pytest.mark.parametrize(
    "environment",
    [
        {"PGHOST": "db", "PGPORT": "6000", "PGUSER": "app", "PGDATABASE": "farm", "USER": "O.K-1"},
        {"PGHOST": "db", "PGUSER": "app"},
    ],
)
def test_package_and_dbt_agree_on_where_they_write(
    monkeypatch: pytest.MonkeyPatch, target: str, environment: dict[str, str]
) -> None:
    monkeypatch.delenv("USER", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    text = (settings.project_folder() / "profiles.yml").read_text()
    rendered = jinja2.Template(text).render(
        env_var=lambda name, default: os.environ.get(name, default)
    )
    profile = yaml.safe_load(rendered)["anchorline"]["outputs"][target]
    parameters = connection_parameters(target)
    for name in ("host", "port", "user", "dbname"):
        assert str(profile[name]) == str(parameters[name])
    assert profile["schema"] == settings.target_schema(target)


def make_marts(url: str, batches: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("create schema anchorline_marts")
        connection.execute(
            """
            create table anchorline_marts.daily_batch_states as
            select
                batch_id,
                'FAR-2024-' || lpad(batch_id::text, 3, '0') as batch_number,
                'Smolt' as lifecycle_stage_name,
                date '2025-06-01' + day as state_date,
                case when batch_id = 1 and day = 1 then 0 else 1000 end as population,
                100.0 as avg_weight_g,
                case when batch_id = 3 then 1234567.8 else 100.0 end as biomass_kg,
                0.6 as lowest_weight_confidence
            from generate_series(1, %s) as batch_id, generate_series(0, 1) as day
            """,
            (batches,),
        )
        connection.execute(
            """
            create table anchorline_marts.weight_anchors as
            select 2 as batch_id, date '2025-05-20' as anchor_date, 'growth_sample' as anchor_type,
                true as is_used
            union all
            select 2, date '2025-05-30', 'transfer', false
            """
        )
        connection.execute(
            "comment on table anchorline_marts.weight_anchors is "
            "'One row per measurement. Null means unknown.'"
        )


def test_summary_shows_the_batches_that_have_fish(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    make_marts(url, batches=25)
    use_database(url)
    shown = run("summary", "--target", "prod")
    assert shown.exit_code == 0, shown.output
    assert "FAR-2024-001" not in shown.stdout  # no fish on the newest day
    assert " ".join(row_of(shown.stdout, "FAR-2024-002")) == (
        "FAR-2024-002 Smolt 1,000 100 g 100 kg 2025-05-20 growth_sample 0.60"
    )
    assert "... and 4 more batches" in shown.stdout
    assert "One row per measurement" in shown.stdout
    assert "Null means" not in shown.stdout
    assert "anchorline doctor --target prod" in shown.stdout


def row_of(shown: str, batch_number: str) -> list[str]:
    return next(line for line in shown.splitlines() if batch_number in line).split()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_summary_cuts_nothing_in_a_narrow_terminal(
    width: int,
    make_database: Callable[[], str],
    use_database: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = make_database()
    make_marts(url, batches=4)
    use_database(url)
    monkeypatch.setattr(console.out, "width", width)
    shown = run("summary", "--target", "prod").stdout
    for text in ("FAR-2024-003", "Smolt", "1,000", "1,234.6 t", "2025-05-20", "0.60"):
        assert text in shown
    assert "…" not in shown
    assert "worst container" in " ".join(shown.split())
    tables = shown.partition("What to try next")[0].splitlines()
    assert max(map(len, tables)) <= width
    assert [line for line in tables if line != line.rstrip()] == []
    assert ("growth_sample" in shown) is (width != 80)  # left out first
    assert (len(row_of(shown, "FAR-2024-003")) == 2) is (width == 60)  # a block, not a row


def test_summary_says_when_the_raw_tables_are_other_ones(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    make_marts(url, batches=4)
    use_database(url)
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "farm")
        connection.execute("create schema anchorline_staging")
        connection.execute(
            "create view anchorline_staging.stg_batches as select id from farm.batch_batch"
        )
        connection.execute(
            "create table anchorline_marts.batches as "
            "select distinct batch_id, batch_number from anchorline_marts.daily_batch_states"
        )
        connection.execute(
            "insert into farm.batch_batch (id, batch_number, status, start_date, notes, "
            "created_at, updated_at, lifecycle_stage_id, species_id, batch_type) "
            "select batch_id, batch_number, 'ACTIVE', '2025-01-01', '', now(), now(), 1, 1, "
            "'STANDARD' from anchorline_marts.batches"
        )
        connection.execute(
            "insert into farm.batch_batchcontainerassignment "
            "(id, population_count, biomass_kg, assignment_date, is_active, notes, created_at, "
            "updated_at, batch_id, container_id, lifecycle_stage_id, departure_date) values "
            "(1, 0, 0, '2025-01-01', true, '', now(), now(), 1, 1, 1, null), "
            "(2, 0, 0, '2025-01-01', false, '', now(), now(), 1, 1, 1, '2025-08-01')"
        )
        sample = (
            "insert into farm.batch_growthsample (id, sample_date, sample_size, avg_weight_g, "
            "assignment_id, created_at, updated_at) values (%s, %s, 9, 9, %s, now(), now())"
        )
        connection.execute(sample, (1, "2025-06-02", 1))
        connection.execute(sample, (2, "2025-07-01", 2))  # it has departed: no state to come
        connection.execute(sample, (3, "2999-01-01", 1))  # a typing error
    assert "Not up to date" not in run("summary", "--target", "prod").stdout

    with psycopg.connect(url) as connection:
        connection.execute(sample, (4, "2025-06-20", 1))
        connection.execute("update farm.batch_batch set batch_number = 'NEW' where id = 4")
    shown = " ".join(run("summary", "--target", "prod").stdout.split())
    assert "records up to 2025-06-20, the marts end on 2025-06-02" in shown
    assert "1 batch of the raw tables is not in the marts, and 1 batch of the marts is no" in shown
    assert "Build again: `dbt build --target prod`" in shown


def test_summary_without_marts_says_how_to_build_them(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    use_database(url)
    shown = run("summary", "--target", "prod")
    assert shown.exit_code == 1
    assert "dbt build" in shown.stderr
    with psycopg.connect(url) as connection:
        connection.execute("create schema anchorline_marts")
        connection.execute("create table anchorline_marts.daily_batch_states (id int)")
    assert "lacks weight_anchors" in run("summary", "--target", "prod").stderr


def test_summary_sees_that_another_demo_farm_was_loaded(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    make_marts(url, batches=1)
    use_database(url)
    loaded = run("demo", "load", "--target", "prod", "--batches", "1", "--as-of", "2026-01-31")
    build = "dbt build --target prod --vars '{as_of_date: 2026-01-31}'"
    assert f"Next: `{build}`, then `anchorline summary --target prod`." in loaded.stderr
    with psycopg.connect(url) as connection:
        connection.execute("create schema anchorline_staging")
        connection.execute(
            "create view anchorline_staging.stg_batches as select id from public.batch_batch"
        )
        connection.execute(
            "create table anchorline_marts.batches as select 1 as batch_id, 'A' as batch_number"
        )
    shown = " ".join(run("summary", "--target", "prod").stdout.split())
    assert "the demo farm ends on 2026-01-31, the marts end on 2025-06-02" in shown
    assert f"Build again: `{build}`" in shown


def test_hints_name_the_target_and_what_differs_from_the_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert hints.dbt_build("embedded") == "dbt build"
    assert hints.dbt_build("prod", raw_schema="public", timezone="UTC") == (
        "dbt build --target prod"
    )
    assert hints.dbt_build("dev", raw_schema="Farm 'x'", timezone="Atlantic/Faroe") == (
        """dbt build --target dev --vars """
        """'{raw_schema: "Farm '"'"'x'"'"'", timezone: Atlantic/Faroe}'"""
    )
    monkeypatch.setenv("DBT_TARGET", "prod")
    assert hints.for_target("dbt build", "prod") == "dbt build --target prod"
    assert hints.for_target("dbt build", "embedded") == "dbt build --target embedded"


def test_environment_before_the_first_start_names_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(tmp_path / "none"))
    shown = run("env")
    assert [line.partition("=")[0] for line in shown.stdout.splitlines()] == ["export PATH"]
    assert "anchorline db start" in shown.stderr


def test_demo_leaves_other_data_alone(
    make_database: Callable[[], str], use_database: Callable[[str], None]
) -> None:
    url = make_database()
    use_database(url)
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
        connection.execute(
            "insert into public.infrastructure_geography values (1, 'x', '', now(), now())"
        )
    shown = run("demo", "load", "--target", "prod")
    assert shown.exit_code == 1
    assert "infrastructure_geography" in shown.stderr
