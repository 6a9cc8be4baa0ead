"""A PostgreSQL server of the project's own, on a loopback port, as an unprivileged user.

Everything is in one data folder (`.anchorline`, or where ANCHORLINE_DATA_DIR points):

    postgres/       the cluster (as root elsewhere, see place.py)
    pgpass          the passwords, generated, readable by the owner alone
    port            the port that was chosen
    server.log      what the server says
    lock            held while one process starts, stops or removes the server

Only the standard library up to the point where SQL is needed, so that `make clean` can
stop and remove the server without an environment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from anchorline.database import place as places
from anchorline.database import processes
from anchorline.errors import AnchorlineError

if TYPE_CHECKING:
    import psycopg

HOST = "127.0.0.1"
DEFAULT_PORT = 54329
PORTS_TO_TRY = 20
USER = "anchorline"
DATABASE = "anchorline"
ADMIN = "postgres"
ROOM_NEEDED_MB = 300
START_SECONDS = 60
RECOVERY_SECONDS = 600
STOP_SECONDS = 60


@dataclass(frozen=True)
class ServerStatus:
    """What there is to know about the server without asking it."""

    is_running: bool
    pid: int | None
    host: str
    port: int
    user: str
    database: str
    cluster: str | None
    version: str | None
    size_mb: float | None
    data_folder: str
    log_file: str
    url: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, for JSON."""
        return asdict(self)


class _PortTakenError(Exception):
    pass


class _NoMemoryError(Exception):
    pass


class EmbeddedServer:
    """The server of one data folder.

    ``tell`` receives one line per thing worth knowing. ``port`` pins the port; without it
    the remembered one is used, else 54329, else a free one. ``durable=False`` trades safety
    against a crash of the machine for speed: for tests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        in_folder: bool = False,
        durable: bool = True,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        # resolved, so that the server and every later command name the same folder
        self.folder = Path(os.path.realpath(folder))
        self.pinned_port = port
        self.in_folder = in_folder
        self.durable = durable
        self._tell = tell or (lambda text: None)

    # -- what is where ---------------------------------------------------------------

    @property
    def passfile(self) -> Path:
        """The password file, in libpq's format (PGPASSFILE)."""
        return self.folder / "pgpass"

    @property
    def log_file(self) -> Path:
        """What the server writes."""
        return self.folder / "server.log"

    @property
    def port(self) -> int:
        """The port of the running server, else the one that a start would try first."""
        recorded = self._recorded()
        if recorded is not None and recorded.port:
            return recorded.port
        return self.pinned_port or self._remembered_port() or DEFAULT_PORT

    def password(self, user: str = USER) -> str:
        """Return the password of a role from the password file."""
        try:
            lines = self.passfile.read_text().splitlines()
        except FileNotFoundError:
            raise AnchorlineError(
                f"There is no embedded database in {self.folder} yet. "
                "Create it with `anchorline db start`."
            ) from None
        except PermissionError as error:
            raise AnchorlineError(
                f"{self.passfile} cannot be read: the embedded database was made by another user. "
                "Run as that user."
            ) from error
        for line in lines:
            fields = line.split(":")
            if len(fields) == 5 and fields[3] == user:
                return fields[4]
        raise AnchorlineError(
            f"{self.passfile} holds no password for {user!r}. Remove the file and run "
            "`anchorline db start`, which sets new passwords."
        )

    def url(self, database: str = DATABASE, *, with_password: bool = False) -> str:
        """Return a libpq URL; it names the password file, or carries the password itself."""
        where = f"{HOST}:{self.port}/{quote(database, safe='')}"
        if with_password:
            return f"postgresql://{USER}:{quote(self.password(), safe='')}@{where}"
        options = {"passfile": str(self.passfile)}
        if os.environ.get("PGPASSWORD"):
            options["password"] = ""  # else libpq would take that one instead of the file's
        if os.environ.get("PGSSLMODE"):
            options["sslmode"] = "disable"
        return f"postgresql://{USER}@{where}?{urlencode(options, quote_via=quote)}"

    def environment(self) -> dict[str, str]:
        """Return the variables that profiles.yml and libpq need to reach the server."""
        return {
            "ANCHORLINE_DB_HOST": HOST,
            "ANCHORLINE_DB_PORT": str(self.port),
            "PGPASSFILE": str(self.passfile),
        }

    def status(self) -> ServerStatus:
        """Describe the server as it is now."""
        recorded = self._recorded()
        place = places.known_place(self.folder)
        version = size = cluster = None
        if place is not None and (place.cluster / "PG_VERSION").is_file():
            cluster = str(place.cluster)
            version = (place.cluster / "PG_VERSION").read_text().strip()
            size = round(_folder_size(place.cluster) / 1e6, 1)
        return ServerStatus(
            is_running=recorded is not None,
            pid=recorded.pid if recorded else None,
            host=HOST,
            port=self.port,
            user=USER,
            database=DATABASE,
            cluster=cluster,
            version=version,
            size_mb=size,
            data_folder=str(self.folder),
            log_file=str(self.log_file),
            url=self.url(),
        )

    def is_running(self) -> bool:
        """Return whether the server runs."""
        return self._recorded() is not None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of the server's log."""
        try:
            with self.log_file.open("rb") as log:
                log.seek(max(0, self.log_file.stat().st_size - 20_000))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    # -- start, stop, remove -----------------------------------------------------------

    def start(self) -> bool:
        """Start the server and make its role and database; False where it ran already.

        Creates the cluster on the first start. Raises AnchorlineError with what to do, and
        the tail of the server's log, where it cannot start.
        """
        self._make_folder()
        with self._lock():
            recorded = self._recorded()
            if recorded is not None:
                if self.pinned_port and recorded.port and recorded.port != self.pinned_port:
                    raise AnchorlineError(
                        f"The embedded database runs on port {recorded.port}, but "
                        f"ANCHORLINE_DB_PORT is {self.pinned_port}. Unset it, or run "
                        "`anchorline db stop` first."
                    )
                if not self.passfile.is_file():
                    raise AnchorlineError(
                        f"The password file {self.passfile} is gone while the server runs. Run "
                        "`anchorline db stop`, then `anchorline db start`, which sets new "
                        "passwords."
                    )
                self._wait_until_ready(None, recorded.pid, self._log_size())
                self._ensure_database()
                return False
            try:
                place = places.prepare_place(self.folder, in_folder=self.in_folder)
                fresh = not (place.cluster / "PG_VERSION").is_file()
                if fresh:
                    self._create_cluster(place)
                self._check_version(place)
                if fresh or not self.passfile.is_file():
                    self._set_passwords(place)
                self._drop_stale_pid_file(place)
                self._launch_somewhere(place)
            except OSError as error:
                raise self._explain_os_error(error) from error
            self._ensure_database()
            return True

    def stop(self) -> bool:
        """Stop the server; False where it did not run."""
        if not self.folder.is_dir():
            return False
        with self._lock():
            recorded = self._recorded()
            if recorded is None:
                return False
            self._end(recorded.pid)
            return True

    def remove(self) -> bool:
        """Stop the server and delete its data, also what lies outside the data folder.

        Only what this class has written is deleted; the folder itself where it is empty then.
        """
        clusters = {self.folder / "postgres"}
        clusters.update(orphan / "postgres" for orphan in places.orphans(self.folder))
        with contextlib.suppress(AnchorlineError):
            place = places.known_place(self.folder)
            if place is not None:
                clusters.add(place.cluster)
        found = self.folder.is_dir() or len(clusters) > 1
        recorded = None
        with contextlib.suppress(AnchorlineError):
            recorded = self._recorded()
        if recorded is not None:
            self._end(recorded.pid, with_data=True)
            self._tell(f"Stopped the embedded database (process {recorded.pid})")
        for cluster in clusters:
            for pid in processes.servers_of(str(cluster)):
                self._end(pid, with_data=True)
                self._tell(f"Stopped a server that was left behind (process {pid})")
        there = sorted(cluster for cluster in clusters if cluster.is_dir())
        try:
            # the file system keeps one waiting for each of tens of thousands of files
            databases = [path for cluster in there for path in (cluster / "base").glob("*/")]
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(shutil.rmtree, databases))
            places.forget_place(self.folder)
            for path in [self.folder / "postgres", *self.folder.glob("postgres.new-*")]:
                if path.is_dir():
                    shutil.rmtree(path)
            for name in ("pgpass", "port", "server.log", "server.log.1", "lock"):
                with contextlib.suppress(FileNotFoundError):
                    (self.folder / name).unlink()
            with contextlib.suppress(OSError):
                self.folder.rmdir()
            for cluster in there:
                self._tell(f"Removed the embedded database in {cluster}")
        except PermissionError as error:
            raise AnchorlineError(
                f"{error.filename} belongs to another user and cannot be removed. "
                "Run the command as that user (root?)."
            ) from error
        return found

    def reset(self) -> None:
        """Drop the database with all that is in it and create it anew, empty."""
        self.require_running()
        with self.admin_connection() as connection:
            connection.execute(f"drop database if exists {DATABASE} with (force)")
            connection.execute(f"create database {DATABASE} owner {USER}")

    def require_running(self) -> None:
        """Raise AnchorlineError where the server does not run."""
        if not self.is_running():
            raise AnchorlineError(
                "The embedded database is not running. Start it with `anchorline db start`."
            )

    def admin_connection(self, database: str = ADMIN) -> psycopg.Connection:
        """Connect as the superuser, autocommit: for roles and databases."""
        import psycopg

        try:
            return psycopg.connect(
                host=HOST,
                port=self.port,
                user=ADMIN,
                password=self.password(ADMIN),
                dbname=database,
                autocommit=True,
                connect_timeout=10,
                application_name="anchorline db",
            )
        except psycopg.OperationalError as error:
            raise AnchorlineError(
                f"The embedded database at {HOST}:{self.port} runs but does not let its own "
                f"superuser in. Stop it with `anchorline db stop`, remove {self.passfile} and run "
                "`anchorline db start`: that sets new passwords.",
                details=self.log_tail(),
            ) from error

    # -- the cluster -------------------------------------------------------------------

    def _make_folder(self) -> None:
        try:
            if not self.folder.is_dir():
                # another start may make it at the same moment
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            with contextlib.suppress(FileNotFoundError):
                (self.folder / "lock").stat()
            if not os.access(self.folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "Permission denied", str(self.folder))
        except OSError as error:
            raise self._explain_os_error(error) from error

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Let one process at a time start, stop or remove the server of this folder."""
        import fcntl

        try:
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise self._explain_os_error(error) from error
        try:
            waited = 0.0
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if waited == 0:
                        self._tell("Another command is starting or stopping the database; waiting.")
                    if waited > RECOVERY_SECONDS:
                        raise AnchorlineError(
                            f"Another command has held {self.folder / 'lock'} for "
                            f"{RECOVERY_SECONDS // 60} minutes. End it and try again."
                        ) from None
                    time.sleep(0.1)
                    waited += 0.1
                except OSError as error:
                    raise AnchorlineError(
                        f"The file system of {self.folder} does not lock files. Let "
                        "ANCHORLINE_DATA_DIR name a folder on a local disk."
                    ) from error
            yield
        finally:
            os.close(handle)

    def _create_cluster(self, place: places.Place) -> None:
        holder = place.cluster.parent
        self._check_room(holder)
        self._tell(f"Creating the embedded database in {place.cluster}")
        for left_over in holder.glob("postgres.new-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if place.cluster.exists():
            if any(place.cluster.iterdir()):
                raise AnchorlineError(
                    f"{place.cluster} is not empty and holds no PostgreSQL cluster. "
                    "Move it away, or let ANCHORLINE_DATA_DIR name another folder."
                )
            place.cluster.rmdir()
        fresh = holder / f"postgres.new-{secrets.token_hex(4)}"
        fresh.mkdir(mode=0o700)
        try:
            if place.account:
                os.chown(fresh, place.account.uid, place.account.gid)
            command = [
                str(place.binaries / "initdb"),
                f"--pgdata={fresh}",
                f"--username={ADMIN}",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",  # replaced below, before the server first listens
                "--no-instructions",
            ]
            if _major_version(place) >= 17:
                # sorts by bytes as C does, and knows the letters of all alphabets
                command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
            if not self.durable:
                command.append("--no-sync")
            done = self._run(place, command)
            if done.returncode != 0:
                raise self._explain_failure(done.stdout, "initdb", done.returncode)
            self._write_as_server(
                place,
                fresh / "pg_hba.conf",
                "# loopback only, with a password\nhost all all 127.0.0.1/32 scram-sha-256\n",
            )
            with (fresh / "postgresql.conf").open("a") as conf:
                conf.write(
                    "\ninclude = 'anchorline.conf'  # written at every start\n"
                    "include_if_exists = 'local.conf'  # yours\n"
                )
            self._write_settings(place, fresh, small=False)
            fresh.rename(place.cluster)
        finally:
            if fresh.exists():
                shutil.rmtree(fresh, ignore_errors=True)

    def _check_room(self, holder: Path) -> None:
        free_mb = shutil.disk_usage(holder).free / 1e6
        if free_mb < ROOM_NEEDED_MB:
            raise AnchorlineError(
                f"The disk that holds {holder} is full: {free_mb:.0f} MB are free, the embedded "
                f"database needs {ROOM_NEEDED_MB} MB. Make room, or let ANCHORLINE_DATA_DIR name "
                "a folder on another disk."
            )

    def _check_version(self, place: places.Place) -> None:
        found = int(float((place.cluster / "PG_VERSION").read_text().strip()))
        binaries = _major_version(place)
        if found != binaries:
            raise AnchorlineError(
                f"The data in {place.cluster} was written by PostgreSQL {found}, the installed "
                f"one is {binaries}. Run `make clean` and start afresh, or go back to the release "
                f"of anchorline that came with PostgreSQL {found} and dump the data first."
            )
        if binaries < 15:
            raise AnchorlineError(
                f"{place.binaries} holds PostgreSQL {binaries}; 15 or newer is needed."
            )

    def _write_settings(self, place: places.Place, cluster: Path, *, small: bool) -> None:
        memory_mb = _memory_mb()
        buffers = 32 if small else max(32, min(256, memory_mb // 8))
        settings: dict[str, str] = {
            "listen_addresses": HOST,
            "unix_socket_directories": "",  # their paths may not be longer than 107 bytes
            "max_connections": "50",
            "password_encryption": "scram-sha-256",
            "dynamic_shared_memory_type": "mmap",  # containers have little shared memory
            "shared_buffers": f"{buffers}MB",
            "effective_cache_size": f"{max(64, memory_mb // 2)}MB",
            "work_mem": "16MB" if small else "64MB",
            "maintenance_work_mem": "32MB" if small else "128MB",
            "synchronous_commit": "off",
            "wal_level": "minimal",
            "max_wal_senders": "0",
            "max_wal_size": "2GB",
            "min_wal_size": "80MB",
            "checkpoint_timeout": "15min",
            "random_page_cost": "1.1",
            "jit": "off",
            "huge_pages": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "lc_messages": "C",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] ",
        }
        if not self.durable:
            settings.update({"fsync": "off", "full_page_writes": "off"})
        lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
        head = "# Written by anchorline at every start. Your own settings go into local.conf.\n"
        self._write_as_server(place, cluster / "anchorline.conf", head + "".join(lines))

    def _write_as_server(self, place: places.Place, path: Path, text: str) -> None:
        """Write a file of the cluster; replaced whole, owned by the server's account."""
        fresh = path.with_name(path.name + ".new")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            if place.account:
                os.fchown(file.fileno(), place.account.uid, place.account.gid)
        fresh.replace(path)

    def _set_passwords(self, place: places.Place) -> None:
        """Generate the passwords, tell them to the cluster and write the password file.

        The server is not running; PostgreSQL's single-user mode takes the statements from
        standard input, so that no password shows up in a command line or a log.
        """
        passwords = {ADMIN: secrets.token_urlsafe(24), USER: secrets.token_urlsafe(24)}
        script = (
            f"alter role {ADMIN} password '{passwords[ADMIN]}';\n"
            "do $$ begin "
            f"if to_regrole('{USER}') is null then create role {USER}; end if; "
            "end $$;\n"
            f"alter role {USER} login password '{passwords[USER]}';\n"
        )
        self._drop_stale_pid_file(place)
        done = self._run(
            place,
            [
                str(place.binaries / "postgres"),
                "--single",
                "-D",
                str(place.cluster),
                "-c",
                "exit_on_error=on",
                "-c",
                "log_statement=none",
                "-c",
                "log_min_error_statement=panic",
                "template1",
            ],
            script,
        )
        if done.returncode != 0:
            raise self._explain_failure(done.stdout, "postgres --single", done.returncode)
        fresh = self.folder / f"pgpass.new-{os.getpid()}"
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            for user, password in passwords.items():
                for host in (HOST, "localhost"):
                    file.write(f"{host}:*:*:{user}:{password}\n")
            self._give_to_owner(fresh)
        fresh.replace(self.passfile)

    def _ensure_database(self) -> None:
        with self.admin_connection() as connection:
            role = connection.execute(
                "select 1 from pg_roles where rolname = %s", (USER,)
            ).fetchone()
            if role is None:
                raise AnchorlineError(
                    f"The role {USER!r} of the embedded database is gone. Stop the server, remove "
                    f"{self.passfile} and start it again: that creates the role anew."
                )
            known = connection.execute(
                "select 1 from pg_database where datname = %s", (DATABASE,)
            ).fetchone()
            if known is None:
                connection.execute(f"create database {DATABASE} owner {USER}")

    # -- the process -------------------------------------------------------------------

    def _launch_somewhere(self, place: places.Place) -> None:
        """Launch on the first port that is free, with less memory where there is little."""
        place.cluster.chmod(0o700)
        small = False
        ports = self._ports()
        port = next(ports)
        patience = time.monotonic() + 15
        while True:
            self._write_settings(place, place.cluster, small=small)
            try:
                self._launch(place, port)
                break
            except _PortTakenError:
                if self.pinned_port:
                    raise self._pinned_port_taken() from None
                port = next(ports)
            except _NoMemoryError as error:
                if small:
                    raise AnchorlineError(
                        "The machine has too little shared memory for PostgreSQL, even for a "
                        "small one. Stop other programs, or give the container more memory.",
                        details=str(error),
                    ) from None
                small = True
            except _OldServerError as error:
                if time.monotonic() > patience:
                    raise AnchorlineError(
                        "Processes of an earlier server that was killed still hold the data in "
                        f"{place.cluster}. End them (they are called `postgres`) and try again.",
                        details=str(error),
                    ) from None
                time.sleep(0.5)
        wanted = self._remembered_port() or DEFAULT_PORT
        if port != wanted and not self.pinned_port:
            self._tell(
                f"Port {wanted} is taken by another program: the embedded database uses "
                f"{port} from now on."
            )
        self._remember_port(port)

    def _launch(self, place: places.Place, port: int) -> None:
        self._rotate_log()
        log_start = self._log_size()
        with self.log_file.open("ab") as log:
            self._give_to_owner(self.log_file)
            process = subprocess.Popen(
                [str(place.binaries / "postgres"), "-D", str(place.cluster), "-p", str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=_server_environment(),
                start_new_session=True,  # a Ctrl-C in the terminal is not meant for the server
                **place.popen_arguments(),
            )
        self._wait_until_ready(process, process.pid, log_start)
        process.returncode = 0  # it lives on: no warning when the object is collected

    def _wait_until_ready(
        self, process: subprocess.Popen[bytes] | None, pid: int, log_start: int
    ) -> None:
        began = time.monotonic()
        told = False
        while True:
            recorded = self._recorded()
            if recorded is not None and recorded.pid == pid and recorded.is_ready:
                return
            ended = process.poll() is not None if process else not processes.is_alive(pid)
            if ended:
                code = process.returncode if process else None
                raise self._explain_failure(self._log_since(log_start), "postgres", code)
            waited = time.monotonic() - began
            if waited > START_SECONDS and not told:
                self._tell("The server is still starting (recovering from a crash?); waiting.")
                told = True
            if waited > RECOVERY_SECONDS:
                raise AnchorlineError(
                    f"The server has been starting for {RECOVERY_SECONDS // 60} minutes. "
                    f"See {self.log_file}; `anchorline db stop` ends it.",
                    details=self.log_tail(),
                )
            time.sleep(0.03)

    def _end(self, pid: int, *, with_data: bool = False) -> None:
        """End a server; one whose data go with it need not write what it holds in memory."""
        ways = ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 15))
        for number, seconds in ways[1:] if with_data else ways:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            except PermissionError as error:
                raise AnchorlineError(
                    f"The server (process {pid}) belongs to another user. Run as that user (root?)."
                ) from error
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                if not processes.is_alive(pid):
                    return
                time.sleep(0.03)
        raise AnchorlineError(
            f"The server (process {pid}) does not stop. See {self.log_file}; `kill -9 {pid}` ends "
            "it, and the next start recovers its data.",
            details=self.log_tail(),
        )

    def _recorded(self) -> _Recorded | None:
        """Return what postmaster.pid records, where that server runs; None where none runs."""
        place = places.known_place(self.folder)
        if place is None:
            return None
        recorded = _read_pid_file(place.cluster)
        if recorded is None or not recorded.is_of(place.cluster):
            return None
        if not processes.is_alive(recorded.pid):
            return None
        if not processes.is_server_of(recorded.pid, recorded.cluster):
            return None
        return recorded

    def _drop_stale_pid_file(self, place: places.Place) -> None:
        """Remove postmaster.pid where its process is something else by now.

        After a restart of the machine or container the number may belong to any program, and
        PostgreSQL would refuse to start. Where the process is gone PostgreSQL removes the
        file itself; where it is a PostgreSQL, the file stays.
        """
        recorded = _read_pid_file(place.cluster)
        if recorded is None or not processes.is_alive(recorded.pid):
            return
        command = processes.command_of(recorded.pid)
        is_postgres = bool(command) and "postgres" in Path(command[0].split(" ")[0]).name
        if (command and not is_postgres) or not recorded.is_of(place.cluster):
            (place.cluster / "postmaster.pid").unlink()

    # -- ports ---------------------------------------------------------------------------

    def _ports(self) -> Iterator[int]:
        if self.pinned_port:
            if not _is_free(self.pinned_port):
                raise self._pinned_port_taken()
            yield self.pinned_port
            return
        remembered = self._remembered_port()
        candidates = [remembered] if remembered else []
        candidates += [DEFAULT_PORT + i for i in range(PORTS_TO_TRY)]
        yield from (port for port in candidates if _is_free(port))
        while True:
            with socket.socket() as any_port:
                any_port.bind((HOST, 0))
                port: int = any_port.getsockname()[1]
            yield port

    def _pinned_port_taken(self) -> AnchorlineError:
        return AnchorlineError(
            f"Port {self.pinned_port} (ANCHORLINE_DB_PORT) is taken by another program. Stop that "
            "program, set another port, or unset ANCHORLINE_DB_PORT: then a free one is chosen."
        )

    def _remembered_port(self) -> int | None:
        try:
            text = (self.folder / "port").read_text().strip()
        except OSError:
            return None
        return int(text) if text.isdecimal() and 0 < int(text) < 65536 else None

    def _remember_port(self, port: int) -> None:
        fresh = self.folder / f"port.new-{os.getpid()}"
        fresh.write_text(f"{port}\n")
        self._give_to_owner(fresh)
        fresh.replace(self.folder / "port")

    # -- small things --------------------------------------------------------------------

    def _run(
        self, place: places.Place, command: list[str], text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            cwd="/",
            env=_server_environment(),
            **place.popen_arguments(),
        )

    def _give_to_owner(self, path: Path) -> None:
        """Let a file that root writes into a user's folder belong to that user."""
        if places.is_root():
            owner = self.folder.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def _rotate_log(self) -> None:
        if self._log_size() > 10_000_000:
            self.log_file.replace(self.log_file.with_name("server.log.1"))

    def _log_size(self) -> int:
        try:
            return self.log_file.stat().st_size
        except OSError:
            return 0

    def _log_since(self, start: int) -> str:
        try:
            with self.log_file.open("rb") as log:
                log.seek(start)
                return log.read().decode(errors="replace")
        except OSError:
            return ""

    def _explain_failure(self, output: str, program: str, code: int | None) -> Exception:
        """Turn what a program of PostgreSQL said before it ended into what to do."""
        tail = "\n".join(output.splitlines()[-15:])
        text = output.lower()
        if "address already in use" in text or "could not bind" in text:
            return _PortTakenError(tail)
        if "shared memory block" in text and "still in use" in text:
            return _OldServerError(tail)
        if "shared memory" in text and ("could not" in text or "cannot allocate" in text):
            return _NoMemoryError(tail)
        if "no space left on device" in text or "disk quota exceeded" in text:
            message = (
                f"The disk that holds {self.folder} is full. Make room and start again; nothing "
                "that was committed is lost."
            )
        elif 'lock file "postmaster.pid" already exists' in text:
            message = (
                "Another PostgreSQL seems to use the same data. If none does, remove the file "
                "postmaster.pid that the log names and start again."
            )
        elif "unrecognized configuration parameter" in text or "contains errors" in text:
            message = "PostgreSQL does not accept its settings. Correct local.conf in the cluster."
        elif "checkpoint record" in text or "panic:" in text:
            message = (
                "The data of the embedded database are damaged. If they are only derived or a "
                "demo, `make clean` removes them; else restore a copy."
            )
        elif "wrong ownership" in text or "permission denied" in text:
            message = (
                f"The server may not use its folder. Let {self.folder} and everything in it belong "
                "to the user who runs the command, or let ANCHORLINE_DATA_DIR name another one."
            )
        else:
            message = f"The embedded database did not start: {program} ended with code {code}."
        message += f" (Log: {self.log_file})" if program == "postgres" else ""
        return AnchorlineError(message, details=tail)

    def _explain_os_error(self, error: OSError) -> AnchorlineError:
        where = error.filename or self.folder
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return AnchorlineError(
                f"The disk that holds {self.folder} is full. Make room, or let ANCHORLINE_DATA_DIR "
                "name a folder on another disk."
            )
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return AnchorlineError(
                f"The embedded database may not write to {where}. Give yourself the right to, or "
                "let ANCHORLINE_DATA_DIR name a folder that you may write to."
            )
        return AnchorlineError(
            f"The embedded database could not be started: {error.strerror or error} ({where}). "
            "ANCHORLINE_DATA_DIR can name another folder."
        )


class _OldServerError(Exception):
    pass


@dataclass(frozen=True)
class _Recorded:
    """The lines of postmaster.pid that matter."""

    pid: int
    cluster: str
    port: int | None
    is_ready: bool

    def is_of(self, cluster: Path) -> bool:
        """Return whether it was written for this folder, and not copied along with it."""
        if self.cluster == str(cluster) or not os.path.exists(self.cluster):
            return True
        try:
            return os.path.samefile(self.cluster, cluster)
        except OSError:
            return False


def _read_pid_file(cluster: Path) -> _Recorded | None:
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
        return _Recorded(
            pid=int(lines[0]),
            cluster=lines[1] if len(lines) > 1 else str(cluster),
            port=int(lines[3]) if len(lines) > 3 and lines[3].strip() else None,
            is_ready=len(lines) > 7 and lines[7].strip() == "ready",
        )
    except (OSError, ValueError, IndexError):
        return None


def _is_free(port: int) -> bool:
    """Return whether the server could listen on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((HOST, port)) == 0:
            return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _server_environment() -> Mapping[str, str]:
    """Return the environment of the server: no PG* variable of the caller's gets through."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment.setdefault("PATH", "/usr/bin:/bin")
    environment.update({"LC_ALL": "C", "TZ": "UTC", "HOME": "/"})
    return environment


def _major_version(place: places.Place) -> int:
    done = subprocess.run(
        [str(place.binaries / "postgres"), "--version"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **place.popen_arguments(),
    )
    match = re.search(r"\) (\d+)", done.stdout)
    if match is None:
        raise AnchorlineError(
            f"{place.binaries}/postgres does not run on this machine. Let ANCHORLINE_POSTGRES_BIN "
            "name the `bin` folder of another PostgreSQL (15 or newer).",
            details=done.stdout + done.stderr,
        )
    return int(match.group(1))


def _memory_mb() -> int:
    """Return the memory that this process may use: the machine's, or the container's."""
    sizes = []
    with contextlib.suppress(ValueError, OSError, AttributeError):
        sizes.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        with contextlib.suppress(OSError, ValueError):
            sizes.append(int(Path(limit).read_text()))
    return int(min(sizes) / 1e6) if sizes else 1024


def _folder_size(folder: Path) -> int:
    size = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(path, name)).st_size
    return size
