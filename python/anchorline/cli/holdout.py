"""`anchorline holdout`: hide samples, and see how well the series know them."""

from __future__ import annotations

import json
import math
from datetime import datetime

import click
import pandas as pd
from rich import box
from rich.table import Table

from anchorline import console
from anchorline.cli.options import target_option
from anchorline.cli.verify import given_variables
from anchorline.connection import connect

_SERIES = (
    "forward: the state as known on the day, without the sample. filtered: the same with "
    "measurements weighed by their precision, and a band. smoothed: in hindsight, with later "
    "anchors. linear: a straight line between the anchors that were left."
)
_NOISE = (
    "A sample has noise of its own: of a good band of the state fewer than 95 % of samples lie "
    "inside, of a good prediction (state and sample) 95 %."
)
_TRUTH = "The truth has no noise: of a good band, 95 % of true weights lie inside."


@click.command()
@click.option(
    "--every",
    type=click.Choice(["2", "3"]),
    multiple=True,
    help="Hide every second, or every third sample; may be repeated.  [default: first one, then "
    "the other]",
)
@click.option(
    "--health-samplings",
    is_flag=True,
    help="Hide nothing, and compare with the health samplings, which are no anchors.",
)
@click.option(
    "--truth",
    is_flag=True,
    help="On those days, compare with the demo farm's truth, and not with the samples.",
)
@click.option(
    "--batch",
    "batches",
    multiple=True,
    metavar="NUMBER",
    help="Score the samples of this batch only; may be repeated.",
)
@click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help="The as-of date of the build.  [default: the day of the provisional states]",
)
@click.option(
    "--vars",
    "variables",
    metavar="YAML",
    help="The vars that dbt was given, as on its command line.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@target_option
def holdout(
    every: tuple[str, ...],
    health_samplings: bool,
    truth: bool,
    batches: tuple[str, ...],
    as_of: datetime | None,
    variables: str | None,
    as_json: bool,
    target: str,
) -> None:
    r"""Hide growth samples, compute the farm without them, and compare.

    Of each assignment, days with growth samples are hidden in turn; the first always stays, and
    so do measured transfers, vaccinations and manual anchors. Nothing in the database is changed:
    the reference reads the staging views and computes the whole farm in memory. `anchorline verify`
    shows that it and the SQL models give the same numbers.

    \b
    Examples:
      anchorline holdout
      anchorline holdout --every 2 --batch FAR-2024-001
      anchorline holdout --health-samplings
      anchorline holdout --truth
      anchorline holdout --json | jq '.[] | select(.days_since_anchor == "all")'
    """
    from anchorline.holdout import health_sampling_check
    from anchorline.holdout import holdout as run
    from anchorline.verify import run_parameters
    from anchorline.verify.truth import read_truth

    if health_samplings and every:
        raise click.UsageError("With --health-samplings nothing is hidden: leave out --every.")
    given = given_variables(variables)
    if as_of is not None:
        given["as_of_date"] = as_of.date()
    with connect(target, autocommit=True) as connection:
        parameters = run_parameters(connection, target, given)
        true_states = read_truth(connection) if truth else None
        if health_samplings:
            scores = health_sampling_check(
                connection,
                target,
                parameters=parameters,
                batch_numbers=batches,
                truth=true_states,
                tell=console.say,
            )
        else:
            scores = run(
                connection,
                target,
                parameters=parameters,
                every=sorted({int(step) for step in every or ("2", "3")}),
                batch_numbers=batches,
                truth=true_states,
                tell=console.say,
            )
    if as_json:
        known = scores.astype(object).where(scores.notna(), None)
        click.echo(json.dumps(known.to_dict("records"), indent=2))
        return
    for hidden, rows in scores.groupby("hidden"):
        console.show(_table(f"Hidden: {hidden}", rows))
    if scores.empty:
        console.paragraph("No sample can be hidden or compared.\n")
    console.paragraph(f"{_SERIES}\n{_TRUTH if truth else _NOISE}")


def _table(title: str, scores: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left")
    table.add_column("Days since the last anchor")
    table.add_column("Series")
    for column in ("Samples", "MAPE", "In the state's band", "In the prediction's band"):
        table.add_column(column, justify="right")
    last = ""
    for row in scores.to_dict("records"):
        group = str(row["days_since_anchor"])
        table.add_row(
            "" if group == last else group,
            str(row["series"]),
            f"{row['samples']:,}",
            _percent(row["mape_percent"], 2),
            _percent(row["in_band_percent"], 1),
            _percent(row["in_prediction_percent"], 1),
        )
        last = group
    return table


def _percent(value: float, decimals: int) -> str:
    return "" if math.isnan(value) else f"{value:.{decimals}f} %"
