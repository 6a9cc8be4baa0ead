{#
    The rows of one raw table, with every column that `_sources.yml` declares and no other.

    Instances of the operational system differ by a few columns and by whole optional parts. An
    optional column that this instance lacks reads as null, an optional table that it lacks reads
    as empty, both with their declared types. What is required is selected as it is: if it is
    absent, `check_sources` has said so before, and otherwise the database does.

    The columns of an instance are only known while dbt executes; while it parses (and while the
    linter reads), the macro is a plain select, which is all that the dependency needs. The same in
    a unit test, where the rows that it states stand in for the table.
#}
{% macro source_rows(table_name) -%}
    {%- set relation = source('raw', table_name) -%}
    {%- if not execute or relation.is_cte -%}
select * from {{ relation }}
    {%- else -%}
        {%- set declared = raw_source(table_name) -%}
        {%- set present = raw_columns([table_name]) | map(attribute='column_name') | list -%}
        {%- set table_is_absent = not present and is_optional(declared) -%}
select
        {#- laid out to stand inside a CTE -#}
        {%- for column in declared.columns.values() %}
            {%- set optional = table_is_absent or is_optional(column) %}
            {%- if optional and column.name not in present %}
        null::{{ column.data_type }} as {{ adapter.quote(column.name) }}
            {%- else %}
        {{ adapter.quote(column.name) }}
            {%- endif -%}
            {{- ',' if not loop.last }}
        {%- endfor %}
        {%- if table_is_absent %}
    where false
        {%- else %}
    from {{ relation }}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}


{# What `_sources.yml` declares about one raw table. Only while dbt executes. #}
{% macro raw_source(table_name) -%}
    {%- set matches = raw_sources() | selectattr('name', 'equalto', table_name) | list -%}
    {{ return(matches | first) }}
{%- endmacro %}


{# What `_sources.yml` declares about all raw tables, by name. Only while dbt executes. #}
{% macro raw_sources() -%}
    {%- set memory = run_memory() -%}
    {%- if 'raw_sources' not in memory -%}
        {%- do memory.update({'raw_sources': graph.sources.values()
            | selectattr('source_name', 'equalto', 'raw')
            | selectattr('package_name', 'equalto', 'anchorline')
            | sort(attribute='name')
            | list
        }) -%}
    {%- endif -%}
    {{- return(memory['raw_sources']) -}}
{%- endmacro %}


{# Whether a raw table or column may be absent. #}
{% macro is_optional(declared) -%}
    {{ return(declared.config.meta.get('optional', false)) }}
{%- endmacro %}


{#
    Columns that the raw tables really have: rows of (table_name, column_name, is_readable).

    Read from pg_catalog, not from information_schema: that one hides columns which the role may
    not read, so that a missing right would look like a missing column.
#}
{% macro raw_columns(table_names) -%}
    {%- set query -%}
        select
            tables.relname as table_name,
            columns.attname as column_name,
            has_column_privilege(tables.oid, columns.attnum, 'select') as is_readable
        from pg_catalog.pg_class as tables
        inner join pg_catalog.pg_namespace as schemas
            on tables.relnamespace = schemas.oid
        inner join pg_catalog.pg_attribute as columns
            on tables.oid = columns.attrelid
        where
            schemas.nspname = {{ sql_literal(var('raw_schema')) }}
            and tables.relname in ({{ sql_literals(table_names) }})
            and tables.relkind in ('r', 'p', 'v', 'm', 'f')
            and columns.attnum > 0
            and not columns.attisdropped
        order by tables.relname, columns.attnum
    {%- endset -%}
    {{ return(run_query(query).rows) }}
{%- endmacro %}


{# A value as an SQL string literal. #}
{% macro sql_literal(value) -%}
    '{{ value | string | replace("'", "''") }}'
{%- endmacro %}


{# Values as a comma-separated list of SQL string literals. #}
{% macro sql_literals(values) -%}
    {%- for value in values -%}
        '{{ value | string | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}
