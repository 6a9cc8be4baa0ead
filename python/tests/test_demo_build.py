"""The whole way once: demo farm, dbt build with all tests, summary."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from click.testing import CliRunner
from conftest import AS_OF, BuiltDemo

from anchorline.build import dbt_build
from anchorline.cli import main
from anchorline.errors import AnchorlineError


def test_summary_names_every_mart_and_the_active_batches(
    built_demo: BuiltDemo, use_database: Callable[[str], None]
) -> None:
    use_database(built_demo.url)
    shown = CliRunner().invoke(main, ["summary", "--target", "prod"])
    assert shown.exit_code == 0, shown.output
    assert f"Active batches on {AS_OF}" in shown.stdout
    for mart in ("daily_assignment_states", "weekly_batch_states", "weight_anchors", "batches"):
        assert f" {mart} " in shown.stdout
    with psycopg.connect(built_demo.url) as connection:
        row = connection.execute(
            "select batch_number from anchorline_marts.daily_batch_states "
            "where state_date = %s and population > 0 order by batch_number limit 1",
            (AS_OF,),
        ).fetchone()
    assert row is not None
    assert row[0] in shown.stdout


def test_failed_build_says_so(small_empty: BuiltDemo) -> None:
    """There are no raw tables. The project is parsed already for a database of that name."""
    with pytest.raises(AnchorlineError, match="dbt build failed") as raised:
        dbt_build(
            "prod",
            variables={"as_of_date": AS_OF.isoformat()},
            environment=small_empty.environment,
        )
    details = str(raised.value.details)
    assert "holds no table of the operational system" in details
    assert "[WARNING]" not in details
