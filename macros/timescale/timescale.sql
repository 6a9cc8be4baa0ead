{#-
  What the database has of TimescaleDB: none, or the schema of its functions (quoted, with a dot)
  and whether it can compress and aggregate continuously, which the Apache edition cannot. Asked of
  the database once in a run.
-#}
{% macro timescale() -%}
    {%- if not execute -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set memory = run_memory() -%}
    {%- if 'timescale' not in memory -%}
        {#- before 2.13, the functions were others -#}
        {%- set found = run_query(
            "select quote_ident(schemas.nspname) || '.', "
            ~ "coalesce(current_setting('timescaledb.license', true), '') = 'timescale' "
            ~ "from pg_catalog.pg_extension as extensions "
            ~ "inner join pg_catalog.pg_namespace as schemas "
            ~ "on extensions.extnamespace = schemas.oid "
            ~ "where extensions.extname = 'timescaledb' and exists ("
            ~ "select 1 from pg_catalog.pg_proc as functions "
            ~ "where functions.proname = 'by_range' "
            ~ "and functions.pronamespace = extensions.extnamespace)"
        ).rows -%}
        {%- do memory.update({
            'timescale': {'schema': found[0][0], 'is_community': found[0][1]} if found else none
        }) -%}
    {%- endif -%}
    {{- return(memory['timescale']) -}}
{%- endmacro %}


{#- Whether the model asks for a hypertable, and the database can have one. -#}
{% macro wants_hypertable() -%}
    {{- return(config.get('hypertable') is not none and timescale() is not none) -}}
{%- endmacro %}


{#- Whether a table is a hypertable. -#}
{% macro is_hypertable(relation) -%}
    {%- if timescale() is none -%}
        {{- return(false) -}}
    {%- endif -%}
    {{- return(run_query(
        "select exists (select 1 from timescaledb_information.hypertables where hypertable_schema = "
        ~ sql_literal(relation.schema) ~ " and hypertable_name = "
        ~ sql_literal(relation.identifier) ~ ")"
    ).rows[0][0]) -}}
{%- endmacro %}


{#-
  Makes an empty table a hypertable in chunks of days, that can be compressed where the edition
  allows it. Where rows come in later they go into chunks at once; a filled table would have to be
  copied.
-#}
{% macro make_hypertable(relation) -%}
    {%- set timescale = timescale() -%}
    {%- set day_column = config.get('hypertable') -%}
    {%- set segment_by = checked_column_list('compression_segment_by') -%}
    {%- set order_by = checked_column_list('compression_order_by') -%}
select {{ timescale.schema }}create_hypertable(
    {{ sql_literal(relation) }},
    {{ timescale.schema }}by_range(
        {{ sql_literal(day_column) }},
        interval '{{ checked_whole_number('chunk_days', 1) }} days'
    ),
    create_default_indexes => false
);
    {%- if timescale.is_community %}
alter table {{ relation }} set (
    timescaledb.compress,
    timescaledb.compress_segmentby = {{ sql_literal(segment_by) }},
    timescaledb.compress_orderby = {{ sql_literal(order_by) }}
);
    {%- endif %}
{%- endmacro %}


{#-
  Gives a table the policies that the vars ask for, and takes away others; those that are right stay
  as they are. What is older than the first day that is kept is dropped here as well: whole chunks
  where there are any, so that the rows are the same wherever, and whenever a policy runs.
-#}
{% macro keep_policies(relation) -%}
    {%- set timescale = timescale() -%}
    {%- set years = states_kept_years() -%}
    {%- if timescale is none or not timescale.is_community -%}
        {%- if years is none -%}
select 1
        {%- else -%}
delete from {{ relation }} where {{ config.get('hypertable') }} < {{ first_kept_day() }}
        {%- endif -%}
    {%- else -%}
        {%- set policies = [
            (
                'compression', 'compress_after',
                checked_whole_number('compress_after_days', 1) ~ ' days'
            ),
            ('retention', 'drop_after', none if years is none else years ~ ' years'),
        ] -%}
do $policies$
declare
    present interval;
begin
        {%- for name, key, wanted in policies %}
    select (config ->> '{{ key }}')::interval into present
    from timescaledb_information.jobs
    where
        proc_name = 'policy_{{ name }}'
        and hypertable_schema = {{ sql_literal(relation.schema) }}
        and hypertable_name = {{ sql_literal(relation.identifier) }};
    if present is distinct from {{ 'null' if wanted is none else "interval '" ~ wanted ~ "'" }} then
        perform {{ timescale.schema }}remove_{{ name }}_policy(
            {{ sql_literal(relation) }}, if_exists => true
        );
            {%- if wanted is not none %}
        perform {{ timescale.schema }}add_{{ name }}_policy(
            {{ sql_literal(relation) }}, {{ key }} => interval '{{ wanted }}'
        );
            {%- endif %}
    end if;
        {%- endfor %}
        {%- if years is not none %}
    perform {{ timescale.schema }}drop_chunks(
        {{ sql_literal(relation) }}, older_than => {{ first_kept_day() }}
    );
    -- of chunks that were made for another number of days
    delete from {{ relation }} where {{ config.get('hypertable') }} < {{ first_kept_day() }};
        {%- endif %}
end
$policies$
    {%- endif -%}
{%- endmacro %}


{#- How long daily states are kept, in years; none: forever. -#}
{% macro states_kept_years() -%}
    {%- if not execute or var('states_kept_years') is none -%}
        {{- return(none) -}}
    {%- endif -%}
    {{- return(checked_whole_number('states_kept_years', 5)) -}}
{%- endmacro %}


{#-
  The first day whose states are kept, as an SQL expression; none: all are. It is the first day of a
  chunk, also where there are none: TimescaleDB counts them from 1970, and drops whole ones.
-#}
{% macro first_kept_day() -%}
    {%- set years = states_kept_years() -%}
    {%- if years is none -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set chunk_days = checked_whole_number('chunk_days', 1) -%}
    {{- return(
        "(date '1970-01-01' + ((" ~ as_of_date() ~ " - interval '" ~ years ~ " years')::date "
        ~ "- date '1970-01-01') / " ~ chunk_days ~ " * " ~ chunk_days ~ ")"
    ) -}}
{%- endmacro %}


{#- The value of a var that must be a whole number, at least so great; else the run stops. -#}
{% macro checked_whole_number(var_name, least) -%}
    {%- set value = var(var_name) -%}
    {%- if value is not integer or value is boolean or value < least -%}
        {{ exceptions.raise_compiler_error(
            "The var " ~ var_name ~ " is " ~ value ~ ": set it to a whole number, at least "
            ~ least ~ "."
        ) }}
    {%- endif -%}
    {{- return(value) -}}
{%- endmacro %}


{#- The value of a var that must be columns, separated by commas; else the run stops. -#}
{% macro checked_column_list(var_name) -%}
    {%- set value = var(var_name) | string -%}
    {%- if not modules.re.match(
        '^[a-z_0-9]+( (asc|desc))?(, *[a-z_0-9]+( (asc|desc))?)*$', value
    ) -%}
        {{ exceptions.raise_compiler_error(
            "The var " ~ var_name ~ " is '" ~ value ~ "': set it to columns of "
            ~ "daily_assignment_states, for example 'assignment_id, state_date desc'."
        ) }}
    {%- endif -%}
    {{- return(value) -}}
{%- endmacro %}


{#- Lets a transaction change as many compressed rows as it must. -#}
{% macro lift_decompression_limit() -%}
set local timescaledb.max_tuples_decompressed_per_dml_transaction = 0
{%- endmacro %}
