"""Tables set aside on disk, divided into parts: written as they are read, read part by part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]

from anchorline.reference.tables import IntArray
from anchorline.verify.reading import as_frame, empty_table

_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


class Spool:
    """Tables in a folder, one Arrow file each.

    A file holds its rows in the order in which they came, in batches of one part each, so that
    writing needs no more memory than is written at a time.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kinds: dict[str, str] = {}
        self._batches: dict[str, dict[int, list[int]]] = {}

    def write(
        self, name: str, kinds: str, pieces: Iterable[tuple[pa.Table, IntArray, IntArray]]
    ) -> None:
        """Set a table aside; `kinds` are its columns (`anchorline.reference.inputs`).

        Each piece is a table with the positions of the rows to keep and the part of each: a row
        may be kept in several parts, or in none.
        """
        self._kinds[name] = kinds
        batches: dict[int, list[int]] = defaultdict(list)
        number = 0
        path = str(self._folder / name)
        with pa.ipc.new_file(path, empty_table(kinds).schema, options=_OPTIONS) as file:
            for table, row, part in pieces:
                if len(row) == 0:
                    continue
                order = np.argsort(part, kind="stable")
                batch = table.take(pa.array(row[order])).combine_chunks().to_batches()[0]
                parts, first = np.unique(part[order], return_index=True)
                ends = [*first[1:].tolist(), len(row)]
                for of, start, end in zip(parts.tolist(), first.tolist(), ends, strict=True):
                    file.write_batch(batch.slice(start, end - start))
                    batches[of].append(number)
                    number += 1
        self._batches[name] = dict(batches)
        # what allocators keep for later is most of what reading costs
        pa.default_memory_pool().release_unused()

    def parts(self) -> list[int]:
        """Return the parts that have rows of any table, in order."""
        return sorted({part for batches in self._batches.values() for part in batches})

    def frame(self, name: str, part: int) -> pd.DataFrame:
        """Read a part of a table, as the reference takes it; empty where it has no rows."""
        kinds, numbers = self._kinds[name], self._batches[name].get(part, [])
        if not numbers:
            return as_frame(empty_table(kinds), kinds)
        with pa.OSFile(str(self._folder / name)) as source:
            file = pa.ipc.open_file(source)
            table = pa.Table.from_batches([file.get_batch(number) for number in numbers])
        return as_frame(table, kinds)
