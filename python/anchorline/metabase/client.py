"""Metabase's REST API over HTTP: what is sent and received is JSON, errors are for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from anchorline.errors import AnchorlineError

FIRST_WITH_MBQL5: Final = 57
"""The release from which on a stored query is of the new shape."""

_TIMEOUT_SECONDS: Final = (10, 120)
"""For the connection, and for an answer."""


class MetabaseError(AnchorlineError):
    """What the server refused. `status` is the HTTP status, 0 where none came."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Metabase:
    """A server. Reading is tried again where it fails in passing; writing is not.

    Raises AnchorlineError where the URL is none, or holds a password.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AnchorlineError(
                "Metabase's address is no http or https URL. Give one such as "
                "https://metabase.example.com (--url or METABASE_URL)."
            )
        if parts.username or parts.password:
            raise AnchorlineError("Metabase's URL holds a password. Use METABASE_API_KEY instead.")
        self.url = url.rstrip("/")
        self._secrets: list[str] = []
        self._session = requests.Session()
        retry = Retry(
            total=3,
            backoff_factor=0.5,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods={"GET"},
            raise_on_status=False,
        )
        self._session.mount("http://", HTTPAdapter(max_retries=retry))
        self._session.mount("https://", HTTPAdapter(max_retries=retry))

    def use_api_key(self, key: str) -> None:
        """Identify by an API key from now on."""
        self.keep_secret(key)
        self._session.headers["X-API-Key"] = key

    def use_session(self, session_id: str) -> None:
        """Identify by a session of a user from now on."""
        self.keep_secret(session_id)
        self._session.headers["X-Metabase-Session"] = session_id

    def log_in(self, email: str, password: str) -> None:
        """Start a session of a user."""
        self.keep_secret(password)
        answer = self.post("/api/session", {"username": email, "password": password})
        self.use_session(str(answer["id"]))

    def keep_secret(self, secret: str) -> None:
        """Never show this text, whatever the server answers."""
        self._secrets.append(secret)

    def get(self, path: str, **parameters: str) -> Any:
        """Read something."""
        return self._call("GET", path, parameters=parameters)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Create something, or start it."""
        return self._call("POST", path, body=body)

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """Change something."""
        return self._call("PUT", path, body=body)

    def _call(
        self,
        method: str,
        path: str,
        *,
        parameters: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            response = self._session.request(
                method,
                f"{self.url}{path}",
                params=parameters or None,
                json=body,
                timeout=_TIMEOUT_SECONDS,
                # another address would get the key, and a POST would become a GET
                allow_redirects=False,
            )
        except requests.Timeout as error:
            raise MetabaseError(f"Metabase at {self.url} did not answer in time.") from error
        except requests.RequestException as error:
            raise MetabaseError(
                f"There is no Metabase at {self.url}. Check --url (METABASE_URL), and that it runs."
            ) from error
        if not response.ok or response.is_redirect:
            raise self._refusal(response, method, path)
        if response.status_code == 204 or not response.content:
            return None
        try:
            return response.json()
        except requests.JSONDecodeError as error:
            raise MetabaseError(
                f"What answers at {self.url} is not Metabase (or something stands before it): "
                f"{method} {path} gave no JSON. Check --url.",
                status=response.status_code,
            ) from error

    def _refusal(self, response: requests.Response, method: str, path: str) -> MetabaseError:
        status = response.status_code
        said = self._said(response)
        if response.is_redirect:
            message = (
                f"{self.url} leads to {response.headers.get('Location', 'elsewhere')}. "
                "Give that address with --url."
            )
        elif status == 401:
            message = (
                "Metabase does not accept the API key or password. Check METABASE_API_KEY (an "
                "administrator makes keys under Admin settings, Authentication, API keys)."
            )
        elif status == 403:
            message = (
                f"Metabase does not allow {method} {path}. The API key must belong to the group "
                "Administrators."
            )
        elif status == 404:
            message = f"Metabase has no {path}: {said}"
        else:
            message = f"Metabase refuses {method} {path} ({status}): {said}"
        return MetabaseError(message, status=status)

    def _said(self, response: requests.Response) -> str:
        """Return the reasons in an answer: text, or a map of fields and errors."""
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = response.text
        text = "; ".join(_reasons(answer)) or response.reason or "no reason given"
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:500]


def speaks_mbql5(properties: Mapping[str, Any]) -> bool:
    """Return whether a server stores queries in the new shape, by its version.

    A server that does not say its release is taken for a new one.
    """
    tag = str((properties.get("version") or {}).get("tag") or "")
    found = re.match(r"v?[01]\.(\d+)", tag)
    return found is None or int(found[1]) >= FIRST_WITH_MBQL5


def listed(answer: Any) -> list[dict[str, Any]]:
    """Return the entries of a list, which some endpoints wrap in `data`."""
    entries = answer["data"] if isinstance(answer, dict) else answer
    return list(entries)


def _reasons(answer: Any) -> list[str]:
    if isinstance(answer, str):
        return [answer] if answer.strip() else []
    if isinstance(answer, list):
        return [reason for entry in answer for reason in _reasons(entry)]
    if not isinstance(answer, dict):
        return []
    reasons = []
    for name, value in (answer.get("errors") or {}).items():
        reasons += [f"{name}: {reason}" for reason in _reasons(value)]
    return reasons or _reasons(answer.get("message") or answer.get("error") or answer.get("cause"))
