{#
    Rights of the roles that `anchorline db roles` makes: a runner that builds, readers of the marts,
    writers of planned activities, pins, manual anchors and exclusions, an owner that installs
    triggers. The database may well have none of them: then nothing here does anything.

    Roles belong to the whole server, so that they exist is not enough: they are in force in the
    schemas that the runner owns.
#}


{#
    The roles among `roles` (reader, writer, ...; any other name is that of a role itself) that are
    in force in a schema, by their real names.
#}
{% macro roles_in_force(schema_name, roles) -%}
    {%- set names = [] -%}
    {%- for role in roles -%}
        {%- do names.append(
            var('role_prefix') ~ role if role in ('runner', 'reader', 'writer', 'owner') else role
        ) -%}
    {%- endfor -%}
    {%- set memory = run_memory() -%}
    {%- set key = 'roles in ' ~ schema_name ~ ': ' ~ names | join(', ') -%}
    {%- if key in memory -%}
        {{ return(memory[key]) }}
    {%- endif -%}
    {%- set query -%}
        select roles.rolname as role_name
        from pg_catalog.pg_namespace as schemas
        inner join pg_catalog.pg_roles as runners on schemas.nspowner = runners.oid
        cross join pg_catalog.pg_roles as roles
        where
            schemas.nspname = {{ sql_literal(schema_name) }}
            and runners.rolname = {{ sql_literal(var('role_prefix') ~ 'runner') }}
            and roles.rolname in ({{ sql_literals(names) }})
        order by roles.rolname
    {%- endset -%}
    {%- do memory.update({key: run_query(query).rows | map(attribute='role_name') | list}) -%}
    {{ return(memory[key]) }}
{%- endmacro %}


{#
    What the config `grants` asks for, for the roles that are in force. dbt's own macro would grant
    to every name, and fail on a server without the roles.
#}
{% macro postgres__apply_grants(relation, grant_config, should_revoke=true) -%}
    {%- set granted = {} -%}
    {%- for privilege, roles in (grant_config or {}).items() -%}
        {%- set names = roles_in_force(relation.schema, roles) -%}
        {%- if names -%}
            {%- do granted.update({privilege: names}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(dbt.default__apply_grants(relation, granted, should_revoke)) }}
{%- endmacro %}


{# A grant to roles of any name; dbt's own macro does not quote them. #}
{% macro postgres__get_grant_sql(relation, privilege, grantees) -%}
    {%- set quoted = [] -%}
    {%- for grantee in grantees -%}
        {%- do quoted.append(quoted_role(grantee)) -%}
    {%- endfor -%}
    grant {{ privilege }} on {{ relation.render() }} to {{ quoted | join(', ') }}
{%- endmacro %}


{# A revocation from roles of any name; dbt's own macro does not double quotes within them. #}
{% macro postgres__get_revoke_sql(relation, privilege, grantees) -%}
    {%- set quoted = [] -%}
    {%- for grantee in grantees -%}
        {%- do quoted.append(quoted_role(grantee)) -%}
    {%- endfor -%}
    revoke {{ privilege }} on {{ relation.render() }} from {{ quoted | join(', ') }}
{%- endmacro %}


{# The name of a role as an SQL identifier. #}
{% macro quoted_role(role_name) -%}
    {{ return('"' ~ role_name | replace('"', '""') ~ '"') }}
{%- endmacro %}


{#
    Gives the roles their rights on what dbt does not build: the schemas themselves, and the tables
    that people and the refresh write into, as `grants` of the source `ops` declares them. At the
    start of every run, so that tables of a new release have them as well; grants what is missing
    and nothing else, because two runs that grant at once get in each other's way.
#}
{% macro grant_ops_tables() -%}
    {%- if execute and flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry') -%}
        {%- set prefix = var('role_prefix') -%}
        {%- set runner = prefix ~ 'runner' -%}
        {%- set marts, ops = target.schema ~ '_marts', target.schema ~ '_ops' -%}
        {%- set wanted = [] -%}
        {%- for table in graph.sources.values() if table.source_name == 'ops' -%}
            {%- for role, privileges in table.config.meta.get('grants', {}).items() -%}
                {%- for privilege, columns in privileges.items() -%}
                    {%- for column in ([none] if columns is true else columns) -%}
                        {%- do wanted.append([prefix ~ role, table.name, privilege, column]) -%}
                    {%- endfor -%}
                {%- endfor -%}
            {%- endfor -%}
        {%- endfor -%}
do $grants$
declare
    statement text;
begin
    if not exists (
        select from pg_catalog.pg_roles
        where rolname = {{ sql_literal(runner) }} and pg_has_role(oid, 'usage')
    ) then
        return;
    end if;

    -- the lock that creates the tables, too
    perform pg_advisory_xact_lock(hashtext({{ sql_literal('anchorline ' ~ adapter.quote(ops)) }}));

    for statement in
        select
            format(
                'grant %s on schema %I to %I', wanted.privilege, schemas.nspname, roles.rolname
            )
        from (
            values
            ({{ sql_literal(prefix ~ 'reader') }}, {{ sql_literal(marts) }}, 'usage'),
            ({{ sql_literal(prefix ~ 'writer') }}, {{ sql_literal(marts) }}, 'usage'),
            ({{ sql_literal(prefix ~ 'writer') }}, {{ sql_literal(ops) }}, 'usage'),
            ({{ sql_literal(prefix ~ 'owner') }}, {{ sql_literal(ops) }}, 'usage'),
            ({{ sql_literal(prefix ~ 'owner') }}, {{ sql_literal(ops) }}, 'create')
        ) as wanted (role_name, schema_name, privilege)
        inner join pg_catalog.pg_roles as roles on wanted.role_name = roles.rolname
        inner join pg_catalog.pg_namespace as schemas on wanted.schema_name = schemas.nspname
        inner join pg_catalog.pg_roles as runners on schemas.nspowner = runners.oid
        where
            runners.rolname = {{ sql_literal(runner) }}
            and not has_schema_privilege(roles.oid, schemas.oid, wanted.privilege)
    loop
        execute statement;
    end loop;

    for statement in
        select
            format(
                'grant %s%s on table %s to %I',
                wanted.privilege,
                '(' || quote_ident(columns.attname) || ')',
                tables.oid::regclass,
                roles.rolname
            )
        from (
            values
            {%- for role_name, table_name, privilege, column_name in wanted %}
            (
                {{ sql_literal(role_name) }}, {{ sql_literal(table_name) }},
                {{ sql_literal(privilege) }},
                {{ 'null' if column_name is none else sql_literal(column_name) }}
            ){{ ',' if not loop.last }}
            {%- endfor %}
        ) as wanted (role_name, table_name, privilege, column_name)
        inner join pg_catalog.pg_roles as roles on wanted.role_name = roles.rolname
        inner join pg_catalog.pg_namespace as schemas on schemas.nspname = {{ sql_literal(ops) }}
        inner join pg_catalog.pg_class as tables
            on schemas.oid = tables.relnamespace and wanted.table_name = tables.relname
        inner join pg_catalog.pg_roles as runners on schemas.nspowner = runners.oid
        left join pg_catalog.pg_attribute as columns
            on
                tables.oid = columns.attrelid
                and wanted.column_name = columns.attname
                and not columns.attisdropped
        where
            runners.rolname = {{ sql_literal(runner) }}
            and pg_has_role(tables.relowner, 'usage')
            and case
                when wanted.column_name is null
                    then not has_table_privilege(roles.oid, tables.oid, wanted.privilege)
                when columns.attnum is not null
                    then not has_column_privilege(
                        roles.oid, tables.oid, columns.attnum, wanted.privilege
                    )
                else false
            end
    loop
        execute statement;
    end loop;
end
$grants$
    {%- endif -%}
{%- endmacro %}
