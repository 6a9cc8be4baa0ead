"""What a run found, as tables for a person and as a file for a program."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from devtools.mutants.arena import CHECKS
from devtools.mutants.check import Outcome
from devtools.mutants.equivalent import Equivalent
from devtools.mutants.generator import KINDS, Mutant

SURVIVED: Final = "survived"
EQUIVALENT: Final = "equivalent"


@dataclass(frozen=True)
class Verdict:
    """The outcomes against the list of equivalent mutants."""

    outcomes: Sequence[Outcome]
    survivors: Sequence[Outcome]
    wrongly_listed: Sequence[Outcome]
    stale: Sequence[Equivalent]

    @property
    def is_good(self) -> bool:
        """Whether every mutant was caught or is listed, and the list says nothing wrong."""
        return not (self.survivors or self.wrongly_listed or self.stale)


def judge(
    outcomes: Sequence[Outcome],
    equivalents: Mapping[str, Equivalent],
    stale_entries: Sequence[Equivalent],
) -> Verdict:
    """Compare the outcomes with the list."""
    return Verdict(
        outcomes=outcomes,
        survivors=[
            outcome
            for outcome in outcomes
            if outcome.finding is None and outcome.mutant.address not in equivalents
        ],
        wrongly_listed=[
            outcome
            for outcome in outcomes
            if outcome.finding is not None and outcome.mutant.address in equivalents
        ],
        stale=stale_entries,
    )


def fate(outcome: Outcome, equivalents: Mapping[str, Equivalent]) -> str:
    """Name what became of a mutant: the check that caught it, equivalent, or survived."""
    if outcome.finding is not None:
        return outcome.finding.check
    return EQUIVALENT if outcome.mutant.address in equivalents else SURVIVED


def table(
    outcomes: Iterable[Outcome],
    equivalents: Mapping[str, Equivalent],
    title: str,
    key: Callable[[Mutant], str],
) -> Table:
    """Count fates by a property of the mutants."""
    counts: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        counts.setdefault(key(outcome.mutant), Counter())[fate(outcome, equivalents)] += 1
    fates = (*CHECKS, EQUIVALENT, SURVIVED)
    result = Table(title, "mutants", *fates, box=None, header_style="bold")
    for column in result.columns[1:]:
        column.justify = "right"
    for name in sorted(counts):
        row = counts[name]
        result.add_row(name, str(row.total()), *(str(row[fate] or "") for fate in fates))
    total = sum(counts.values(), Counter[str]())
    result.add_row(
        "all", str(total.total()), *(str(total[fate] or "") for fate in fates), style="bold"
    )
    return result


def kinds() -> Table:
    """Explain the kinds of mutants."""
    result = Table("kind", "what is changed", box=None, header_style="bold")
    for kind, text in KINDS.items():
        result.add_row(kind, text)
    return result


def write(file: Path, outcomes: Iterable[Outcome], equivalents: Mapping[str, Equivalent]) -> None:
    """Write all outcomes as JSON, by model and kind."""
    records = [
        {
            "model": outcome.mutant.model,
            "mutant": outcome.mutant.address,
            "kind": outcome.mutant.kind,
            "where": outcome.mutant.scope,
            "before": outcome.mutant.before,
            "after": outcome.mutant.after or None,
            "fate": fate(outcome, equivalents),
            "caught_by": outcome.finding.name if outcome.finding else None,
            "differs_somewhere": outcome.is_changed,
            "seconds": round(outcome.seconds, 2),
        }
        for outcome in outcomes
    ]
    records.sort(key=lambda record: (record["model"], record["kind"], record["mutant"]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
