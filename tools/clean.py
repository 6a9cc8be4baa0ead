"""Remove everything that the project has made: python3 tools/clean.py.

Stops the embedded server and deletes its data (also those that lie outside the project, as
they do for root), the environment, what was downloaded, what was built, logs and caches.
Needs Python's standard library and nothing else: it works where the environment is broken.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(PROJECT / "python"))

FOLDERS = [
    ".anchorline",
    ".venv",
    ".uv",
    "target",
    "logs",
    "dbt_packages",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".hypothesis",
    "dist",
    "build",
]
FILES = (".user.yml", ".coverage", "growth.html")


def main() -> int:
    """Stop the server, then remove folder by folder."""
    try:
        from anchorline.database.server import EmbeddedServer
        from anchorline.errors import AnchorlineError
    except SyntaxError:
        print("anchorline: make clean needs Python 3.11 or newer", file=sys.stderr)
        return 1
    named = os.environ.get("ANCHORLINE_DATA_DIR")
    folders = [PROJECT / ".anchorline"]
    if named:
        folders.append(Path(named).expanduser().absolute())
    done: list[str] = []

    def tell(text: str) -> None:
        done.append(text)
        print(text, flush=True)

    try:
        for folder in folders:
            EmbeddedServer(folder, tell=tell).remove()
        for name in FOLDERS:
            if (PROJECT / name).is_symlink():
                (PROJECT / name).unlink()
                tell(f"Removed the link {name}")
            elif (PROJECT / name).is_dir():
                shutil.rmtree(str(PROJECT / name))
                tell(f"Removed {name}/")
        for part in ("python", "tools"):
            caches = list((PROJECT / part).rglob("__pycache__"))
            for cache in caches:
                shutil.rmtree(str(cache))
            if caches:
                tell(f"Removed Python's caches in {part}/")
        for name in FILES:
            if (PROJECT / name).exists():
                (PROJECT / name).unlink()
                tell(f"Removed {name}")
    except AnchorlineError as error:
        print(f"anchorline: {error}", file=sys.stderr)
        return 1
    except PermissionError as error:
        print(
            f"anchorline: {error.filename} belongs to another user and cannot be removed. "
            "Run `make clean` as "
            "that user (root?).",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"anchorline: cannot clean up: {error}", file=sys.stderr)
        return 1
    if not done:
        print("Nothing to remove.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
