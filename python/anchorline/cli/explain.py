"""`anchorline explain`: one number, taken apart."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click
import yaml
from psycopg import IsolationLevel

from anchorline import console, settings
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.errors import AnchorlineError
from anchorline.explain import explain as gather
from anchorline.explain.equations import day_equations, departure_equations
from anchorline.explain.facts import Rules, StateDay
from anchorline.explain.render import render_departure, render_state, to_json
from anchorline.raw.sources import project_variable


@click.command()
@click.argument("batch")
@click.argument("container")
@click.argument("day", metavar="DATE", type=click.DateTime(["%Y-%m-%d"]))
@click.option(
    "--vars",
    "variables",
    metavar="YAML",
    help="The vars that dbt was given, as on its command line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
@target_option
@click.pass_context
def explain(
    ctx: click.Context,
    batch: str,
    container: str,
    day: datetime,
    variables: str | None,
    as_json: bool,
    target: str,
) -> None:
    r"""Take the state of BATCH in CONTAINER on DATE apart.

    Shows the day before, the fish that came and went, deaths, temperature, parameters, anchor
    and feed, each down to table#id of the raw records; then the equations with their numbers.
    On a departure day, which has no state, it shows what left.

    BATCH is a batch number or id, CONTAINER a name or id; `id:12` is always an id. Exits with 1
    where there is nothing to explain, or where the equations do not give the published numbers.

    \b
    Examples:
      anchorline explain FAR-2024-005 "FAR Ring 01" 2025-06-14
      anchorline explain 6 id:57 2025-06-14 --json | jq .published
    """
    rules = _rules(variables)
    with connect(target) as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        prefix = settings.target_schema(target)
        explained = gather(connection, prefix, batch, container, day.date(), rules)
    if isinstance(explained, StateDay):
        equations = day_equations(explained)
    else:
        equations = departure_equations(explained)
    if as_json:
        shown = to_json(explained, equations)
        click.echo(json.dumps(shown, indent=2, ensure_ascii=False, default=str))
    elif isinstance(explained, StateDay):
        console.out.print(render_state(explained, equations))
    else:
        console.out.print(render_departure(explained, equations))
    if not all(equation.agrees for equation in equations):
        ctx.exit(1)


def _rules(variables: str | None) -> Rules:
    """Return the vars of the build: those given, else those of dbt_project.yml."""
    given: Any = {}
    if variables:
        try:
            given = yaml.safe_load(variables)
        except yaml.YAMLError as error:
            raise AnchorlineError(f"--vars is {variables!r}, which is not valid YAML.") from error
        if not isinstance(given, dict):
            raise AnchorlineError(
                f"--vars is {variables!r}; expected something like '{{name: value}}'."
            )

    def value(name: str, default: object) -> str:
        return str(given.get(name) or project_variable(name, str(default)))

    usual = Rules()
    return Rules(
        growth_formula=value("growth_formula", usual.growth_formula),
        missing_mortality=value("missing_mortality", usual.missing_mortality),
        fcr_cap=float(value("fcr_cap", usual.fcr_cap)),
        min_gain_kg_for_fcr=float(value("min_gain_kg_for_fcr", usual.min_gain_kg_for_fcr)),
        max_interpolation_gap_days=int(
            value("max_interpolation_gap_days", usual.max_interpolation_gap_days)
        ),
        short_interpolation_gap_days=int(
            value("short_interpolation_gap_days", usual.short_interpolation_gap_days)
        ),
        max_nearest_gap_days=int(value("max_nearest_gap_days", usual.max_nearest_gap_days)),
    )
