"""Tell what the machine knows of a process: whether it is alive, and which command it is.

Only the standard library, so that `make clean` can use it without an environment.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def is_alive(pid: int) -> bool:
    """Return whether the process exists and has not ended (a zombie has)."""
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:
            return False
    except (ChildProcessError, OSError):
        pass  # not a child of this process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")


def command_of(pid: int) -> list[str]:
    """Return the command line of a process, empty where it cannot be read."""
    if (_PROC / "self").exists():
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return []
        return [os.fsdecode(part) for part in raw.split(b"\0") if part]
    try:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return []
    return [listed.stdout.strip()] if listed.stdout.strip() else []


def is_server_of(pid: int, cluster: str) -> bool:
    """Return whether the process is a PostgreSQL server started on this cluster folder."""
    command = command_of(pid)
    if len(command) > 1:
        return Path(command[0]).name == "postgres" and cluster in command[1:]
    return bool(command) and "postgres" in command[0] and f"-D {cluster}" in command[0]


def servers_of(cluster: str) -> list[int]:
    """Find the servers started on this cluster folder, also where its files are gone."""
    if (_PROC / "self").exists():
        pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    else:
        try:
            listed = subprocess.run(
                ["ps", "-axo", "pid="],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError:
            return []
        pids = [int(word) for word in listed.stdout.split() if word.isdecimal()]
    return [pid for pid in pids if is_server_of(pid, cluster) and is_alive(pid)]
