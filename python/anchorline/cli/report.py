"""`anchorline report`: the growth page."""

from __future__ import annotations

from pathlib import Path

import click

from anchorline import console, settings
from anchorline.cli.options import target_option
from anchorline.connection import connect
from anchorline.report.browser import browser
from anchorline.report.page import locales
from anchorline.report.write import Written, take_pictures, write

PAGE = Path("growth.html")


@click.command()
@click.option(
    "--batch",
    "batches",
    metavar="BATCH",
    multiple=True,
    help="Only this batch, by number or id; may be repeated.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    default=PAGE,
    show_default=True,
    help="Where the page is written.",
)
@click.option(
    "--locale",
    type=click.Choice(locales()),
    default="en",
    show_default=True,
    help="The language of the texts, and how numbers and days are written.",
)
@click.option(
    "--png",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also take a picture of each view, with a Chromium on the PATH (or $CHROMIUM).",
)
@target_option
def report(
    batches: tuple[str, ...], out: Path, locale: str, folder: Path | None, target: str
) -> None:
    r"""Write the growth page: one HTML file that any browser opens, also without a network.

    Of each batch: weight, number and biomass beside the plan, the forecast, feed conversion between
    weighings, how far off the model was, and all of it for each container. The file holds all that
    it shows: whoever has it can read it.

    \b
    Examples:
      anchorline report
      anchorline report --batch FAR-2024-03 --out far-2024-03.html
      anchorline report --target prod --png pictures
    """
    if folder is not None:
        browser()  # no page without its pictures
    with connect(target) as connection:
        written = write(
            connection, settings.layer_schema("marts", target), out, wanted=batches, locale=locale
        )
    tell(written)
    if folder is not None:
        pictures = take_pictures(written, folder)
        console.say(
            f"Pictures of the start page and of {_batches(len(pictures) - 1)} are in {folder}."
        )


def tell(written: Written) -> None:
    """Name the page that was written, and say what is in it."""
    what = _batches(len(written.batches))
    console.out.print(str(written.path.absolute()), markup=False)
    console.say(
        f"The growth page of {what} ({written.byte_count / 1e6:.1f} MB): open it in a browser."
    )


def _batches(count: int) -> str:
    return "1 batch" if count == 1 else f"{count:,} batches"
