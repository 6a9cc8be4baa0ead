"""Ask Great Expectations. Imported only in a process of its own: the import takes seconds."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any, ClassVar

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, which reads it

import great_expectations as gx
import psycopg
import sqlalchemy
from great_expectations.core.result_format import ResultFormat
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.core.unexpected_rows_expectation import (
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.registry import get_expectation_impl

from anchorline.connection import connect, connection_parameters
from anchorline.expectations.names import Catalogue, Names
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, SKIPPED, Outcome
from anchorline.expectations.suites import Expectation, Relation, Suite

EXAMPLES = 3
SITE = "validation"

# A session only reads, plans without JIT (it costs more than it gains here), and may sort a
# farm's days in memory.
_SESSION = (
    "set default_transaction_read_only = on",
    "set jit = off",
    "set work_mem = '128MB'",
)


class ExpectQueryToFindNothing(UnexpectedRowsExpectation):
    """A query for rows that must not be there, run once.

    `UnexpectedRowsExpectation` runs its query twice, for the rows and for their number. Here
    the number stands in the first row (`rows_failed`), which halves the time.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = ("unexpected_rows_query.table",)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = metrics["unexpected_rows_query.table"]
        failed = int(rows[0]["rows_failed"]) if rows else 0
        shown = [{k: v for k, v in row.items() if k != "rows_failed"} for row in rows]
        return {
            "success": failed == 0,
            "result": {"observed_value": failed, "details": {"unexpected_rows": shown}},
        }


def evaluate(
    suites: list[Suite], names: Names, target: str, docs_folder: Path
) -> tuple[list[Outcome], str | None]:
    """Evaluate suites on a target; write Data Docs; return the outcomes and the docs' address."""
    _be_quiet()
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.add_data_docs_site(SITE, _site(docs_folder))
    source = _source(context, target)
    outcomes: list[Outcome] = []
    with connect(target, autocommit=True) as connection:
        catalogue = Catalogue(connection, names)
        for suite in suites:
            outcomes += _evaluate_suite(suite, names, catalogue, connection, context, source)
    return outcomes, _build_docs(context, docs_folder)


def _build_docs(context: Any, folder: Path) -> str | None:
    """Write the Data Docs over those of an earlier run, whose other pages would stay."""
    first_page = folder / "index.html"
    if first_page.is_file() and "Great Expectations" in first_page.read_text("utf-8", "replace"):
        for pages in ("expectations", "validations"):
            shutil.rmtree(folder / pages, ignore_errors=True)
    context.build_data_docs(site_names=[SITE])
    return str(first_page) if first_page.is_file() else None


def _evaluate_suite(
    suite: Suite,
    names: Names,
    catalogue: Catalogue,
    connection: psycopg.Connection,
    context: Any,
    source: Any,
) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    by_relation: dict[Relation, list[Expectation]] = {}
    for expectation in suite.expectations:
        reason = catalogue.missing(expectation)
        if reason is None:
            by_relation.setdefault(expectation.relation, []).append(expectation)
        else:
            status = SKIPPED if expectation.is_optional or expectation.needs else BROKEN
            outcomes[expectation.id] = _outcome(suite, expectation, status, reason=reason)
    definitions = [
        _definition(relation, expectations, names, context, source)
        for relation, expectations in sorted(by_relation.items())
    ]
    if definitions:
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(
                name=suite.name,
                validation_definitions=definitions,
                result_format={"result_format": ResultFormat.COMPLETE},
            )
        )
        run = checkpoint.run()
        found = {
            result.expectation_config.meta["id"]: result
            for validation in run.run_results.values()
            for result in validation.results
        }
        count = _RowCounts(connection, names)
        for expectations in by_relation.values():
            for expectation in expectations:
                outcomes[expectation.id] = _judge(
                    suite, expectation, found.get(expectation.id), count
                )
    return [outcomes[expectation.id] for expectation in suite.expectations]


def _definition(
    relation: Relation, expectations: list[Expectation], names: Names, context: Any, source: Any
) -> Any:
    """Make the validation of one table: its batch, and the expectations that speak of it."""
    # A table asset would fold the schema's name to lower case.
    asset = source.add_query_asset(name=str(relation), query=names.batch_query(relation))
    suite = context.suites.add(gx.ExpectationSuite(name=str(relation)))
    for expectation in expectations:
        suite.add_expectation(_build(expectation, names))
    suite.save()
    return context.validation_definitions.add(
        gx.ValidationDefinition(
            name=str(relation), data=asset.add_batch_definition_whole_table("all"), suite=suite
        )
    )


def _build(expectation: Expectation, names: Names) -> Any:
    kwargs = dict(expectation.kwargs)
    query = names.query(expectation)
    if query is not None:
        kwargs["unexpected_rows_query"] = _escape(query)
    # It prints that a query should name its batch, which is unquoted there.
    with contextlib.redirect_stdout(io.StringIO()):
        return get_expectation_impl(expectation.type)(
            severity=FailureSeverity(expectation.severity),
            description=expectation.description,
            meta={"id": expectation.id},
            **kwargs,
        )


def _escape(query: str) -> str:
    """Protect what Great Expectations (braces) and SQLAlchemy (colons) would read as theirs."""
    return query.replace("{", "{{").replace("}", "}}").replace(":", r"\:")


def _judge(
    suite: Suite,
    expectation: Expectation,
    result: Any,
    count: _RowCounts,
) -> Outcome:
    if result is None:
        return _outcome(suite, expectation, BROKEN, reason="it was not evaluated")
    error = _hidden_error(result.exception_info)
    if error is not None:
        return _outcome(suite, expectation, BROKEN, reason=error)
    try:
        tried = count(expectation)
    except psycopg.Error as failure:
        return _outcome(suite, expectation, BROKEN, reason=f"rows_tried: {failure}")
    details = result.result.get("details") or {}
    if expectation.query is None:
        examples, failed = _mismatches(details), 0 if result.success else 1
    else:
        examples, failed = details["unexpected_rows"], int(result.result["observed_value"])
    return Outcome(
        suite=suite.name,
        id=expectation.id,
        severity=expectation.severity,
        description=expectation.description,
        status=PASSED if result.success else FAILED,
        rows_tried=tried,
        rows_failed=failed,
        examples=[dict(row) for row in examples[:EXAMPLES]],
    )


def _hidden_error(exception_info: dict[str, Any] | None) -> str | None:
    """Return the error that a result hides: one for the expectation or one for each metric."""
    info = exception_info or {}
    for one in [info, *(value for value in info.values() if isinstance(value, dict))]:
        if one.get("raised_exception"):
            text = str(one.get("exception_message") or "an error without a message")
            return text.split("\n[SQL:")[0].strip()
    return None


class _RowCounts:
    """How many rows an expectation tries; what several try is counted once."""

    def __init__(self, connection: psycopg.Connection, names: Names) -> None:
        self._connection = connection
        self._names = names
        self._counted: dict[str, int] = {}

    def __call__(self, expectation: Expectation) -> int | None:
        if expectation.rows_tried is None:
            return None
        query = self._names.render(expectation.rows_tried)
        if query not in self._counted:
            row = self._connection.execute(query.encode()).fetchone()
            self._counted[query] = int(row[0]) if row else 0
        return self._counted[query]


def _mismatches(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is missing of a set of columns, in the shape of failing rows."""
    missing = (details.get("mismatched") or {}).get("missing") or []
    return [{"column": name, "found": "missing"} for name in missing]


def _outcome(suite: Suite, expectation: Expectation, status: str, *, reason: str | None) -> Outcome:
    return Outcome(
        suite=suite.name,
        id=expectation.id,
        severity=expectation.severity,
        description=expectation.description,
        status=status,
        reason=reason,
    )


def _source(context: Any, target: str) -> Any:
    """Add the target's database, with what libpq needs beside the address: no password in it."""
    parameters = connection_parameters(target)
    return context.data_sources.add_postgres(
        name="anchorline",
        connection_string="postgresql+psycopg://anchorline@localhost/",
        kwargs={
            "connect_args": {
                **parameters,
                "connect_timeout": 10,
                "application_name": "anchorline validate",
            }
        },
    )


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def _prepare_session(connection: Any, _record: Any) -> None:
    for statement in _SESSION:
        connection.execute(statement)
    connection.commit()


def _site(folder: Path) -> dict[str, Any]:
    return {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder),
        },
    }


def _be_quiet() -> None:
    """Leave the terminal to the results: what matters comes back in them."""
    warnings.simplefilter("ignore")
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
