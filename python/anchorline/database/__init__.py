"""The embedded PostgreSQL: a server of the project's own, from a folder of binaries."""

from __future__ import annotations

import os
from collections.abc import Callable

from anchorline import settings
from anchorline.database.server import EmbeddedServer, ServerStatus

__all__ = ["EmbeddedServer", "ServerStatus", "project_server"]


def project_server(tell: Callable[[str], None] | None = None) -> EmbeddedServer:
    """Return the server of this project, as the environment says where and on which port."""
    return EmbeddedServer(
        settings.data_folder(),
        port=settings.port_from_environment(),
        in_folder=bool(os.environ.get("ANCHORLINE_DATA_DIR")),
        tell=tell,
    )
