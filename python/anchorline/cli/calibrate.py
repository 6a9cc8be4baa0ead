"""`anchorline calibrate`: what the anchors say about the TGC of the models."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.table import Table
from rich.text import Text

from anchorline import console
from anchorline.cli.options import target_option
from anchorline.connection import acting_user, connect

if TYPE_CHECKING:
    import pandas as pd

    from anchorline.calibration.database import Farm
    from anchorline.calibration.fit import Calibration, Estimate

_MEANING = (
    "Model: what the models of the scenarios say. Measured: what the anchors say alone. New: both, "
    "each as far as it is known, with a 95 % interval of the site's mean; batches there differ "
    "besides. Factor: what a forecast multiplies the scenario's TGC by, and the one before."
)


@click.command()
@click.option(
    "--by",
    metavar="NAME",
    help="Who makes it.  [default: the user of the database; of the machine, where the database is "
    "the embedded one]",
)
@click.option("--dry-run", is_flag=True, help="Fit and print; keep nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@target_option
def calibrate(by: str | None, dry_run: bool, as_json: bool, target: str) -> None:
    r"""Fit growth by stage and site, and the noise of the smoothed series.

    Each anchor is held against what the series expected of it from those before. Where fish grow
    faster or more slowly than their models say, by life stage and station or area, the TGC is
    fitted by least squares, and drawn to the models' where little is known. Process noise and
    sample bias are those that make the anchors most likely. The forecast follows the newest fit
    from the next build on; states and smoothed series keep the models' TGC and the constants of
    the seed. Earlier fits stay in anchorline_ops.calibrations and calibrated_tgc.

    \b
    Examples:
      anchorline calibrate --dry-run
      anchorline calibrate
      anchorline calibrate --target prod --by Anna
      anchorline calibrate --dry-run --json | jq '.tgc[] | select(.site_kind == "all")'
    """
    from anchorline.calibration.database import CalibrationDatabase, calibration_row
    from anchorline.calibration.fit import calibrate as fit

    with connect(target, autocommit=True) as connection:
        database = CalibrationDatabase(connection, target)
        if not dry_run:
            database.require_writable()
        console.say("Reading anchors and the growth between them")
        farm = database.read()
        found = fit(farm.inputs, farm.constants, console.say)
        row = calibration_row(found, farm, by=by or acting_user(connection, target))
        calibration_id = None if dry_run else database.write(row, found.tgc)
    if as_json:
        click.echo(_json({"calibration_id": calibration_id} | row, found.tgc))
    else:
        _show(found, farm)
    if dry_run:
        console.say("Nothing is kept: this was a dry run.")
    else:
        console.say(
            f"Kept as calibration {calibration_id}. The forecast follows it from the next build on."
        )


def _show(found: Calibration, farm: Farm) -> None:
    console.show(_tgc_table(found.tgc, farm))
    console.paragraph(_MEANING + "\n")
    console.show(_noise_table(found, farm))
    after = "after"
    if found.batch_count > 1:
        after += ", each batch by the others"
    console.paragraph(
        f"Error of the next anchor, mean of {found.pair_count:,}: "
        f"{found.error_before_pct:.2f} % before, {found.error_after_pct:.2f} % {after}."
    )
    if found.batch_count == 1:
        console.note(
            "there is one batch: it is judged by what was fitted to it, which flatters the fit."
        )
    elif found.error_after_pct > found.error_before_pct:
        console.note(
            f"what {found.batch_count} batches tell does not help to expect another one: its own "
            "growth outweighs that of its sites. Look at the intervals."
        )
    if found.noise is None:
        console.note(
            f"{found.pair_count} anchors are too few for the noise, which wants "
            f"{farm.constants['minimum_pair_count']:.0f}: the constants of the seed stay."
        )
        return
    for name, estimate in _estimates(found).items():
        if estimate.is_weak:
            console.note(
                f"the {name} is weakly identified: anything in its interval explains the anchors "
                "almost as well" + (", and so does none." if estimate.low == 0 else ".")
            )


def _tgc_table(tgc: pd.DataFrame, farm: Farm) -> Table:
    before = farm.earlier_factors()
    table = Table(
        title="TGC by life stage and site [1000 g^(1/3) per °C d]",
        box=box.SIMPLE,
        title_justify="left",
    )
    table.add_column("Life stage")
    table.add_column("Site", overflow="fold")
    for name in ("Model", "Measured", "New", "95 % interval", "Factor", "Before", "Anchors"):
        table.add_column(name, justify="right", no_wrap=True)
    last = None
    for row in tgc.to_dict("records"):
        stage, is_all = row["lifecycle_stage_id"], row["site_kind"] == "all"
        earlier = before.get((stage, row["site_kind"], None if is_all else row["site_id"]), 1.0)
        cells = [
            "" if stage == last else farm.stage_names.get(stage) or str(stage),
            "all" if is_all else row["site_name"] or f"{row['site_kind']} {row['site_id']}",
            f"{row['tgc_model']:.3f}",
            f"{row['tgc_fitted']:.3f}",
            f"{row['tgc']:.3f}",
            f"{row['tgc_low']:.3f} - {row['tgc_high']:.3f}",
            f"{row['tgc_factor']:.3f}",
            f"{earlier:.3f}",
            f"{row['anchor_pair_count']:,}",
        ]
        table.add_row(*(Text(cell) for cell in cells))
        last = stage
    return table


def _noise_table(found: Calibration, farm: Farm) -> Table:
    table = Table(title="Noise of the smoothed series", box=box.SIMPLE, title_justify="left")
    table.add_column("Constant")
    for name in ("Seed", "New", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    estimates = _estimates(found)
    for name, key, unit in (
        ("process noise", "process_noise", "g^(2/3) per °C d"),
        ("sample bias", "sample_bias", "share"),
    ):
        new, interval = "", ""
        if name in estimates:
            estimate = estimates[name]
            new = f"{estimate.value:.3g}"
            high = "" if math.isnan(estimate.high) else f"{estimate.high:.3g}"
            interval = f"{estimate.low:.3g} - {high or 'open'}"
        table.add_row(f"{name} [{unit}]", f"{farm.constants[key]:.3g}", new, interval)
    return table


def _estimates(found: Calibration) -> dict[str, Estimate]:
    if found.noise is None:
        return {}
    return {
        "process noise": found.noise.process_noise,
        "sample bias": found.noise.sample_bias,
    }


def _json(row: dict[str, Any], tgc: pd.DataFrame) -> str:
    lines = tgc.astype(object).where(tgc.notna(), None).to_dict("records")
    plain = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
    }
    return json.dumps(plain | {"tgc": lines}, default=str, indent=2)
