{# The day of a timestamptz: its date in the time zone of the farm (var `timezone`). #}
{% macro local_date(expression) -%}
    ({{ expression }} at time zone {{ sql_literal(var('timezone')) }})::date
{%- endmacro %}


{#
    Today in the time zone of the farm, as an SQL expression. The day on which the run started,
    not `current_date`: all models of a run that crosses midnight must agree.
#}
{% macro today() -%}
    {{ local_date("timestamptz '" ~ run_started_at ~ "'") }}
{%- endmacro %}


{# The last day that has states: var `as_of_date`, else today. An SQL expression. #}
{% macro as_of_date() -%}
    {%- if var('as_of_date') is none -%}
        {{ today() }}
    {%- else -%}
        date '{{ checked_iso_date('as_of_date') }}'
    {%- endif -%}
{%- endmacro %}


{#
    The value of a var that must be a day written as YYYY-MM-DD; stops the run if it is not. Only
    while dbt executes: the linter, which has no such days, reads the macro as well.
#}
{% macro checked_iso_date(var_name) -%}
    {%- set value = var(var_name) | string -%}
    {%- set checked = namespace(is_day=not execute) -%}
    {%- if execute -%}
        {%- set parts = modules.re.match('^([0-9]{4})-([0-9]{2})-([0-9]{2})$', value) -%}
        {%- if parts -%}
            {%- set year = parts.group(1) | int -%}
            {%- set month = parts.group(2) | int -%}
            {%- set day = parts.group(3) | int -%}
            {%- if 1 <= year < 9999 and 1 <= month <= 12 -%}
                {%- set first = modules.datetime.date(year, month, 1) -%}
                {%- set next = modules.datetime.date(year + month // 12, month % 12 + 1, 1) -%}
                {%- set checked.is_day = 1 <= day <= (next - first).days -%}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
    {%- if not checked.is_day -%}
        {{ exceptions.raise_compiler_error(
            "The var " ~ var_name ~ " is '" ~ value ~ "', which is not a day. Write it as "
            ~ "YYYY-MM-DD, for example: --vars '{" ~ var_name ~ ": 2026-03-31}'."
        ) }}
    {%- endif -%}
    {{ return(value) }}
{%- endmacro %}
