"""Get a Chromium for the tests of the growth page: python3 tools/get_chromium.py.

Where there is one ($CHROMIUM, else chromium, chromium-browser or google-chrome on the PATH) it does
nothing. Else it installs the package `chromium`, as root on a system with apt-get, and says so;
elsewhere it says what to install. With CHROMIUM set to a program that is not there, nothing is
installed either.

It always succeeds: without a browser those tests are skipped, and say why. Needs Python's standard
library and nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PROJECT = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(PROJECT / "python"))

from anchorline.report.browser import BROWSERS, find_browser  # noqa: E402

UPDATE: Final = ("update",)
INSTALL: Final = ("install", "--yes", "--no-install-recommends", "chromium")
SECONDS: Final = 180
"""How long each step may take; what needs a network comes first, and may be broken off anywhere."""


def main() -> int:
    """Install a Chromium where there is none and it can be done."""
    named = os.environ.get("CHROMIUM")
    if find_browser():
        return 0
    if named:
        _say(f"CHROMIUM names {named}, which is not there.")
        return 0
    apt_get = shutil.which("apt-get")
    if os.geteuid() != 0 or apt_get is None:
        _say(
            f"None of {', '.join(BROWSERS)} is on the PATH. Install a Chromium, or let the "
            "environment variable CHROMIUM name one."
        )
        return 0
    print(
        "Installing the package chromium with apt-get, for the tests of the growth page "
        "(CHROMIUM=none: without) ...",
        file=sys.stderr,
        flush=True,
    )
    _run(apt_get, *UPDATE)  # where that fails, what is known already may do
    error = _run(apt_get, *INSTALL, "--download-only") or _run(apt_get, *INSTALL)
    if error or find_browser() is None:
        _say(f"It could not be installed{f' ({error})' if error else ''}.")
    return 0


def _run(apt_get: str, *arguments: str) -> str | None:
    """Run apt-get, which asks nothing; return what went wrong, in a line."""
    try:
        done = subprocess.run(
            [apt_get, "-o", "DPkg::Lock::Timeout=60", *arguments],
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"apt-get {arguments[0]} took longer than {SECONDS} s"
    if done.returncode == 0:
        return None
    said = done.stdout.split("\n")
    return next(
        (line for line in reversed(said) if line.startswith("E:")), f"exit code {done.returncode}"
    )


def _say(message: str) -> None:
    print(f"{message} The tests of the growth page in a browser are skipped.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
