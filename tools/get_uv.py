"""Get uv, and run it: python3 tools/get_uv.py [ARGUMENTS FOR UV].

Needs Python's standard library and nothing else: neither pip nor venv. Uses the `uv` on the
PATH where it is new enough; else downloads the pinned wheel from PyPI once, checks its hash
and keeps the program in `.uv/` of the project (its cache too, so that `make clean` leaves
nothing behind). Without arguments it prints the path of uv; with arguments it runs uv.

UV_INDEX_URL, UV_DEFAULT_INDEX or PIP_INDEX_URL name a mirror of PyPI to download uv from;
SSL_CERT_FILE, REQUESTS_CA_BUNDLE or PIP_CERT name the certificates to trust; without them uv
trusts those of the system, as networks that look into TLS need it (UV_SYSTEM_CERTS=0 lets uv
trust its own ones alone).
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".uv"
VERSION = "0.13.8"
OLDEST = (0, 9, 8)  # the first that knows `exclude-dependencies`
SYSTEM_CERTS_SINCE = (0, 11, 0)  # older ones call UV_SYSTEM_CERTS UV_NATIVE_TLS
SYSTEM_CERTS = (  # where Linux systems keep the certificates that they trust
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
PYTHON = ">=3.11,<3.15"
FILES = "https://files.pythonhosted.org/packages/"

# (system, machine, C library): path below FILES and SHA-256 of the wheel
WHEELS = {
    ("Linux", "x86_64", "glibc"): (
        "c5/32/52ee34636aea1ab3f8baeeae1c3599461b8cddfb379862cc72ac61b8d91c/"
        "uv-0.13.8-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984",
    ),
    ("Linux", "x86_64", "musl"): (
        "4d/a3/1ac9cd75985371da0d29c9c12132e6d5b5627b9d0de87c5ad97ab9ad69b0/"
        "uv-0.13.8-py3-none-musllinux_1_1_x86_64.whl",
        "29451c60f5e8b07403e0a175d5229efc36b0289b34143ff4aaa499a5dd52553a",
    ),
    ("Linux", "aarch64", "any"): (
        "9e/f0/d989ac5fcebf83f1c8c5d78974f27788e8364945969eb646f5d0db35d924/"
        "uv-0.13.8-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d",
    ),
    ("Darwin", "x86_64", "any"): (
        "be/7a/fd8a719c0198f8f8341847fc33b377f25ac79f7c4a56dbce5ceb086f239c/"
        "uv-0.13.8-py3-none-macosx_10_12_x86_64.whl",
        "b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1",
    ),
    ("Darwin", "arm64", "any"): (
        "84/46/deb3a1eb3020575e41d1f9840c07185761d8d4c25cd6f58e813afb017476/"
        "uv-0.13.8-py3-none-macosx_11_0_arm64.whl",
        "62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49",
    ),
}
INSTALL_BY_HAND = "install uv yourself (https://docs.astral.sh/uv) and put it on the PATH"


class CannotGetUvError(Exception):
    """One line: what is wrong and what to do."""


def main(arguments: list[str]) -> int:
    """Print the path of uv, or run it with the arguments."""
    try:
        uv = find_uv() or download_uv()
        environment = uv_environment(uv)
        if arguments:
            check_python(uv, environment)
    except CannotGetUvError as error:
        print(f"anchorline: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nanchorline: interrupted", file=sys.stderr)
        return 130
    if not arguments:
        print(uv)
        return 0
    sys.stdout.flush()
    os.chdir(str(PROJECT))
    os.execve(str(uv), [str(uv), *arguments], environment)  # noqa: S606
    return 1


def find_uv() -> Path | None:
    """Return the uv on the PATH where it is new enough, else the one downloaded before."""
    for candidate in (shutil.which("uv"), str(own_uv())):
        if candidate and is_new_enough(candidate):
            return Path(candidate)
    return None


def own_uv() -> Path:
    """Return where the downloaded uv is kept."""
    return FOLDER / VERSION / "uv"


def is_new_enough(uv: str) -> bool:
    """Return whether this uv runs and is at least the oldest one that the project needs."""
    return version_of(uv) >= OLDEST


def version_of(uv: str) -> tuple[int, ...]:
    """Return the version of a uv; an empty one where it does not run."""
    try:
        said = subprocess.run(
            [uv, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return ()
    version = re.match(r"uv (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in version.groups()) if version else ()


def uv_environment(uv: Path) -> dict[str, str]:
    """Return the environment for uv: this project's, the system's certificates and Python."""
    environment = dict(os.environ)
    environment.pop("VIRTUAL_ENV", None)
    if uv == own_uv():
        environment.setdefault("UV_CACHE_DIR", str(FOLDER / "cache"))
    certificates = environment.get("PIP_CERT") or environment.get("REQUESTS_CA_BUNDLE")
    if certificates:
        environment.setdefault("SSL_CERT_FILE", certificates)
    if not environment.keys() & {"UV_SYSTEM_CERTS", "UV_NATIVE_TLS"} and has_system_certificates():
        is_new = version_of(str(uv)) >= SYSTEM_CERTS_SINCE
        environment["UV_SYSTEM_CERTS" if is_new else "UV_NATIVE_TLS"] = "1"
    # Pythons come from GitHub, which many networks do not reach: use one of the machine's
    environment.setdefault("UV_PYTHON_DOWNLOADS", "never")
    return environment


def has_system_certificates() -> bool:
    """Return whether the system has certificates: some containers have none, but uv does."""
    return platform.system() == "Darwin" or any(os.path.isfile(path) for path in SYSTEM_CERTS)


def check_python(uv: Path, environment: dict[str, str]) -> None:
    """Say in one line what to do where the machine has no Python that will do."""
    if (PROJECT / ".venv").exists() or environment["UV_PYTHON_DOWNLOADS"] != "never":
        return
    found = subprocess.run(
        [str(uv), "python", "find", "--no-project", PYTHON],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    if found.returncode != 0:
        raise CannotGetUvError(
            f"Python 3.11 to 3.14 is needed, and none was found (python3 is "
            f"{platform.python_version()}). Install one, for "
            "example `apt install python3.11`, or let uv fetch one: UV_PYTHON_DOWNLOADS=automatic "
            "make ..."
        )


def download_uv() -> Path:
    """Download the pinned wheel, check it and unpack the program; safe for two at once."""
    path, digest = wheel_for_this_machine()
    name = path.rpartition("/")[2]
    target = own_uv()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix="uv-", dir=str(target.parent))
    except OSError as error:
        raise CannotGetUvError(
            f"cannot write to {FOLDER}: {error.strerror}. "
            f"Make the project's folder writable, or {INSTALL_BY_HAND}."
        ) from error
    wheel = Path(temporary)
    program = Path(temporary + ".program")
    try:
        print(f"Downloading uv {VERSION} (about 20 MB)", file=sys.stderr)
        with os.fdopen(handle, "wb") as file:
            fetch(wheel_url(path, name), file)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != digest:
            raise CannotGetUvError(
                f"the downloaded {name} has the hash {found[:12]}..., not {digest[:12]}...: "
                "it is damaged or not the real "
                f"one. Try again, or {INSTALL_BY_HAND}."
            )
        with zipfile.ZipFile(str(wheel)) as archive:
            inside = f"uv-{VERSION}.data/scripts/uv"
            with archive.open(inside) as source, open(str(program), "wb") as file:
                shutil.copyfileobj(source, file)
        program.chmod(0o755)
        os.replace(str(program), str(target))
    except OSError as error:
        raise CannotGetUvError(
            f"cannot unpack uv in {FOLDER}: {error.strerror or error}. "
            f"Make room there, or {INSTALL_BY_HAND}."
        ) from error
    finally:
        for left_over in (wheel, program):
            if left_over.exists():
                left_over.unlink()
    if not is_new_enough(str(target)):
        raise CannotGetUvError(
            f"the downloaded uv does not run on this machine. "
            f"Remove {FOLDER}, and {INSTALL_BY_HAND}."
        )
    return target


def wheel_for_this_machine() -> tuple[str, str]:
    """Return path and hash of the wheel for this system, machine and C library."""
    system, machine = platform.system(), platform.machine().lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    if system == "Linux" and machine == "arm64":
        machine = "aarch64"
    library = "any"
    if (system, machine) == ("Linux", "x86_64"):
        library = "glibc" if platform.libc_ver()[0] == "glibc" else "musl"
    wheel = WHEELS.get((system, machine, library))
    if wheel is None:
        raise CannotGetUvError(
            f"uv is not on the PATH, and no download is known for {system} on {machine}: "
            f"{INSTALL_BY_HAND}."
        )
    return wheel


def wheel_url(path: str, name: str) -> str:
    """Return where to download the wheel: PyPI's file server, or a mirror's own address."""
    index = next(
        (
            os.environ[variable]
            for variable in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
            if os.environ.get(variable)
        ),
        "",
    )
    index = re.sub(r"^[\w-]+=(?=https?:)", "", index)  # uv allows "name=https://..."
    if not index or urllib.parse.urlsplit(index).hostname in ("pypi.org", "pypi.python.org"):
        return FILES + path
    page_url = index.rstrip("/") + "/uv/"
    with tempfile.TemporaryFile() as file:
        fetch(page_url, file)
        file.seek(0)
        page = file.read().decode(errors="replace")
    for link in re.findall(r"""href\s*=\s*["']([^"']+)["']""", page):
        address = urllib.parse.urljoin(page_url, html.unescape(link))
        if urllib.parse.unquote(address.partition("#")[0]).endswith("/" + name):
            return address.partition("#")[0]
    raise CannotGetUvError(
        f"the package index {without_credentials(index)} has no {name}: "
        f"unset UV_INDEX_URL and PIP_INDEX_URL, or {INSTALL_BY_HAND}."
    )


def fetch(url: str, file: IO[bytes]) -> None:
    """Download into an open file, with three tries; one clear line where it does not work."""
    parts = urllib.parse.urlsplit(url)
    headers = {"User-Agent": "anchorline", "Accept": "text/html, */*"}
    if parts.username:
        secret = "{}:{}".format(
            urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
        )
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    if parts.scheme not in ("http", "https"):
        raise CannotGetUvError(
            f"the package index {without_credentials(url)} is no web address: "
            f"set UV_INDEX_URL to one, or {INSTALL_BY_HAND}."
        )
    request = urllib.request.Request(without_credentials(url), headers=headers)  # noqa: S310
    problem: object = None
    for wait in (1, 3, 0):
        try:
            file.seek(0)
            file.truncate()
            with urllib.request.urlopen(  # noqa: S310
                request, timeout=60, context=certificates()
            ) as answer:
                shutil.copyfileobj(answer, file)
            return
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.reason}"
            if error.code < 500:
                break
        except urllib.error.URLError as error:
            problem = error.reason
            if isinstance(problem, ssl.SSLCertVerificationError):
                raise CannotGetUvError(
                    f"the certificate of {parts.hostname} is not trusted "
                    f"({problem.verify_message}): let SSL_CERT_FILE name your network's "
                    f"certificates, or {INSTALL_BY_HAND}."
                ) from error
        except OSError as error:
            problem = error
        time.sleep(wait)
    raise CannotGetUvError(
        f"uv is not on the PATH and could not be downloaded from {parts.hostname} ({problem}). "
        "Connect to the network "
        f"or set UV_INDEX_URL to a mirror that you reach; or {INSTALL_BY_HAND}."
    )


def without_credentials(url: str) -> str:
    """Return the URL without user and password."""
    parts = urllib.parse.urlsplit(url)
    return urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def certificates() -> ssl.SSLContext:
    """Return the trusted certificates: the system's, and those that the environment names."""
    context = ssl.create_default_context()
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT"):
        path = os.environ.get(variable)
        if path and os.path.isfile(path):
            context.load_verify_locations(cafile=path)
    return context


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
