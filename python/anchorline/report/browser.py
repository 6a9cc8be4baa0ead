"""The Chromium of this machine: it takes pictures of the growth page, and the tests drive it."""

from __future__ import annotations

import os
import shutil
from typing import Final

from anchorline.errors import AnchorlineError

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str | None:
    """Return the path of $CHROMIUM, where that is not set of a Chromium on the PATH."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else BROWSERS)), None)


def browser() -> str:
    """Return the browser that takes pictures; raise AnchorlineError where there is none."""
    found = find_browser()
    if found is None:
        looked_for = os.environ.get("CHROMIUM") or " or ".join(BROWSERS)
        raise AnchorlineError(
            f"Pictures are taken by a Chromium, and there is no {looked_for}. Install one, or let "
            "the environment variable CHROMIUM name it."
        )
    return found
