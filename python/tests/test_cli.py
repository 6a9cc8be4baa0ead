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

from anchorline import cli, settings
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
                'B-' || lpad(batch_id::text, 3, '0') as batch_number,
                'Smolt' as lifecycle_stage_name,
                date '2025-06-01' + day as state_date,
                case when batch_id = 1 and day = 1 then 0 else 1000 end as population,
                100.0 as avg_weight_g,
                100.0 as biomass_kg,
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
    assert "B-001" not in shown.stdout  # no fish on the newest day
    row = next(line for line in shown.stdout.splitlines() if "B-002" in line)
    assert row.split() == (
        ["B-002", "Smolt", "1,000", "100", "g", "0.1", "t", "2025-05-20", "growth_sample", "0.60"]
    )
    assert "... and 4 more batches" in shown.stdout
    assert "One row per measurement" in shown.stdout
    assert "Null means" not in shown.stdout


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
