"""Write the growth page of a target's marts, and pictures of it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from psycopg import Connection, IsolationLevel

from anchorline.errors import AnchorlineError
from anchorline.report.browser import browser
from anchorline.report.data import Batch, batches, read
from anchorline.report.page import page

PICTURE_SIZE: Final = (1280, 1900)
"""Width and height [px]: of a batch, all charts and the beginning of its tables."""

PICTURE_SECONDS: Final = 60


@dataclass(frozen=True)
class Written:
    """A page that was written, and the batches that it shows."""

    path: Path
    batches: list[Batch]
    byte_count: int


def write(
    connection: Connection, schema: str, path: Path, *, wanted: Sequence[str], locale: str
) -> Written:
    """Write the page of these batches (all where none is named); it replaces what is there.

    ``connection`` is in no transaction yet, and not in autocommit: all is read as of one moment.
    """
    connection.read_only = True
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    chosen = batches(connection, schema, wanted)
    content = page(
        read(connection, schema, chosen), locale=locale, written_on=datetime.now(UTC).date()
    ).encode()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise AnchorlineError(f"{path} cannot be written. Choose another with --out.") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return Written(path, chosen, len(content))


def take_pictures(written: Written, folder: Path) -> list[Path]:
    """Take a picture of the start page and one of each batch, in a folder."""
    program = browser()
    folder.mkdir(parents=True, exist_ok=True)
    address = written.path.resolve().as_uri()
    views = {"batches": address} | {
        f"batch-{batch.batch_id}": f"{address}#batch={batch.batch_id}" for batch in written.batches
    }
    return [_picture(program, view, folder / f"{name}.png") for name, view in views.items()]


def _picture(program: str, address: str, path: Path) -> Path:
    width, height = PICTURE_SIZE
    with tempfile.TemporaryDirectory(prefix="anchorline-") as profile:
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "--virtual-time-budget=10000",
            f"--screenshot={path.resolve()}",
            address,
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium runs as root in no other way
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PICTURE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise AnchorlineError(
                f"{program} took no picture within {PICTURE_SECONDS} s."
            ) from error
    if done.returncode or not path.is_file():
        raise AnchorlineError(
            f"{program} took no picture (exit code {done.returncode}).", details=done.stderr[-2000:]
        )
    return path
