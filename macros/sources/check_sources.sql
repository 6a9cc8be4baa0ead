{#
    Stops a run, before its first model, where the raw tables would make the whole result wrong:
    no such schema, no right to read it, a missing required table or column, two rows for one key.
    Everything that is missing is named at once.

    Only commands that build or test look; parsing, compiling, seeds and docs need no raw tables.
#}
{% macro check_sources() -%}
    {%- if execute and flags.WHICH in ('run', 'build', 'test', 'snapshot', 'retry') -%}
        {%- do check_time_zone() -%}
        {%- do as_of_date() -%}
        {%- do check_raw_schema() -%}
        {%- do check_raw_tables() -%}
        {%- do check_raw_keys() -%}
    {%- endif -%}
{%- endmacro %}


{#
    The time zone must be one that PostgreSQL knows by name. It would take `UTC+2` as well, but
    reads it with the sign of POSIX: two hours behind UTC, not ahead.
#}
{% macro check_time_zone() -%}
    {%- set query -%}
        select 1
        from pg_catalog.pg_timezone_names
        where lower(name) = lower({{ sql_literal(var('timezone')) }})
    {%- endset -%}
    {%- if not run_query(query).rows -%}
        {{ exceptions.raise_compiler_error(
            "The var timezone is '" ~ var('timezone') ~ "', which PostgreSQL does not know as the "
            ~ "name of a time zone. Write it like Europe/Oslo or Atlantic/Faroe; "
            ~ "`select name from pg_timezone_names` lists them."
        ) }}
    {%- endif -%}
{%- endmacro %}


{% macro check_raw_schema() -%}
    {%- set schema_name = var('raw_schema') -%}
    {%- set table_names = raw_sources() | map(attribute='name') -%}
    {%- set query -%}
        select
            current_user as role_name,
            current_database() as database_name,
            (
                select has_schema_privilege(oid, 'usage')
                from pg_catalog.pg_namespace
                where nspname = {{ sql_literal(schema_name) }}
            ) as is_usable,
            (
                select string_agg(schemas.nspname, ', ' order by schemas.nspname)
                from pg_catalog.pg_class as tables
                inner join pg_catalog.pg_namespace as schemas
                    on tables.relnamespace = schemas.oid
                where
                    tables.relname = 'batch_batchcontainerassignment'
                    and tables.relkind in ('r', 'p', 'v', 'm', 'f')
            ) as candidates,
            exists(
                select 1
                from pg_catalog.pg_class as tables
                inner join pg_catalog.pg_namespace as schemas
                    on tables.relnamespace = schemas.oid
                where
                    schemas.nspname = {{ sql_literal(schema_name) }}
                    and tables.relname in ({{ sql_literals(table_names) }})
                    and tables.relkind in ('r', 'p', 'v', 'm', 'f')
            ) as has_any_table
    {%- endset -%}
    {%- set found = run_query(query).rows[0] -%}

    {%- if found.is_usable is false -%}
        {{ exceptions.raise_compiler_error(
            "The role \"" ~ found.role_name ~ "\" may not use the schema \"" ~ schema_name
            ~ "\" (var raw_schema). Let its owner run:\n  " ~ grant_read(found.role_name)
        ) }}
    {%- elif not found.has_any_table -%}
        {{ exceptions.raise_compiler_error(
            "The schema \"" ~ schema_name ~ "\" (var raw_schema) "
            ~ (
                "is not there" if found.is_usable is none
                else "holds no table of the operational system"
            )
            ~ ", in the database \"" ~ found.database_name ~ "\". "
            ~ (
                "Tables of the operational system are in: " ~ found.candidates
                ~ ". Name the schema: --vars 'raw_schema: ...'."
                if found.candidates
                else "`anchorline demo load` makes a farm to try, `anchorline load DIR` reads one "
                ~ "from CSV files, `anchorline doctor` says what a first build needs."
            )
        ) }}
    {%- endif -%}
{%- endmacro %}


{# What the owner of the raw tables must say so that a role can read them. #}
{% macro grant_read(role_name) -%}
    {%- set schema_name = adapter.quote(var('raw_schema')) -%}
    {%- set role_name = adapter.quote(role_name) -%}
    grant usage on schema {{ schema_name }} to {{ role_name }};
    {#- #} grant select on all tables in schema {{ schema_name }} to {{ role_name }};
{%- endmacro %}


{% macro check_raw_tables() -%}
    {%- set tables = raw_sources() -%}
    {%- set present = {} -%}
    {%- for row in raw_columns(tables | map(attribute='name') | list) -%}
        {%- do present.setdefault(row.table_name, {}).update({row.column_name: row.is_readable}) -%}
    {%- endfor -%}

    {%- set missing_tables, missing_columns, unreadable_tables = [], [], [] -%}
    {%- for table in tables -%}
        {%- set columns = present.get(table.name) -%}
        {%- if columns is none and not is_optional(table) -%}
            {%- do missing_tables.append(table.name) -%}
        {%- elif columns is not none -%}
            {%- for column in table.columns.values() -%}
                {%- if column.name not in columns and not is_optional(column) -%}
                    {%- do missing_columns.append(table.name ~ '.' ~ column.name) -%}
                {%- elif not columns.get(column.name, true) -%}
                    {%- do unreadable_tables.append(table.name) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}

    {%- set found = [] -%}
    {%- if missing_tables -%}
        {%- do found.append('missing tables: ' ~ missing_tables | join(', ')) -%}
    {%- endif -%}
    {%- if missing_columns -%}
        {%- do found.append('missing columns: ' ~ missing_columns | join(', ')) -%}
    {%- endif -%}
    {%- if unreadable_tables -%}
        {%- set role_name = run_query('select current_user as role_name').rows[0].role_name -%}
        {%- do found.append(
            'no right to read: ' ~ unreadable_tables | unique | join(', ')
            ~ '; let their owner run:\n    ' ~ grant_read(role_name)
        ) -%}
    {%- endif -%}
    {%- if found -%}
        {{ exceptions.raise_compiler_error(
            "The schema \"" ~ var('raw_schema') ~ "\" (var raw_schema) lacks what the models need."
            ~ "\n  - " ~ found | join('\n  - ') ~ "\n"
            ~ "Nothing was built. `anchorline doctor` says what each one is for."
        ) }}
    {%- endif -%}
{%- endmacro %}


{#
    Two rows for one key would double fish. Where a unique index rules them out there is nothing to
    look for; the tables without one are read. A hypertable has no unique index on its key alone
    (its time column must be in it): any unique index that holds the key will do for the readings,
    which are too many to read at the start of every run.
#}
{% macro check_raw_keys() -%}
    {%- set tables = raw_sources() -%}
    {%- set query -%}
        select
            tables.relname as table_name,
            columns.attname as key_column,
            coalesce(bool_or(indexes.indisunique and indexes.indnkeyatts = 1), false) as is_unique,
            coalesce(bool_or(indexes.indisunique), false) as is_unique_with_others
        from pg_catalog.pg_class as tables
        inner join pg_catalog.pg_namespace as schemas
            on tables.relnamespace = schemas.oid
        inner join pg_catalog.pg_attribute as columns
            on tables.oid = columns.attrelid
        left join pg_catalog.pg_index as indexes
            on
                tables.oid = indexes.indrelid
                and indexes.indisvalid
                and indexes.indpred is null
                and columns.attnum = any(
                    (indexes.indkey::int2 [])[0:indexes.indnkeyatts - 1]
                )
        where
            schemas.nspname = {{ sql_literal(var('raw_schema')) }}
            and tables.relkind in ('r', 'p', 'v', 'm', 'f')
            and (tables.relname, columns.attname) in (
                {%- for table in tables %}
                ({{ sql_literal(table.name) }}, {{ sql_literal(table.config.meta['key']) }})
                {{- ',' if not loop.last }}
                {%- endfor %}
            )
        group by tables.relname, columns.attname
        order by tables.relname
    {%- endset -%}

    {%- set unkeyed = [] -%}
    {%- for row in run_query(query).rows -%}
        {%- set meta = raw_source(row.table_name).config.meta -%}
        {%- set may_be_composite = meta.get('key_may_be_composite', false) -%}
        {%- if not row.is_unique and not (may_be_composite and row.is_unique_with_others) -%}
            {%- do unkeyed.append(row) -%}
        {%- endif -%}
    {%- endfor -%}

    {%- if unkeyed -%}
        {%- set query -%}
            {%- for row in unkeyed %}
            select
                {{ sql_literal(row.table_name) }} as table_name,
                {{ sql_literal(row.key_column) }} as key_column,
                count(*) as duplicate_count,
                (array_agg(duplicates.key_value order by duplicates.key_value))[1:5]::text
                    as first_values
            from (
                select {{ adapter.quote(row.key_column) }} as key_value
                from {{ source('raw', row.table_name) }}
                group by {{ adapter.quote(row.key_column) }}
                having count(*) > 1
            ) as duplicates
            having count(*) > 0
            {{ 'union all' if not loop.last }}
            {%- endfor %}
        {%- endset -%}
        {%- set found = [] -%}
        {%- for row in run_query(query).rows -%}
            {%- do found.append(
                row.table_name ~ ': ' ~ row.duplicate_count ~ ' value(s) of ' ~ row.key_column
                ~ ' in several rows, such as ' ~ row.first_values
            ) -%}
        {%- endfor -%}
        {%- if found -%}
            {{ exceptions.raise_compiler_error(
                "Two rows for one key in the schema \"" ~ var('raw_schema') ~ "\" (var raw_schema): "
                ~ "fish would count twice.\n  - " ~ found | join('\n  - ') ~ "\n"
                ~ "Nothing was built. Load these tables again without the copies, or delete them, "
                ~ "and give each table its primary key."
            ) }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
