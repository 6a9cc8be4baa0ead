"""The tools that must work before there is an environment: get_uv and others, the Makefile."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib.util
import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def get_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, in a project with a blank in its path, on a machine without uv."""
    tools = tmp_path / "a project" / "tools"
    tools.mkdir(parents=True)
    shutil.copy(PROJECT / "tools" / "get_uv.py", tools)
    spec = importlib.util.spec_from_file_location("get_uv", tools / "get_uv.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(module.shutil, "which", lambda _: None)
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    return module


@contextlib.contextmanager
def mirror(get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a package index with a wheel of a uv that only knows its version."""
    path, _ = get_uv.wheel_for_this_machine()
    name = path.rpartition("/")[2]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(
            f"uv-{get_uv.VERSION}.data/scripts/uv", f"#!/bin/sh\necho 'uv {get_uv.VERSION}'\n"
        )
    wheel = content.getvalue()
    digest = hashlib.sha256(wheel).hexdigest()
    monkeypatch.setattr(get_uv, "wheel_for_this_machine", lambda: (path, digest))
    pages = {
        "/simple/uv/": f'<a href="../../files/{name}#sha256={digest}">{name}</a>'.encode(),
        f"/files/{name}": wheel,
    }

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(200 if page else 404)
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        server.shutdown()


def test_uv_is_downloaded_from_a_mirror_once(
    get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mirror(get_uv, monkeypatch) as index:
        monkeypatch.setenv("UV_INDEX_URL", index)
        threads = [threading.Thread(target=get_uv.download_uv) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    capsys.readouterr()
    assert get_uv.main([]) == 0  # the mirror is gone: it is there already
    shown = capsys.readouterr()
    uv = Path(shown.out.strip())
    assert uv == get_uv.own_uv()
    assert shown.err == ""
    assert [entry.name for entry in uv.parent.iterdir()] == ["uv"]
    assert get_uv.uv_environment(uv)["UV_CACHE_DIR"] == str(get_uv.FOLDER / "cache")


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("0.13.8", {}, {"UV_SYSTEM_CERTS": "1"}),
        ("0.10.9", {}, {"UV_NATIVE_TLS": "1"}),
        ("0.13.8", {"UV_SYSTEM_CERTS": "0"}, {"UV_SYSTEM_CERTS": "0"}),
        ("0.13.8", {"UV_NATIVE_TLS": "0"}, {"UV_NATIVE_TLS": "0"}),
    ],
)
def test_uv_trusts_the_certificates_of_the_system(
    get_uv: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    version: str,
    given: dict[str, str],
    expected: dict[str, str],
) -> None:
    names = ("UV_SYSTEM_CERTS", "UV_NATIVE_TLS")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho 'uv {version}'\n")
    uv.chmod(0o755)
    monkeypatch.setattr(get_uv, "SYSTEM_CERTS", (str(uv),))

    def chosen() -> dict[str, str]:
        return {name: value for name, value in get_uv.uv_environment(uv).items() if name in names}

    assert chosen() == expected
    monkeypatch.setattr(get_uv, "SYSTEM_CERTS", ())
    monkeypatch.setattr(get_uv.platform, "system", lambda: "Linux")
    assert chosen() == given  # a container without any: uv's own ones


def test_damaged_download_is_refused(
    get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with mirror(get_uv, monkeypatch) as index:
        path, _ = get_uv.wheel_for_this_machine()
        monkeypatch.setattr(get_uv, "wheel_for_this_machine", lambda: (path, "0" * 64))
        monkeypatch.setenv("PIP_INDEX_URL", index)
        assert get_uv.main([]) == 1
    assert "damaged or not the real one" in capsys.readouterr().err
    assert list(get_uv.own_uv().parent.iterdir()) == []


def test_no_network_is_one_line(
    get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UV_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    assert get_uv.main(["sync"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # "Downloading ..." and what went wrong
    assert "could not be downloaded from 127.0.0.1" in lines[1]
    assert "put it on the PATH" in lines[1]
    assert "secret" not in lines[1]


def test_unknown_machine_is_one_line(
    get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(get_uv.platform, "machine", lambda: "riscv64")
    assert get_uv.main([]) == 1
    assert "riscv64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("system", "machine", "library", "expected"),
    [
        ("Linux", "x86_64", "glibc", "manylinux_2_17_x86_64"),
        ("Linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("Linux", "aarch64", "glibc", "musllinux_1_1_aarch64"),
        ("Linux", "arm64", "", "musllinux_1_1_aarch64"),
        ("Darwin", "arm64", "", "macosx_11_0_arm64"),
        ("Darwin", "x86_64", "", "macosx_10_12_x86_64"),
    ],
)
def test_wheel_fits_the_machine(
    get_uv: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    machine: str,
    library: str,
    expected: str,
) -> None:
    monkeypatch.setattr(get_uv.platform, "system", lambda: system)
    monkeypatch.setattr(get_uv.platform, "machine", lambda: machine)
    monkeypatch.setattr(get_uv.platform, "libc_ver", lambda: (library, ""))
    path, digest = get_uv.wheel_for_this_machine()
    assert expected in path
    assert f"uv-{get_uv.VERSION}-" in path
    assert len(digest) == 64


@pytest.mark.parametrize(
    ("said", "expected"),
    [("uv 0.9.8", True), ("uv 0.13.8 (x86_64)", True), ("uv 0.9.7", False), ("no uv", False)],
)
def test_old_uv_is_not_used(get_uv: ModuleType, tmp_path: Path, said: str, expected: bool) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\necho '{said}'\n")
    uv.chmod(0o755)
    assert get_uv.is_new_enough(str(uv)) is expected


def test_old_python_is_one_line(
    get_uv: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 2\n")
    uv.chmod(0o755)
    monkeypatch.delenv("UV_PYTHON_DOWNLOADS", raising=False)
    with pytest.raises(get_uv.CannotGetUvError, match=r"Python 3\.11 to 3\.14 is needed"):
        get_uv.check_python(uv, get_uv.uv_environment(uv))


# -- get_chromium ---------------------------------------------------------------------------------


@pytest.fixture
def get_chromium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool, as root on a machine whose PATH is empty."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", sys.path[:])
    path = PROJECT / "tools" / "get_chromium.py"
    spec = importlib.util.spec_from_file_location("get_chromium", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    return module


def program(path: Path, content: str = "") -> None:
    path.write_text(f"#!/bin/sh\n{content}\n")
    path.chmod(0o755)


def test_chromium_is_installed_without_questions(
    get_chromium: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, chromium = tmp_path / "log", tmp_path / "chromium"
    program(
        tmp_path / "apt-get",
        f'''read answer && exit 1
        echo "$DEBIAN_FRONTEND $*" >> "{log}"
        case "$*" in
            *--download-only*) ;;
            *install*) echo > "{chromium}" && /bin/chmod 755 "{chromium}" ;;
            *) exit 100 ;;  # a source of packages is out of reach
        esac''',
    )
    assert get_chromium.main() == 0
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["noninteractive"] * 3
    assert [line.split("60 ")[1] for line in log.read_text().splitlines()] == [
        "update",
        "install --yes --no-install-recommends chromium --download-only",
        "install --yes --no-install-recommends chromium",
    ]
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("Installing the package chromium with apt-get")
    assert get_chromium.main() == 0  # it is there now
    assert len(log.read_text().splitlines()) == 3
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("does", "reason"),
    [
        ("echo Reading; echo 'E: Unable to locate package chromium'; echo; exit 100", "Unable to"),
        ("exit 100", "exit code 100"),
        ("exec /bin/sleep 60", "longer than 0.2 s"),
        ("", "could not be installed."),
    ],
)
def test_chromium_that_cannot_be_installed_is_no_failure(
    get_chromium: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    does: str,
    reason: str,
) -> None:
    monkeypatch.setattr(get_chromium, "SECONDS", 0.2)
    program(tmp_path / "apt-get", does)
    assert get_chromium.main() == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert reason in said[1]
    assert said[1].endswith("are skipped.")


@pytest.mark.parametrize(
    ("user", "named", "reason"),
    [
        (1000, None, "None of chromium, chromium-browser, google-chrome is on the PATH"),
        (0, "none", "CHROMIUM names none, which is not there"),
    ],
)
def test_chromium_is_installed_for_nobody_who_did_not_ask(
    get_chromium: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: int,
    named: str | None,
    reason: str,
) -> None:
    program(tmp_path / "apt-get", f'echo > "{tmp_path}/called"')
    monkeypatch.setattr(get_chromium.os, "geteuid", lambda: user)
    if named:
        monkeypatch.setenv("CHROMIUM", named)
    assert get_chromium.main() == 0
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "called").exists()


def test_makefile_lists_its_targets() -> None:
    shown = subprocess.run(["make", "-s"], cwd=PROJECT, capture_output=True, text=True).stdout
    named = [line.split()[1] for line in shown.splitlines()]
    assert named == ["help", "demo", "test", "lint", "bench", "mutants", "env", "clean"]


def test_clean_removes_what_was_made_and_nothing_else(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    for part in ("tools", "python/anchorline"):
        shutil.copytree(PROJECT / part, project / part)
    shutil.copy(PROJECT / "Makefile", project)
    kept = sorted(
        path for path in project.rglob("*") if "__pycache__" not in path.parts and path.is_file()
    )
    for made in (".venv/bin", ".uv", "target", "logs", ".anchorline", "python/__pycache__"):
        (project / made).mkdir(parents=True)
        (project / made / "file").write_text("")
    done = subprocess.run(
        ["make", "-s", "clean"],
        cwd=project,
        capture_output=True,
        text=True,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "Removed .anchorline/",
        "Removed .venv/",
        "Removed .uv/",
        "Removed target/",
        "Removed logs/",
        "Removed Python's caches in python/",
    ]
    assert sorted(path for path in project.rglob("*") if path.is_file()) == kept


# -- linters, and the tests beside them ------------------------------------------------------------


@pytest.fixture
def linting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with linters that find nothing, before others on the PATH."""
    for name in ("mypy", "sqlfluff"):
        write_linter(tmp_path / name, "echo nothing")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return tmp_path


def write_linter(path: Path, does: str) -> None:
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)


LINT = [sys.executable, str(PROJECT / "tools" / "lint.py")]


@pytest.mark.parametrize(
    ("linter", "command", "code"),
    [
        ("exit 0", ["true"], 0),
        ("exit 0", ["false"], 1),
        ("exit 0", [], 0),
        ("echo wrong; exit 1", ["true"], 1),
        ("echo wrong; exit 1", [], 1),
    ],
)
def test_what_linters_and_tests_find_fails_the_run(
    linting: Path, linter: str, command: list[str], code: int
) -> None:
    write_linter(linting / "mypy", linter)
    done = subprocess.run([*LINT, *command], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert ("mypy: wrong" in done.stdout) == ("wrong" in linter)
    assert "sqlfluff: nothing" in done.stdout


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_tests_tidy_up_and_linters_end(linting: Path, sent: signal.Signals) -> None:
    pid = linting / "pid"
    write_linter(linting / "mypy", f"echo $$ > '{pid}.new'; mv '{pid}.new' '{pid}'; exec sleep 60")
    tests = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "try:\n"
        "    (folder / 'began').touch()\n"
        "    time.sleep(60)\n"
        "finally:\n"
        "    time.sleep(1)\n"
        "    (folder / 'tidy').touch()\n"
    )
    run = subprocess.Popen(
        [*LINT, sys.executable, "-c", tests, str(linting)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not ((linting / "began").exists() and pid.exists()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if sent == signal.SIGINT:
        os.killpg(run.pid, sent)  # as a terminal does
    else:
        run.send_signal(sent)
        # the linter has its time; who ends the tests need not wait for it
        os.kill(int(pid.read_text()), signal.SIGTERM)
    assert run.wait(30) != 0
    assert (linting / "tidy").exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
