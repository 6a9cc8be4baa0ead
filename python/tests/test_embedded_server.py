"""The embedded server against the real wheel: it starts, survives, and says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from conftest import free_port

from anchorline.database import EmbeddedServer, processes
from anchorline.database import place as places
from anchorline.database import server as server_module
from anchorline.errors import AnchorlineError


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server that the tests of this module may mistreat; stopped or running."""
    server = EmbeddedServer(tmp_path_factory.mktemp("own server") / "data", durable=False)
    yield server
    server.remove()


@pytest.fixture
def running(own: EmbeddedServer) -> EmbeddedServer:
    own.start()
    return own


@pytest.fixture
def stopped(own: EmbeddedServer) -> EmbeddedServer:
    own.start()
    own.stop()
    return own


def pid_of(server: EmbeddedServer) -> int:
    pid = server.status().pid
    assert pid is not None
    return pid


def cluster_of(server: EmbeddedServer) -> Path:
    place = places.known_place(server.folder)
    assert place is not None
    return place.cluster


def test_role_is_no_superuser_and_owns_its_database(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute(
            """
            select rolsuper, pg_get_userbyid(datdba), current_setting('timezone')
            from pg_roles, pg_database
            where rolname = current_user and datname = current_database()
            """
        ).fetchone()
    assert row == (False, "anchorline", "UTC")


def test_server_listens_on_loopback_with_a_password(server: EmbeddedServer) -> None:
    with server.admin_connection() as connection:
        settings = dict(
            connection.execute(
                "select name, setting from pg_settings where name = any(%s)",
                (["listen_addresses", "unix_socket_directories", "jit"],),
            ).fetchall()
        )
    assert settings == {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "jit": "off",
    }
    assert server.passfile.stat().st_mode & 0o077 == 0
    wrong = server.url(with_password=True).replace(server.password(), "wrong")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong)


def test_letters_of_other_alphabets_fold(server: EmbeddedServer) -> None:
    with psycopg.connect(server.url()) as connection:
        row = connection.execute("select lower('ÅSKÍÐ')").fetchone()
    assert row == ("åskíð",)


def test_starting_again_changes_nothing(running: EmbeddedServer) -> None:
    pid = pid_of(running)
    assert running.start() is False
    assert pid_of(running) == pid


def test_server_has_a_session_of_its_own(running: EmbeddedServer) -> None:
    assert os.getsid(pid_of(running)) != os.getsid(0)


def test_data_survive_a_killed_server(running: EmbeddedServer) -> None:
    with psycopg.connect(running.url()) as connection:
        connection.execute("create table if not exists kept as select 1 as one")
    with running.admin_connection() as connection:
        connection.execute("checkpoint")
    os.kill(pid_of(running), signal.SIGKILL)
    deadline = time.monotonic() + 5
    while running.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert running.start() is True
    with psycopg.connect(running.url()) as connection:
        assert connection.execute("select one from kept").fetchone() == (1,)


def test_stale_pid_file_of_another_program_is_removed(stopped: EmbeddedServer) -> None:
    cluster = cluster_of(stopped)
    (cluster / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster}\n1\n54329\n\n\n\n")
    assert not stopped.is_running()
    assert stopped.start() is True


def test_lost_password_file_is_made_anew(stopped: EmbeddedServer) -> None:
    former = stopped.password()
    stopped.passfile.unlink()
    stopped.start()
    assert stopped.password() != former
    psycopg.connect(stopped.url()).close()


def test_taken_port_is_changed_and_told(stopped: EmbeddedServer) -> None:
    told: list[str] = []
    again = EmbeddedServer(stopped.folder, durable=False, tell=told.append)
    port = again.port
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen(1)
        again.start()
    assert again.port != port
    assert any(f"Port {port} is taken" in line for line in told)
    again.stop()
    assert again.port != port  # remembered
    again.start()


def test_pinned_port_that_is_taken_is_an_error(stopped: EmbeddedServer) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        pinned = EmbeddedServer(stopped.folder, port=port, durable=False)
        with pytest.raises(AnchorlineError, match=f"Port {port} .*is taken"):
            pinned.start()


def test_two_starts_at_once_make_one_server(tmp_path: Path) -> None:
    folder = tmp_path / "two at once"
    script = (
        "import sys; from pathlib import Path; from anchorline.database import EmbeddedServer\n"
        "s = EmbeddedServer(Path(sys.argv[1]), port=int(sys.argv[2]), durable=False)\n"
        "started = s.start(); print(started, s.status().pid)"
    )
    command = [sys.executable, "-c", script, str(folder), str(free_port())]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0].split() for process in pair]
    try:
        assert sorted(words[0] for words in said) == ["False", "True"], said
        assert said[0][1] == said[1][1]
    finally:
        EmbeddedServer(folder).remove()
    assert not folder.exists()


def test_copied_data_folder_does_not_touch_the_original(
    running: EmbeddedServer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(running.folder), str(copy)], check=True)
    other = EmbeddedServer(copy, durable=False)
    assert not other.is_running()
    other.remove()
    assert running.is_running()


def test_reset_empties_the_database(running: EmbeddedServer) -> None:
    with psycopg.connect(running.url()) as connection:
        connection.execute("create table if not exists doomed (id int)")
    running.reset()
    with psycopg.connect(running.url()) as connection:
        assert connection.execute("select to_regclass('doomed')").fetchone() == (None,)


def test_url_ignores_the_password_of_another_server(
    running: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "of another server")
    monkeypatch.setenv("PGSSLMODE", "require")
    psycopg.connect(running.url()).close()


def test_mistake_in_local_settings_is_named(stopped: EmbeddedServer) -> None:
    local = cluster_of(stopped) / "local.conf"
    local.write_text("no_such_setting = 1\n")
    local.chmod(0o644)
    try:
        with pytest.raises(AnchorlineError, match=r"local\.conf") as raised:
            stopped.start()
    finally:
        local.unlink()
    assert "no_such_setting" in str(raised.value.details)


def test_data_of_another_version_are_named(stopped: EmbeddedServer) -> None:
    version = cluster_of(stopped) / "PG_VERSION"
    content = version.read_text()
    version.write_text("14\n")
    try:
        with pytest.raises(AnchorlineError, match="written by PostgreSQL 14"):
            stopped.start()
    finally:
        version.write_text(content)


def test_remove_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    server = EmbeddedServer(folder, port=free_port(), durable=False)
    server.start()
    pid, cluster = pid_of(server), cluster_of(server)
    assert server.remove() is True
    assert not processes.is_alive(pid)
    assert not folder.exists()
    assert not cluster.parent.exists() or cluster.parent == folder
    assert places.orphans(folder) == []
    assert server.remove() is False


def test_server_is_found_where_its_folder_was_deleted(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    server = EmbeddedServer(folder, port=free_port(), durable=False)
    server.start()
    pid = pid_of(server)
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    EmbeddedServer(folder).remove()
    assert not processes.is_alive(pid)
    assert places.orphans(folder) == []


def test_status_before_the_first_start(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "data")
    status = server.status()
    assert (status.is_running, status.cluster, status.version) == (False, None, None)
    assert server.stop() is False
    with pytest.raises(AnchorlineError, match="anchorline db start"):
        server.password()


def test_full_disk_is_named_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(server_module.shutil, "disk_usage", lambda _: usage(10, 9, 5_000_000))
    server = EmbeddedServer(tmp_path / "data")
    try:
        with pytest.raises(AnchorlineError, match="is full: 5 MB are free"):
            server.start()
    finally:
        server.remove()


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AnchorlineError, match="ANCHORLINE_DATA_DIR can name another folder"):
        EmbeddedServer(tmp_path / "file" / "data").start()


def test_damaged_pointer_is_named_and_can_be_removed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / places.POINTER).write_text("not json")
    with pytest.raises(AnchorlineError, match="is damaged"):
        EmbeddedServer(folder).start()
    EmbeddedServer(folder).remove()
    assert not folder.exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("PANIC:  could not write: No space left on device", "disk that holds .* is full"),
        ('FATAL:  lock file "postmaster.pid" already exists', "Another PostgreSQL"),
        ("PANIC:  could not locate a valid checkpoint record", "damaged"),
        ("FATAL:  data directory has wrong ownership", "may not use its folder"),
        ("Segmentation fault", "ended with code 139"),
    ],
)
def test_what_the_server_said_becomes_what_to_do(tmp_path: Path, said: str, expected: str) -> None:
    error = EmbeddedServer(tmp_path)._explain_failure(said, "postgres", 139)
    assert isinstance(error, AnchorlineError)
    with pytest.raises(AnchorlineError, match=expected):
        raise error
    assert said in str(error.details)


def test_little_memory_is_not_the_end(
    stopped: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    launch = EmbeddedServer._launch

    def launch_in_little_memory(self: EmbeddedServer, place: places.Place, port: int) -> None:
        tried.append((place.cluster / "anchorline.conf").read_text())
        if len(tried) == 1:
            raise server_module._NoMemoryError
        launch(self, place, port)

    monkeypatch.setattr(EmbeddedServer, "_launch", launch_in_little_memory)
    stopped.start()
    assert "shared_buffers = '32MB'" in tried[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as someone else")
def test_root_runs_the_server_as_an_unprivileged_account(running: EmbeddedServer) -> None:
    cluster = cluster_of(running)
    assert cluster.stat().st_uid != 0
    assert cluster.stat().st_mode & 0o077 == 0
    assert cluster.parent.stat().st_uid == 0
    assert cluster.parent.stat().st_mode & 0o066 == 0
    assert Path(f"/proc/{pid_of(running)}").stat().st_uid == cluster.stat().st_uid
