"""The whole way once: demo farm, dbt build with all tests, summary."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from anchorline.build import dbt_build
from anchorline.cli import main
from anchorline.cli.demo import load_demo
from anchorline.errors import AnchorlineError

AS_OF = date(2025, 9, 30)


@pytest.fixture(scope="module")
def built_demo(
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """The URL of a database with the demo farm and all that dbt builds and tests on it."""
    url = make_database()
    folder: Path = tmp_path_factory.mktemp("dbt")
    environment = {
        **database_environment(url),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        load_demo("prod", batches=8, as_of=AS_OF, seed=1)
        dbt_build("prod", variables={"as_of_date": AS_OF.isoformat()})
    return url


def test_summary_names_every_mart_and_the_active_batches(
    built_demo: str, use_database: Callable[[str], None]
) -> None:
    use_database(built_demo)
    shown = CliRunner().invoke(main, ["summary", "--target", "prod"])
    assert shown.exit_code == 0, shown.output
    assert f"Active batches on {AS_OF}" in shown.stdout
    for mart in ("daily_assignment_states", "weekly_batch_states", "weight_anchors", "batches"):
        assert f" {mart} " in shown.stdout
    with psycopg.connect(built_demo) as connection:
        row = connection.execute(
            "select batch_number from anchorline_marts.daily_batch_states "
            "where state_date = %s and population > 0 order by batch_number limit 1",
            (AS_OF,),
        ).fetchone()
    assert row is not None
    assert row[0] in shown.stdout


def test_failed_build_says_so(
    make_database: Callable[[], str], use_database: Callable[[str], None], tmp_path: Path
) -> None:
    use_database(make_database())  # no raw tables in it
    with pytest.raises(AnchorlineError, match="dbt build failed") as raised:
        dbt_build(
            "prod",
            environment={
                "DBT_TARGET_PATH": str(tmp_path / "target"),
                "DBT_LOG_PATH": str(tmp_path / "logs"),
            },
        )
    details = str(raised.value.details)
    assert "holds no table of the operational system" in details
    assert "[WARNING]" not in details
