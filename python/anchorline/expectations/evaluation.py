"""Ask Great Expectations. Imported only in a process of its own: the import takes seconds."""

from __future__ import annotations

import contextlib
import fcntl
import html
import io
import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # before the import, which reads it

import great_expectations as gx
import psycopg
import sqlalchemy
from great_expectations.core.result_format import ResultFormat
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.execution_engine.sqlalchemy_execution_engine import (
    SqlAlchemyExecutionEngine,
)
from great_expectations.expectations.core.unexpected_rows_expectation import (
    UnexpectedRowsExpectation,
)
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.metrics.metric_provider import MetricProvider, metric_value
from great_expectations.expectations.registry import get_expectation_impl
from great_expectations.render.components import (
    LegacyDiagnosticRendererType,
    RenderedTableContent,
)
from great_expectations.render.renderer.renderer import renderer

from anchorline.connection import connection_parameters
from anchorline.errors import AnchorlineError
from anchorline.expectations.names import Names
from anchorline.expectations.outcomes import BROKEN, FAILED, PASSED, SKIPPED, Outcome
from anchorline.expectations.questions import SESSION, Question, Questions, Rows
from anchorline.expectations.suites import Relation, Suite

EXAMPLES = 3
SITE = "validation"


class FailingRows(MetricProvider):
    """The rows that an expectation's query has found, on one of the validation's connections."""

    metric_name = "anchorline.failing_rows"
    domain_keys = ("batch_id", "row_condition", "condition_parser")
    value_keys = ("unexpected_rows_query",)

    answers: ClassVar[Mapping[str, Future[Rows]]] = {}
    """Of the validation at work, by query as the expectation holds it."""

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,  # noqa: N805 - the library calls it with the class
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Rows:
        return cls.answers[metric_value_kwargs["unexpected_rows_query"]].result()


class ExpectQueryToFindNothing(UnexpectedRowsExpectation):
    """A query for rows that must not be there, run once.

    `UnexpectedRowsExpectation` runs its query twice, for the rows and for their number. Here
    the number stands in the first row (`rows_failed`), which halves the time.
    """

    metric_dependencies: ClassVar[tuple[str, ...]] = (FailingRows.metric_name,)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        rows = metrics[FailingRows.metric_name]
        failed = int(rows[0]["rows_failed"]) if rows else 0
        shown = [{k: v for k, v in row.items() if k != "rows_failed"} for row in rows]
        return {
            "success": failed == 0,
            "result": {"observed_value": failed, "details": {"unexpected_rows": shown}},
        }

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _rows_in_data_docs(
        cls,
        configuration: Any = None,
        result: Any = None,
        runtime_configuration: dict[str, Any] | None = None,
    ) -> list[RenderedTableContent] | None:
        """Show the failing rows, which the parent leaves out. The pages escape nothing."""
        rows = (result.result.get("details") or {}).get("unexpected_rows") if result else None
        if not rows:
            return None
        return [
            RenderedTableContent(
                content_block_type="table",
                header_row=[html.escape(name) for name in rows[0]],
                table=[
                    ["" if value is None else html.escape(str(value)) for value in row.values()]
                    for row in rows
                ],
                styling={"body": {"classes": ["table-bordered", "table-sm", "mt-3"]}},
            )
        ]


def evaluate(
    suites: list[Suite], names: Names, target: str, questions: Questions, docs_folder: Path | None
) -> tuple[list[Outcome], str | None]:
    """Judge the answers; write Data Docs where they are wanted.

    Returns the outcomes and the address of the first page.
    """
    _be_quiet()
    context: Any = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = _source(context, target)
    FailingRows.answers = {_escape(query): rows for query, rows in questions.answers.items()}
    try:
        outcomes: list[Outcome] = []
        for suite in suites:
            outcomes += _evaluate_suite(
                suite, questions.of_suite[suite.name], names, context, source
            )
            questions.raise_if_lost()
    finally:
        FailingRows.answers = {}
        while _sessions:  # the library keeps some for as long as the process lives
            _sessions.pop().close()
    return outcomes, _build_docs(context, docs_folder) if docs_folder else None


def _build_docs(context: Any, folder: Path) -> str | None:
    """Write the Data Docs over those of an earlier run, whose other pages would stay."""
    first_page = folder / "index.html"
    context.add_data_docs_site(SITE, _site(folder))
    with _alone_in(folder):
        if first_page.is_file() and "Great Expectations" in first_page.read_text(
            "utf-8", "replace"
        ):
            for pages in ("expectations", "validations"):
                shutil.rmtree(folder / pages, ignore_errors=True)
        context.build_data_docs(site_names=[SITE])
    return str(first_page) if first_page.is_file() else None


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait until no other validation writes its pages into the folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _evaluate_suite(
    suite: Suite, questions: list[Question], names: Names, context: Any, source: Any
) -> list[Outcome]:
    outcomes: dict[str, Outcome] = {}
    by_relation: dict[Relation, list[Question]] = {}
    for question in questions:
        expectation = question.expectation
        if question.beyond is not None:
            outcomes[expectation.id] = _outcome(suite, question, SKIPPED, reason=question.beyond)
        elif question.missing is not None:
            status = SKIPPED if expectation.is_optional or expectation.needs else BROKEN
            outcomes[expectation.id] = _outcome(suite, question, status, reason=question.missing)
        else:
            by_relation.setdefault(expectation.relation, []).append(question)
    definitions = [
        _definition(relation, asked, names, context, source)
        for relation, asked in sorted(by_relation.items())
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
        for asked in by_relation.values():
            for question in asked:
                id_ = question.expectation.id
                outcomes[id_] = _judge(suite, question, found.get(id_))
    return [outcomes[expectation.id] for expectation in suite.expectations]


def _definition(
    relation: Relation, questions: list[Question], names: Names, context: Any, source: Any
) -> Any:
    """Make the validation of one table: its batch, and the expectations that speak of it."""
    # A table asset would fold the schema's name to lower case.
    asset = source.add_query_asset(name=str(relation), query=names.batch_query(relation))
    suite = context.suites.add(gx.ExpectationSuite(name=str(relation)))
    for question in questions:
        suite.add_expectation(_build(question))
    suite.save()
    return context.validation_definitions.add(
        gx.ValidationDefinition(
            name=str(relation), data=asset.add_batch_definition_whole_table("all"), suite=suite
        )
    )


def _build(question: Question) -> Any:
    expectation = question.expectation
    kwargs = dict(expectation.kwargs)
    if question.query is not None:
        kwargs["unexpected_rows_query"] = _escape(question.query)
    # It prints that a query should name its batch, which is unquoted there.
    with contextlib.redirect_stdout(io.StringIO()):
        return get_expectation_impl(expectation.type)(
            severity=FailureSeverity(expectation.severity),
            description=expectation.description,
            meta={"id": expectation.id},
            **kwargs,
        )


def _escape(query: str) -> str:
    """Protect the braces, which Great Expectations would read as its own."""
    return query.replace("{", "{{").replace("}", "}}")


def _judge(suite: Suite, question: Question, result: Any) -> Outcome:
    if result is None:
        return _outcome(suite, question, BROKEN, reason="it was not evaluated")
    error = _hidden_error(result.exception_info)
    if error is not None:
        return _outcome(suite, question, BROKEN, reason=error)
    try:
        counted = question.rows_tried.result() if question.rows_tried else []
    except (psycopg.Error, AnchorlineError) as failure:
        return _outcome(suite, question, BROKEN, reason=f"rows_tried: {failure}")
    details = result.result.get("details") or {}
    if question.query is None:
        examples, failed = _mismatches(details), 0 if result.success else 1
    else:
        examples, failed = details["unexpected_rows"], int(result.result["observed_value"])
    expectation = question.expectation
    return Outcome(
        suite=suite.name,
        id=expectation.id,
        severity=expectation.severity,
        description=expectation.description,
        status=PASSED if result.success else FAILED,
        rows_tried=int(next(iter(counted[0].values()))) if counted else None,
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


def _mismatches(details: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is missing of a set of columns, in the shape of failing rows."""
    missing = (details.get("mismatched") or {}).get("missing") or []
    return [{"column": name, "found": "missing"} for name in missing]


def _outcome(suite: Suite, question: Question, status: str, *, reason: str | None) -> Outcome:
    expectation = question.expectation
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


_sessions: list[Any] = []


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "connect")
def _prepare_session(connection: Any, _record: Any) -> None:
    for statement in SESSION:
        connection.execute(statement)
    connection.commit()
    _sessions.append(connection)


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
