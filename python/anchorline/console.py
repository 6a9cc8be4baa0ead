"""Where text goes: results to standard output, everything else to standard error."""

from __future__ import annotations

import os
import sys

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.segment import Segment, Segments
from rich.text import Text

# a file or a pipe has no width: tables take what they need, as far as is readable
_width = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 120

out = Console(highlight=False, soft_wrap=True, width=_width)
"""Results: what a script would read."""

err = Console(stderr=True, highlight=False, soft_wrap=True)
"""Progress, notes and errors: what a person reads."""


def show(renderable: RenderableType) -> None:
    """Print a table or text as wide as the terminal: folded, and no line ends in blanks."""
    segments: list[Segment] = []
    for line in out.render_lines(renderable, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            text, style, control = line.pop()
            line.append(Segment(text.rstrip(), style, control))
        segments += [*line, Segment.line()]
    out.print(Segments(segments), end="", soft_wrap=True)


def paragraph(text: str) -> None:
    """Print text on standard output, broken between words."""
    show(Text(text))


def fits(renderable: RenderableType) -> bool:
    """Return whether nothing of a table has to be folded or cut."""
    unbounded = out.options.update(width=10_000)
    return Measurement.get(out, unbounded, renderable).maximum <= out.width


def say(text: str) -> None:
    """Tell what was done, on standard error."""
    err.print(text, markup=False)


def note(text: str) -> None:
    """Tell something that the person should know, though nothing has failed."""
    err.print(f"Note: {text}", style="yellow", markup=False)


def progress(*, count_items: bool = False) -> Progress:
    """Make a progress bar on standard error; nothing is drawn where that is no terminal.

    Use it as a context manager; ``count_items`` shows "12/40" instead of a percentage.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn() if count_items else TaskProgressColumn(),
        TimeElapsedColumn(),
        console=err,
        disable=not err.is_terminal,
    )
