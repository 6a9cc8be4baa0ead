"""`python -m devtools.mutants`: the mutation check, from the command line."""

from __future__ import annotations

import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import psycopg

from anchorline import console, settings
from anchorline.database import EmbeddedServer
from anchorline.errors import AnchorlineError
from devtools.mutants import report
from devtools.mutants.check import Databases, Plan, Preparation, try_all
from devtools.mutants.equivalent import read_equivalents, stale
from devtools.mutants.generator import Mutant

EXAMPLES = """
\b
Examples:
  python -m devtools.mutants                              everything: half an hour
  python -m devtools.mutants --model int_anchors          one model
  python -m devtools.mutants --sample 200 --seed 7        some mutants, drawn
  python -m devtools.mutants --mutant int_anchors/3f2a9c  one mutant, by (part of) its address
  python -m devtools.mutants --model int_anchors --list   only list them
"""


@click.command(epilog=EXAMPLES)
@click.option("--model", "models", multiple=True, help="Only this model or seed; may be repeated.")
@click.option("--mutant", "addresses", multiple=True, help="Only this mutant; may be repeated.")
@click.option("--kind", "kinds", multiple=True, help="Only this kind; may be repeated.")
@click.option("--sample", type=click.IntRange(1), help="Only so many mutants, drawn at random.")
@click.option("--seed", default=1, show_default=True, help="Draws the farms and the sample.")
@click.option(
    "--farms",
    "farm_count",
    default=120,
    show_default=True,
    type=click.IntRange(1),
    help="Random farms for the mutants that a dozen farms and the unit tests let through.",
)
@click.option("--processes", default=2, show_default=True, type=click.IntRange(1))
@click.option("--list", "is_listing", is_flag=True, help="Only list the mutants.")
@click.option("--explain-kinds", is_flag=True, help="Only say what the kinds of mutants change.")
@click.option(
    "--url",
    metavar="URL",
    help="A server on which databases can be made.  [default: a throw-away server]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of all outcomes.  [default: target/mutants.json]",
)
def main(
    models: tuple[str, ...],
    addresses: tuple[str, ...],
    kinds: tuple[str, ...],
    sample: int | None,
    seed: int,
    farm_count: int,
    processes: int,
    is_listing: bool,
    explain_kinds: bool,
    url: str | None,
    out: Path | None,
) -> None:
    """Change the SQL of the engine and of all that feeds it, one place at a time.

    Each change must be caught by a check: the build itself, verify, a data test, a unit test or
    validate, asked in this order. Exit code 1 where a mutant survives that the list of equivalent
    mutants does not name, and where the list is wrong.
    """
    if explain_kinds:
        console.show(report.kinds())
        return
    start = time.monotonic()
    with _server(url) as databases, tempfile.TemporaryDirectory(prefix="anchorline-") as folder:
        preparation = Preparation(databases, Path(folder), console.say)
        everything = preparation.mutants()
        chosen = _chosen(everything, models, addresses, kinds, sample, seed)
        if is_listing:
            for mutant in chosen:
                console.out.print(f"{mutant.address}  {mutant.text}", markup=False)
            return
        outcomes = []
        grounds = preparation.grounds(seed, farm_count)
        plan = Plan(
            preparation.settings,
            preparation.unit_tests(),
            {mutant.mutant.address: mutant.statement for mutant in preparation.seeds},
        )
        copies = [preparation.copies(grounds, number) for number in range(processes)]
        console.say(f"Trying {len(chosen)} mutants")
        with console.progress(count_items=True) as progress:
            task = progress.add_task("Mutants", total=len(chosen))
            for outcome in try_all(plan, chosen, copies):
                outcomes.append(outcome)
                progress.advance(task)
                if progress.disable and len(outcomes) % 250 == 0:
                    console.say(f"{len(outcomes)} of {len(chosen)}")
    equivalents = read_equivalents()
    verdict = report.judge(
        outcomes,
        equivalents,
        stale(equivalents.values(), {mutant.address for mutant in everything}),
    )
    file = out or settings.project_folder() / "target" / "mutants.json"
    report.write(file, outcomes, equivalents)
    _show(verdict, file, time.monotonic() - start)
    sys.exit(0 if verdict.is_good else 1)


def _show(verdict: report.Verdict, file: Path, seconds: float) -> None:
    equivalents = read_equivalents()
    for title, key in (("kind", lambda m: m.kind), ("model", lambda m: m.model)):
        console.show(report.table(verdict.outcomes, equivalents, title, key))
        console.out.print()
    for title, outcomes in (
        ("Survived, and not listed as equivalent:", verdict.survivors),
        ("Listed as equivalent, and caught:", verdict.wrongly_listed),
    ):
        if outcomes:
            console.out.print(title, style="bold")
        for outcome in sorted(outcomes, key=lambda o: o.mutant.address):
            caught = (
                f"  [{outcome.finding.check}: {outcome.finding.name}]" if outcome.finding else ""
            )
            console.out.print(
                f"  {outcome.mutant.address}  {outcome.mutant.text}{caught}", markup=False
            )
    if verdict.stale:
        console.out.print("Listed as equivalent, and no mutant any more:", style="bold")
    for entry in verdict.stale:
        console.out.print(f"  {entry.address}  {entry.text}", markup=False)
    console.out.print(
        f"{len(verdict.outcomes)} mutants, {len(verdict.survivors)} survived, "
        f"in {seconds / 60:.0f} min. All outcomes: {file}",
        markup=False,
    )


def _chosen(
    mutants: list[Mutant],
    models: tuple[str, ...],
    addresses: tuple[str, ...],
    kinds: tuple[str, ...],
    sample: int | None,
    seed: int,
) -> list[Mutant]:
    known = {mutant.model for mutant in mutants}
    strange = [model for model in models if model not in known]
    if strange:
        raise click.ClickException(
            f"No mutant of {', '.join(strange)}. There are some of {', '.join(sorted(known))}."
        )
    chosen = [
        mutant
        for mutant in mutants
        if (not models or mutant.model in models)
        and (not kinds or mutant.kind in kinds)
        and (not addresses or any(mutant.address.startswith(start) for start in addresses))
    ]
    if sample is not None and sample < len(chosen):
        chosen = random.Random(seed).sample(chosen, sample)  # noqa: S311
    if not chosen:
        raise click.ClickException("There is no such mutant. `--list` lists them.")
    return chosen


@contextmanager
def _server(url: str | None) -> Iterator[Databases]:
    """Use the server of a URL, or start one that is gone afterwards."""
    prefix = "mutants"
    if url is not None:
        given = psycopg.conninfo.conninfo_to_dict(url)
        databases = Databases(
            lambda name: psycopg.conninfo.make_conninfo(url, dbname=name),
            lambda: psycopg.connect(url),
            f"{prefix}_{given.get('port', '')}_{random.SystemRandom().randrange(10**6)}",
        )
        try:
            yield databases
        finally:
            databases.drop()
        return
    folder = Path(tempfile.mkdtemp(prefix="anchorline-mutants-"))
    server = EmbeddedServer(folder / "data", port=_free_port(), durable=False)
    try:
        console.say("Starting a throw-away server")
        server.start()
        yield Databases(
            lambda name: server.url(name, with_password=True),
            server.admin_connection,
            prefix,
            owner="anchorline",
        )
    finally:
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    try:
        main()
    except (AnchorlineError, RuntimeError, psycopg.Error) as error:
        console.say(f"Error: {error}")
        sys.exit(2)
