"""The expectations of the marts as queries, for databases that no library opens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg import Connection

from anchorline.expectations.names import Catalogue, for_target
from anchorline.expectations.suites import Expectation, read_suite
from devtools.compiled_models import TARGET


def marts_expectations(
    connection: Connection, variables: Mapping[str, Any]
) -> Iterator[tuple[Expectation, str]]:
    """Yield each expectation with the query for the rows that fail it, for the vars of a run.

    Those of a table's shape, and those whose tables or columns are missing, are left out.
    """
    names = for_target(TARGET, connection, variables=variables)
    catalogue = Catalogue(connection, names)
    for expectation in read_suite("marts").expectations:
        query = names.query(expectation)
        if query is not None and catalogue.missing(expectation) is None:
            yield expectation, query
