"""Tables as few bytes: what Python packs here, the page unpacks in `unpack.js`.

The layout of a packed batch, all of it deflated (zlib), then written as base64:

    4 bytes         length of the header, little-endian
    header          JSON: {table: {"rows": n, "columns": [{"name", "kind", "bytes", ...}, ...]}}
    columns         one after the other, in the order of the header, each of `bytes` bytes

A column is a sequence of whole numbers: of `number`, the value times 10^`decimals`; of `date`, days
since 1970-01-01; of `flag`, 0 or 1; of `text`, the place in the column's list `values`. The numbers
are differenced `order` times (0, 1 or 2: whichever takes the fewest bytes; days, counts and growing
weights hardly change from row to row), folded to positive ones (0, -1, 1, -2 become 0, 1, 2, 3) and
written in groups of seven bits, the lowest first, with the eighth bit set where more follow.

Nulls repeat the value before them, and stand in `runs`: lengths of runs of rows, in turn with and
without a value. A column without nulls has no `runs`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["number", "date", "flag", "text"]
Cell = float | int | str | None

HIGHEST_ORDER: Final = 2


@dataclass(frozen=True)
class Column:
    """A column of a table: its name in the mart, what it holds, and its digits after the point."""

    name: str
    kind: Kind
    decimals: int = 0


@dataclass(frozen=True)
class Table:
    """Columns and their cells; dates are days since 1970-01-01."""

    columns: tuple[Column, ...]
    cells: Mapping[str, Sequence[Cell]]

    @property
    def row_count(self) -> int:
        """Return the number of rows."""
        return len(self.cells[self.columns[0].name])


def pack(tables: Mapping[str, Table]) -> str:
    """Return tables as base64 text; `unpack` and the page read it."""
    header: dict[str, Any] = {}
    parts: list[bytes] = []
    for name, table in tables.items():
        columns = []
        for column in table.columns:
            described, packed = _packed_column(column, table.cells[column.name])
            columns.append(described)
            parts.append(packed)
        header[name] = {"rows": table.row_count, "columns": columns}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    content = b"".join([len(text).to_bytes(4, "little"), text, *parts])
    return base64.b64encode(zlib.compress(content, 9)).decode()


def unpack(packed: str) -> dict[str, dict[str, list[Cell]]]:
    """Return the cells of packed tables, as the page reads them."""
    content = zlib.decompress(base64.b64decode(packed))
    start = 4 + int.from_bytes(content[:4], "little")
    header = json.loads(content[4:start])
    tables: dict[str, dict[str, list[Cell]]] = {}
    for name, table in header.items():
        tables[name] = {}
        for described in table["columns"]:
            end = start + described["bytes"]
            tables[name][described["name"]] = _unpacked_column(described, content[start:end])
            start = end
    return tables


def _packed_column(column: Column, cells: Sequence[Cell]) -> tuple[dict[str, Any], bytes]:
    described: dict[str, Any] = {"name": column.name, "kind": column.kind}
    if column.kind == "text":
        values = list(dict.fromkeys(cell for cell in cells if cell is not None))
        places = {value: place for place, value in enumerate(values)}
        numbers = [None if cell is None else places[cell] for cell in cells]
        described["values"] = values
    else:
        numbers = [None if cell is None else _whole(column, float(cell)) for cell in cells]
    if column.kind == "number":
        described["decimals"] = column.decimals
    runs = _runs(cells)
    if len(runs) > 1:
        described["runs"] = runs
    filled = np.empty(len(numbers), dtype=np.int64)
    last = 0
    for row, number in enumerate(numbers):
        last = last if number is None else number
        filled[row] = last
    order, packed = min(
        ((order, _seven_bit_groups(_folded(filled, order))) for order in range(HIGHEST_ORDER + 1)),
        key=lambda attempt: len(attempt[1]),
    )
    return described | {"order": order, "bytes": len(packed)}, packed


def _whole(column: Column, value: float) -> int:
    return round(value * 10.0**column.decimals)


def _runs(cells: Sequence[Cell]) -> list[int]:
    """Return lengths of runs in turn with and without a value; [n] where there are no nulls."""
    runs = [0]
    for cell in cells:
        has_value = len(runs) % 2 == 1
        if (cell is not None) != has_value:
            runs.append(0)
        runs[-1] += 1
    return runs


def _folded(numbers: NDArray[np.int64], order: int) -> NDArray[np.uint64]:
    """Return the numbers, differenced so many times, as positive ones."""
    for _ in range(order):
        numbers = np.diff(numbers, prepend=np.int64(0))
    return ((numbers << 1) ^ (numbers >> 63)).astype(np.uint64)


def _seven_bit_groups(numbers: NDArray[np.uint64]) -> bytes:
    lengths = np.ones(len(numbers), dtype=np.int64)
    for group in range(1, 10):
        lengths += numbers >= np.uint64(1 << (7 * group))
    starts = np.cumsum(lengths) - lengths
    packed = np.zeros(int(lengths.sum()), dtype=np.uint8)
    for group in range(int(lengths.max(initial=0))):
        some = lengths > group
        bits = (numbers[some] >> np.uint64(7 * group)) & np.uint64(127)
        more = np.where(lengths[some] > group + 1, 128, 0).astype(np.uint64)
        packed[starts[some] + group] = (bits | more).astype(np.uint8)
    return packed.tobytes()


def _unpacked_column(described: Mapping[str, Any], packed: bytes) -> list[Cell]:
    numbers: list[int] = []
    number, shift = 0, 0
    for byte in packed:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append((number >> 1) ^ -(number & 1))
            number, shift = 0, 0
    for _ in range(described["order"]):
        total = 0
        for row, difference in enumerate(numbers):
            total += difference
            numbers[row] = total
    cells: list[Cell] = list(numbers)
    if described["kind"] == "text":
        has_values = bool(described["values"])
        cells = [described["values"][number] if has_values else None for number in numbers]
    elif described["kind"] == "number":
        cells = [number / 10 ** described["decimals"] for number in numbers]
    row, is_null = 0, False
    for length in described.get("runs", []):
        if is_null:
            cells[row : row + length] = [None] * length
        row, is_null = row + length, not is_null
    return cells
