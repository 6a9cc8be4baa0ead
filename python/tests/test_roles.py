"""Who may do what: each role is tried on a farm, by somebody who has that role and no other."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import AS_OF, BuiltDemo
from psycopg import sql
from psycopg.errors import InsufficientPrivilege

from anchorline.cli import main
from anchorline.database import EmbeddedServer
from anchorline.errors import AnchorlineError
from anchorline.raw.schema import RAW_TABLES, create_raw_tables
from anchorline.report.write import write
from anchorline.roles import Roles
from devtools.compiled_models import Dbt

PREFIX: Final = 'Laks "ø" '
"""Roles belong to the whole server: a prefix of our own, with all that must be quoted."""
PASSWORD: Final = secrets.token_urlsafe()

ROLES: Final = Roles.of(PREFIX)
LOGINS: Final = {
    "test_etl": ROLES.runner,
    "test_dashboard": ROLES.reader,
    "test_planner": ROLES.writer,
    "test_migration": ROLES.owner,
}

WITHOUT_TESTS: Final = ("--exclude-resource-types", "test", "unit_test")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Farm:
    """A database with the roles, and logins that have one of them each."""

    url: str
    """As the owner of the database and of the raw tables."""
    admin_url: str

    def url_of(self, login: str) -> str:
        return psycopg.conninfo.make_conninfo(self.url, user=login, password=PASSWORD)

    def of(self, login: str) -> psycopg.Connection[Row]:
        return psycopg.connect(self.url_of(login), autocommit=True)


def as_admin(url: str, server: EmbeddedServer) -> str:
    return psycopg.conninfo.make_conninfo(
        url, user="postgres", password=server.password("postgres")
    )


def db_roles(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["db", "roles", "--target", "prod", *arguments])


def make_roles(admin_url: str, environment: Callable[[str], dict[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(admin_url).items():
            patch.setenv(name, value)
        result = db_roles("--prefix", PREFIX)
    assert result.exit_code == 0, result.output
    assert f"the var role_prefix of dbt_project.yml to {PREFIX!r}" in result.stderr
    with psycopg.connect(admin_url, autocommit=True) as connection:
        for login, role in LOGINS.items():
            known = connection.execute("select from pg_roles where rolname = %s", (login,))
            if known.fetchone() is None:
                connection.execute(
                    sql.SQL("create role {} login password {} in role {}").format(
                        sql.Identifier(login), sql.Literal(PASSWORD), sql.Identifier(role)
                    )
                )
        # what it makes belongs to the runner, whoever runs it next
        connection.execute(
            sql.SQL("alter role test_etl set role to {}").format(sql.Literal(ROLES.runner))
        )


@pytest.fixture(scope="module")
def farm(
    built_demo: BuiltDemo,
    copy_database: Callable[[str], str],
    database_environment: Callable[[str], dict[str, str]],
    server: EmbeddedServer,
) -> Farm:
    """The demo farm, built by the owner of the database before there were any roles."""
    url = copy_database(built_demo.url)
    farm = Farm(url, as_admin(url, server))
    make_roles(farm.admin_url, database_environment)
    return farm


@pytest.fixture
def use(use_database: Callable[[str], None]) -> Callable[[str], None]:
    return use_database


def relations(connection: psycopg.Connection[Row], schema: str) -> list[sql.Identifier]:
    rows = connection.execute(
        "select relname from pg_class where relkind in ('r', 'v', 'm', 'p') "
        "and relnamespace = %s::regnamespace order by relname",
        (schema,),
    ).fetchall()
    assert rows, schema
    return [sql.Identifier(schema, name) for (name,) in rows]


def refused(connection: psycopg.Connection[Row], query: LiteralString | sql.Composed) -> None:
    """Require that a statement is refused for want of a right, and for nothing else."""
    statement = sql.SQL(query) if isinstance(query, str) else query
    with connection.transaction(force_rollback=True):
        try:
            connection.execute(statement)
        except InsufficientPrivilege:
            return
        pytest.fail(f"{statement.as_string(connection)} was allowed")


def allowed(connection: psycopg.Connection[Row], query: LiteralString | sql.Composed) -> None:
    """Require that a statement is allowed; what it does is taken back."""
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL(query) if isinstance(query, str) else query)


def each_write(relation: sql.Identifier) -> Iterator[sql.Composed]:
    for statement in (
        "insert into {} default values",
        "delete from {}",
        "truncate {}",
        "drop table {}",
        "alter table {} add column mine integer",
    ):
        yield sql.SQL(statement).format(relation)  # type: ignore[arg-type]


# -- the reader ------------------------------------------------------------------------------------


def test_reader_reads_every_mart(farm: Farm) -> None:
    with farm.of("test_dashboard") as reader:
        marts = relations(reader, "anchorline_marts")
        assert len(marts) >= 12
        for mart in marts:
            allowed(reader, sql.SQL("select * from {} limit 1").format(mart))


@pytest.mark.parametrize(
    "schema",
    [
        "public",
        "anchorline_staging",
        "anchorline_intermediate",
        "anchorline_seeds",
        "anchorline_ops",
        "demo_truth",
    ],
)
def test_reader_reads_nothing_else(farm: Farm, schema: str) -> None:
    with farm.of("test_dashboard") as reader:
        for relation in relations(reader, schema):
            refused(reader, sql.SQL("select from {} limit 1").format(relation))


def test_reader_may_write_the_growth_page(farm: Farm, tmp_path: Path) -> None:
    with psycopg.connect(farm.url_of("test_dashboard")) as reader:
        written = write(
            reader, "anchorline_marts", tmp_path / "growth.html", wanted=(), locale="en"
        )
    assert written.batches


def test_reader_writes_nothing(farm: Farm) -> None:
    with farm.of("test_dashboard") as reader:
        for relation in (
            *relations(reader, "anchorline_ops"),
            sql.Identifier("anchorline_marts", "batches"),
            sql.Identifier("anchorline_marts", "daily_assignment_states"),
            sql.Identifier("public", "batch_batch"),
        ):
            for statement in each_write(relation):
                refused(reader, statement)
        refused(reader, "update anchorline_marts.batches set batch_number = 'mine'")
        refused(reader, "create table anchorline_marts.mine (id integer)")
        refused(reader, "create table public.mine (id integer)")
        refused(reader, "create schema mine")


# -- the runner ------------------------------------------------------------------------------------


def test_runner_cannot_write_raw(farm: Farm) -> None:
    with farm.of("test_etl") as runner:
        for name in RAW_TABLES:
            for statement in each_write(sql.Identifier("public", name)):
                refused(runner, statement)
        refused(runner, "update public.batch_batch set status = 'ACTIVE'")
        refused(runner, "create table public.mine (id integer)")
        refused(
            runner,
            "create trigger mine after insert on public.batch_batch "
            "for each row execute function suppress_redundant_updates_trigger()",
        )


def test_runner_owns_what_was_built_before(farm: Farm) -> None:
    with farm.of("test_etl") as runner:
        others = runner.execute(
            """
            select relations.oid::regclass::text, relations.relowner::regrole::text
            from pg_class as relations
            inner join pg_namespace as schemas on relations.relnamespace = schemas.oid
            where
                schemas.nspname like 'anchorline%%'
                and relations.relkind in ('r', 'v', 'S')
                and not (
                    pg_get_userbyid(relations.relowner) = %(runner)s
                    and pg_get_userbyid(schemas.nspowner) = %(runner)s
                )
            """,
            {"runner": ROLES.runner},
        ).fetchall()
        assert others == []
    # who has built so far is a member, and can go on
    with psycopg.connect(farm.url) as builder:
        allowed(builder, "drop table anchorline_marts.batches_without_scenario cascade")


def test_rights_outlive_rebuilds_and_statements_reach_the_marts(
    farm: Farm, use: Callable[[str], None], dbt_on: Callable[[str], Dbt], tmp_path: Path
) -> None:
    """A writer states, the runner builds everything anew, the reader reads it."""
    with farm.of("test_dashboard") as reader:
        [(batch, container, day)] = reader.execute(
            "select batch_number, container_name, max(state_date)::text "
            "from anchorline_marts.daily_assignment_states where anchor_type is null "
            "group by 1, 2 order by 3 desc, 1, 2 limit 1"
        ).fetchall()
        [(sample,)] = reader.execute(
            "select min(record_id) from anchorline_marts.weight_anchors "
            "where anchor_type = 'growth_sample' and is_used"
        ).fetchall()
    use(farm.url_of("test_planner"))

    def stated(*arguments: str) -> str:
        result = CliRunner().invoke(main, ["anchors", *arguments, "--target", "prod"])
        assert result.exit_code == 0, result.output
        return result.stdout

    stated("add", batch, container, day, "777.5", "--reason", "lice count")
    stated("exclude", "growth_sample", str(sample), "--reason", "bad scale")
    stated("remove", "1", "--reason", "typing error")
    before = json.loads(stated("list", "--stated", "--json"))
    assert {entry["change"] for entry in before} >= {"will count", "will be excluded", "will go"}
    assert {e["stated"]["by"] for e in before if e["change"] == "will count"} == {"test_planner"}

    dbt = dbt_on(farm.url_of("test_etl"))
    variables = {"as_of_date": AS_OF.isoformat(), "role_prefix": PREFIX}
    dbt.run("build", tmp_path, *WITHOUT_TESTS, variables=variables)
    with farm.of("test_dashboard") as reader:
        for mart in relations(reader, "anchorline_marts"):
            allowed(reader, sql.SQL("select * from {} limit 1").format(mart))
        for schema in ("anchorline_intermediate", "anchorline_ops", "anchorline_staging"):
            refused(reader, sql.SQL("select from {}").format(relations(reader, schema)[0]))
        assert reader.execute(
            "select weight_g::float from anchorline_marts.weight_anchors "
            "where batch_number = %s and container_name = %s and anchor_date = %s and is_used",
            (batch, container, day),
        ).fetchall() == [(777.5,)]
        owners = reader.execute(
            "select distinct tableowner from pg_tables where schemaname like 'anchorline%'"
        ).fetchall()
        assert owners == [(ROLES.runner,)]
    use(farm.url_of("test_planner"))
    after = {(e["anchor_type"], e["record_id"]): e for e in json.loads(stated("list", "--json"))}
    assert after["growth_sample", sample]["status"] == "excluded"
    assert ("manual", 1) not in after
    assert all(entry["change"] is None for entry in after.values())

    # with its tests, one of which runs in temporary tables
    dbt.run("build", tmp_path, "--full-refresh", "--select", "weight_anchors", variables=variables)
    with farm.of("test_dashboard") as reader:
        allowed(reader, "select from anchorline_marts.weight_anchors")


def test_first_build_by_the_runner_gives_the_writer_its_tables(
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    server: EmbeddedServer,
    dbt_on: Callable[[str], Dbt],
    tmp_path: Path,
) -> None:
    """Roles first, then the first build: what it creates has the rights of the roles as well."""
    url = make_database()
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
    farm = Farm(url, as_admin(url, server))
    make_roles(farm.admin_url, database_environment)
    dbt_on(farm.url_of("test_etl")).run(
        "build",
        tmp_path,
        *("--select", "+lifecycle_stages", *WITHOUT_TESTS),
        variables={"role_prefix": PREFIX},
    )
    with farm.of("test_planner") as writer:
        allowed(writer, INSERT_ANCHOR)
        allowed(writer, "select from anchorline_marts.lifecycle_stages")
    with farm.of("test_dashboard") as reader:
        allowed(reader, "select from anchorline_marts.lifecycle_stages")
        refused(reader, "select from anchorline_staging.stg_species")
        refused(reader, "select from anchorline_ops.manual_anchors")


# -- the writer ------------------------------------------------------------------------------------

INSERT_ANCHOR: Final[LiteralString] = (
    "insert into anchorline_ops.manual_anchors "
    "(assignment_id, anchor_date, weight_g, reason, entered_by) "
    "values (1, '2025-01-01', 100, 'x', 'Anna') returning manual_anchor_id"
)


@pytest.mark.parametrize(
    "query",
    [
        INSERT_ANCHOR,
        "insert into anchorline_ops.anchor_exclusions "
        "(anchor_type, record_id, reason, excluded_by) values ('transfer', 1, 'x', 'Anna') "
        "returning anchor_exclusion_id",
        "update anchorline_ops.manual_anchors "
        "set removed_at = now(), removed_by = 'Anna', removed_reason = 'x'",
        "update anchorline_ops.anchor_exclusions "
        "set removed_at = now(), removed_by = 'Anna', removed_reason = 'x'",
        "insert into public.planning_plannedactivity (activity_type, due_date, status, created_at, "
        "updated_at, batch_id, created_by_id, scenario_id) "
        "select 'SAMPLING', '2026-01-01', 'PENDING', now(), now(), batch_id, 1, scenario_id "
        "from anchorline_marts.batches where scenario_id is not null limit 1 returning id",
        "select due_date, status from public.planning_plannedactivity",
        "update public.batch_batch set pinned_projection_run_id = null where batch_number = 'x'",
        "select scenario_id, name, batch_id, start_date from public.scenario",
        "select run_id, scenario_id from public.scenario_projection_run",
        "select id from public.batch_growthsample",
        "select * from anchorline_marts.weight_anchors",
    ],
)
def test_writer_may(farm: Farm, query: LiteralString) -> None:
    with farm.of("test_planner") as writer:
        allowed(writer, query)


@pytest.mark.parametrize(
    "query",
    [
        # what was stated is neither changed nor lost, nor dated back
        "update anchorline_ops.manual_anchors set weight_g = 1",
        "update anchorline_ops.manual_anchors set entered_by = 'somebody else'",
        "update anchorline_ops.anchor_exclusions set reason = 'another'",
        "delete from anchorline_ops.manual_anchors",
        "delete from anchorline_ops.anchor_exclusions",
        "truncate anchorline_ops.manual_anchors",
        "insert into anchorline_ops.manual_anchors "
        "(assignment_id, anchor_date, weight_g, reason, entered_by, entered_at) "
        "values (1, '2025-01-01', 100, 'x', 'Anna', '2020-01-01')",
        "create table anchorline_ops.mine (id integer)",
        # raw tables
        "update public.planning_plannedactivity set status = 'COMPLETED'",
        "delete from public.planning_plannedactivity",
        "update public.batch_batch set status = 'COMPLETED'",
        "update public.batch_batch set batch_number = 'mine'",
        "insert into public.batch_batch (id) values (1)",
        "delete from public.batch_batch",
        "select notes from public.batch_batch",
        "select initial_weight from public.scenario",
        "update public.scenario set name = 'mine'",
        "select label from public.scenario_projection_run",
        "select from public.scenario_tgcmodel",
        "select avg_weight_g from public.batch_growthsample",
        "update public.batch_growthsample set avg_weight_g = 1",
        "insert into public.batch_growthsample (id) values (1)",
        "select from public.batch_mortalityevent",
        "create table public.mine (id integer)",
        # the analytics
        "select from anchorline_staging.stg_batches",
        "select from anchorline_intermediate.int_growth_states",
        "select from anchorline_seeds.anchor_types",
        "insert into anchorline_marts.batches (batch_id) values (1)",
        "update anchorline_marts.batches set batch_number = 'mine'",
        "drop table anchorline_marts.batches",
        "create schema mine",
    ],
)
def test_writer_may_not(farm: Farm, query: LiteralString) -> None:
    with farm.of("test_planner") as writer:
        refused(writer, query)


def test_writer_pins_by_command(farm: Farm, use: Callable[[str], None]) -> None:
    with psycopg.connect(farm.url) as connection:
        [(number, run, scenario)] = connection.execute(
            "select batches.batch_number, runs.run_id, runs.scenario_id "
            "from batch_batch as batches inner join scenario_projection_run as runs "
            "on batches.pinned_projection_run_id = runs.run_id limit 1"
        ).fetchall()

    def pin_of(*arguments: str) -> Row | None:
        result = CliRunner().invoke(main, ["scenarios", *arguments, "--target", "prod"])
        assert result.exit_code == 0, result.output
        with psycopg.connect(farm.url) as connection:
            return connection.execute(
                "select pinned_projection_run_id from batch_batch where batch_number = %s",
                (number,),
            ).fetchone()

    use(farm.url_of("test_planner"))
    assert pin_of("unpin", number) == (None,)
    assert pin_of("pin", number, str(scenario)) == (run,)

    use(farm.url_of("test_dashboard"))
    result = CliRunner().invoke(main, ["scenarios", "unpin", number, "--target", "prod"])
    assert result.exit_code == 1
    assert "'test_dashboard' may not" in result.stderr
    assert "docs/roles.md" in result.stderr


def test_writer_publishes_by_command(farm: Farm, use: Callable[[str], None]) -> None:
    def publish(login: str) -> Result:
        use(farm.url_of(login))
        arguments = ["planning", "publish", "--all", "--created-by", "1", "--target", "prod"]
        return CliRunner().invoke(main, arguments)

    def activity_count() -> Row | None:
        with psycopg.connect(farm.url) as connection:
            return connection.execute("select count(*) from planning_plannedactivity").fetchone()

    [before] = activity_count() or [0]
    planned = publish("test_planner").stdout.count("is planned as activity")
    assert planned > 0
    assert activity_count() == (before + planned,)

    result = publish("test_dashboard")
    assert result.exit_code == 1
    assert "'test_dashboard' may not" in result.stderr
    assert "docs/roles.md" in result.stderr


def test_pins_of_older_instances_can_be_set(
    make_database: Callable[[], str],
    database_environment: Callable[[str], dict[str, str]],
    server: EmbeddedServer,
) -> None:
    """Their column has another name, their ids come from sequences, and planning is missing."""
    url = make_database()
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
        connection.execute(
            "alter table batch_batch drop column pinned_projection_run_id, "
            "add column pinned_scenario_id bigint"
        )
        connection.execute("alter table planning_plannedactivity alter column id drop identity")
        connection.execute("create sequence ids owned by planning_plannedactivity.id")
        connection.execute(
            "alter table planning_plannedactivity alter column id set default nextval('ids')"
        )
    farm = Farm(url, as_admin(url, server))
    make_roles(farm.admin_url, database_environment)
    with farm.of("test_planner") as writer:
        allowed(writer, "update batch_batch set pinned_scenario_id = 1 where id = 1")
        with (
            pytest.raises(psycopg.errors.NotNullViolation, match="activity_type"),
            writer.transaction(),
        ):
            writer.execute("insert into planning_plannedactivity (notes) values ('x')")
    with psycopg.connect(url) as connection:
        connection.execute("drop table planning_plannedactivity cascade")
        connection.execute("drop table health_treatment cascade")
    make_roles(farm.admin_url, database_environment)


# -- the owner -------------------------------------------------------------------------------------


def test_owner_installs_and_removes_triggers(farm: Farm) -> None:
    with farm.of("test_migration") as owner:
        owner.execute("create table anchorline_ops.noticed (batch_id bigint)")
        owner.execute("grant select on anchorline_ops.noticed to public")
        owner.execute(
            """
            create function anchorline_ops.notice() returns trigger
            language plpgsql security definer set search_path = pg_catalog, pg_temp
            as $$
            begin
                insert into anchorline_ops.noticed
                select assignments.batch_id
                from added
                inner join public.batch_batchcontainerassignment as assignments
                    on added.assignment_id = assignments.id;
                return null;
            end
            $$
            """
        )
        owner.execute(
            "create trigger notice after insert on public.batch_growthsample "
            "referencing new table as added for each statement "
            "execute function anchorline_ops.notice()"
        )
        allowed(
            owner,
            "create trigger notice after update on anchorline_ops.manual_anchors "
            "for each statement execute function anchorline_ops.notice()",
        )
    with psycopg.connect(farm.url) as application, application.transaction(force_rollback=True):
        application.execute(
            "insert into batch_growthsample (assignment_id, sample_date, sample_size, "
            "avg_weight_g, created_at, updated_at) "
            "select min(id), '2025-01-01', 1, 1, now(), now() "
            "from batch_batchcontainerassignment"
        )
        noticed = application.execute("select count(*) from anchorline_ops.noticed")
        assert noticed.fetchone() == (1,)
    with farm.of("test_migration") as owner:
        owner.execute("drop function anchorline_ops.notice() cascade")
        owner.execute("drop table anchorline_ops.noticed")


def test_owner_does_not_become_a_runner_by_creating(
    farm: Farm, database_environment: Callable[[str], dict[str, str]]
) -> None:
    with farm.of("test_migration") as owner:
        owner.execute("create table anchorline_ops.change_events_of_old (batch_id bigint)")
    make_roles(farm.admin_url, database_environment)
    with farm.of("test_migration") as owner:
        refused(owner, "select from anchorline_intermediate.int_growth_states")
        refused(owner, "drop table anchorline_ops.change_events_of_old")
    with farm.of("test_etl") as runner:
        runner.execute("drop table anchorline_ops.change_events_of_old")


def test_owner_of_the_raw_tables_has_the_owners_rights(farm: Farm) -> None:
    with psycopg.connect(farm.url) as connection:
        row = connection.execute(
            "select pg_has_role(%s, 'usage'), pg_has_role(%s, 'member')",
            (ROLES.owner, ROLES.writer),
        ).fetchone()
    assert row == (True, False)


@pytest.mark.parametrize(
    "query",
    [
        "insert into public.batch_growthsample (id) values (1)",
        "update public.batch_batch set status = 'ACTIVE'",
        "delete from public.batch_mortalityevent",
        "drop table public.batch_growthsample",
        "create table public.mine (id integer)",
        "select from anchorline_intermediate.int_growth_states",
        "select from anchorline_marts.batches",
        "insert into anchorline_ops.manual_anchors default values",
        "delete from anchorline_ops.anchor_exclusions",
        "drop table anchorline_ops.manual_anchors",
        "create trigger mine after insert on anchorline_marts.batches "
        "for each row execute function suppress_redundant_updates_trigger()",
    ],
)
def test_owner_may_not(farm: Farm, query: LiteralString) -> None:
    with farm.of("test_migration") as owner:
        refused(owner, query)


# -- the operation ---------------------------------------------------------------------------------


def test_dry_run_prints_the_statements_and_changes_nothing(
    make_database: Callable[[], str], server: EmbeddedServer, use: Callable[[str], None]
) -> None:
    url = make_database()
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
    use(as_admin(url, server))
    result = db_roles("--prefix", "only_printed_", "--dry-run")
    assert result.exit_code == 0, result.output
    assert 'create role "only_printed_reader" nologin;' in result.stdout
    assert "password" not in result.stdout.lower()
    with psycopg.connect(as_admin(url, server)) as connection:
        found = connection.execute(
            "select count(*) from pg_roles where rolname like 'only\\_printed\\_%'"
        ).fetchone()
        schemas = connection.execute("select to_regnamespace('anchorline_marts')").fetchone()
        assert (found, schemas) == ((0,), (None,))
        # what was printed is the whole of it
        with connection.transaction(force_rollback=True):
            script = result.stdout.replace("begin;", "").replace("commit;", "")
            connection.execute(script.encode())
            found = connection.execute(
                "select has_schema_privilege('only_printed_reader', 'anchorline_marts', 'usage')"
            ).fetchone()
            assert found == (True,)


def test_repeated_operation_only_repeats_grants(farm: Farm, use: Callable[[str], None]) -> None:
    use(farm.admin_url)
    again = db_roles("--prefix", PREFIX, "--dry-run")
    assert again.exit_code == 0, again.output
    assert "create " not in again.stdout.replace("grant create", "")
    assert "alter " not in again.stdout
    assert 'grant "' not in again.stdout  # no memberships either
    assert "grant select on all tables in schema" in again.stdout


def test_owner_of_database_and_raw_tables_may_who_creates_roles(
    server: EmbeddedServer, use: Callable[[str], None]
) -> None:
    """No superuser is needed: managed servers give none away."""
    with server.admin_connection() as connection:
        connection.execute(
            sql.SQL("create role test_dba login createrole password {}").format(
                sql.Literal(PASSWORD)
            )
        )
        connection.execute("create database managed owner test_dba")
    url = psycopg.conninfo.make_conninfo(
        server.url("managed", with_password=True), user="test_dba", password=PASSWORD
    )
    with psycopg.connect(url) as connection:
        create_raw_tables(connection, "public")
    use(url)
    for _ in range(2):
        result = db_roles("--prefix", "managed_")
        assert result.exit_code == 0, result.output
    with psycopg.connect(url) as connection:
        owners = connection.execute(
            "select distinct pg_get_userbyid(nspowner) from pg_namespace "
            "where nspname like 'anchorline%'"
        ).fetchall()
    assert owners == [("managed_runner",)]


def test_group_with_rights_of_its_own_is_refused(
    farm: Farm, use: Callable[[str], None], server: EmbeddedServer
) -> None:
    with server.admin_connection() as connection:
        connection.execute("create role strange_writer login")
    use(farm.admin_url)
    result = db_roles("--prefix", "strange_")
    assert result.exit_code == 1
    assert "'strange_writer'" in result.stderr
    assert "Choose another --prefix" in result.stderr


def test_who_is_not_allowed_is_told_why(farm: Farm, use: Callable[[str], None]) -> None:
    use(farm.url)
    result = db_roles("--prefix", "others_")
    assert result.exit_code == 1
    assert "may not make the roles: it may not create roles" in result.stderr
    assert "--dry-run" in result.stderr


@pytest.mark.parametrize("prefix", ["", "x" * 58, "å" * 29])
def test_prefix_must_make_names(prefix: str) -> None:
    with pytest.raises(AnchorlineError, match="makes no names of roles"):
        Roles.of(prefix)


def test_reserved_prefix_is_explained(farm: Farm, use: Callable[[str], None]) -> None:
    use(farm.admin_url)
    result = db_roles("--prefix", "pg_")
    assert result.exit_code == 1
    assert "keeps role names like pg_runner for itself" in result.stderr


def test_embedded_database_is_administered_by_its_superuser(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANCHORLINE_DATA_DIR", str(server.folder))
    monkeypatch.setenv("PGUSER", "nobody of this name")
    arguments = ["db", "roles", "--raw-schema", "nothing here", "--dry-run"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "The schema 'nothing here' of database anchorline on 127.0.0.1" in result.stderr
