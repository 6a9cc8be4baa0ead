"""The list of mutants that no check can notice, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

LIST: Final = Path(__file__).with_name("equivalent.yml")
"""The reviewed list."""


@dataclass(frozen=True)
class Equivalent:
    """One entry: the address of a mutant, its change in words, and why nobody can notice it."""

    address: str
    text: str
    reason: str


def read_equivalents(file: Path = LIST) -> dict[str, Equivalent]:
    """Read the list, by address.

    The file groups mutants by reason. An address that stands there twice, or a group without
    a reason, is an error.
    """
    found: dict[str, Equivalent] = {}
    for group in yaml.safe_load(file.read_text(encoding="utf-8")) or []:
        reason = str(group.get("reason") or "").strip()
        if not reason:
            raise ValueError(f"{file.name}: a group without a reason: {group}")
        for address, text in group["mutants"].items():
            if address in found:
                raise ValueError(f"{file.name}: {address} stands there twice")
            found[address] = Equivalent(address, str(text), reason)
    return found


def stale(
    entries: Iterable[Equivalent], addresses: Collection[str], models: Collection[str] | None = None
) -> list[Equivalent]:
    """Return the entries that no mutant answers to, perhaps only those of some models."""
    return [
        entry
        for entry in entries
        if entry.address not in addresses
        and (models is None or entry.address.partition("/")[0] in models)
    ]
