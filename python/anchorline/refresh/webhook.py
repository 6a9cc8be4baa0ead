"""Call a webhook when something needs a person: plain JSON, as chat systems take it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from anchorline.errors import AnchorlineError

_TIMEOUT_SECONDS = 10


class Webhook:
    """A URL that takes `{"text": ..., "title": ..., "details": ...}` by POST.

    The URL may hold a token: it is never printed whole. Raises AnchorlineError where it is
    neither http nor https.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise AnchorlineError(
                "The webhook is no http or https URL. Set ANCHORLINE_WEBHOOK (or --webhook) to "
                "one, such as https://chat.example.com/hooks/..."
            )
        self._url = url
        self.host = parts.hostname

    def call(self, title: str, text: str) -> str | None:
        """Send a message; return what went wrong, or None. Never raises, never waits for long."""
        body = json.dumps({"text": f"anchorline: {title}\n{text}", "title": title, "details": text})
        request = urllib.request.Request(  # noqa: S310 (http and https only, see above)
            self._url,
            data=body.encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                return None
        except urllib.error.HTTPError as error:
            return f"{self.host} answered {error.code} {error.reason}"
        except (urllib.error.URLError, OSError, ValueError) as error:
            return f"{self.host}: {error}"
