"""Check types and SQL style: tools/lint.py [COMMAND ...].

Called by `make lint`, in the project's environment. `make test` gives it the tests as a command,
which runs meanwhile and comes first: tests wait for the database every now and then, and linters,
which need none, take what time they leave. What the linters say is shown at the end.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO


def main(command: Sequence[str]) -> int:
    """Return 0 where neither the linters nor the command found anything wrong."""
    # beside a command sqlfluff keeps to one core
    linters = (["mypy"], ["sqlfluff", "lint", "--processes", "1" if command else "0"])
    codes = []
    with ExitStack() as stack:
        linting: list[tuple[str, subprocess.Popen[bytes], IO[bytes]]] = []
        for linter in linters:
            said: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
            process = subprocess.Popen(
                linter, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
            stack.callback(_end, process)
            if command:
                os.setpriority(os.PRIO_PROCESS, process.pid, 19)
            linting.append((linter[0], process, said))
        if command:
            codes.append(_run(command))
        for name, process, said in linting:
            codes.append(process.wait())
            said.seek(0)
            print(f"{name}: {said.read().decode(errors='replace').strip()}", flush=True)
    return 1 if any(codes) else 0


def _run(command: Sequence[str]) -> int:
    """Run a command to its end, also after Ctrl-C, which it gets too: it may have to tidy up."""
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a linter that is still at work because the command was interrupted."""
    process.kill()
    process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
