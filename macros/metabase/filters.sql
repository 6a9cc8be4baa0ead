{#
    The filters of the dashboards, in the questions under analyses/metabase. Metabase fills in
    what stands in double braces, and leaves out what stands in double brackets where nothing is
    chosen; to dbt both are mere text. Metabase names the column of a filter by schema and table:
    the table stands in the question without an alias.

    While dbt only parses, and for the linter, each is a word of plain SQL.
#}


{# `and` (or `or`) the condition that the filter puts on its column; nothing where none is chosen. #}
{% macro metabase_filter(name, operator='and') -%}
    {%- if execute -%}
        [[{{ operator }} {{ '{{' ~ name ~ '}}' }}]]
    {%- else -%}
        {{ operator }} true
    {%- endif -%}
{%- endmacro %}


{# The value of a filter that always has one. #}
{% macro metabase_value(name) -%}
    {%- if execute -%}
        {{ '{{' ~ name ~ '}}' }}
    {%- else -%}
        'week'
    {%- endif -%}
{%- endmacro %}


{# The batch that is chosen; else the oldest one that lives: it has most to show. #}
{% macro chosen_batch(column='batch_id') -%}
    select {{ column }}
    from {{ ref('batches') }}
    where first_state_date is not null {{ metabase_filter('batch') }}
    order by batch_status = 'ACTIVE' desc, start_date asc, batch_id asc
    limit 1
{%- endmacro %}


{# The container of the batch that is chosen; else null, which is the whole batch. #}
{% macro chosen_container() -%}
    select min(container_id) as container_id
    from {{ ref('population_reconciliation') }}
    where
        batch_id = ({{ chosen_batch() }})
        and container_id in (
            select container_id
            from {{ ref('containers') }}
            where false {{ metabase_filter('container', 'or') }}
        )
{%- endmacro %}


{# All containers; only the one that is chosen, where one is. #}
{% macro chosen_containers() -%}
    select container_id from {{ ref('containers') }} where true {{ metabase_filter('container') }}
{%- endmacro %}


{# All batches; only those that are chosen, where some are. #}
{% macro chosen_batches() -%}
    select batch_id from {{ ref('batches') }} where true {{ metabase_filter('batch') }}
{%- endmacro %}


{# The day itself, or the Monday of its week, as the filter `period` says. #}
{% macro chosen_period(date_column) -%}
    case {{ metabase_value('period') }}
        when 'day' then {{ date_column }}
        else date_trunc('week', {{ date_column }})::date
    end
{%- endmacro %}


{# The last value of a series in a period: what a week ends with. #}
{% macro last_of(column, series) -%}
    (
        array_agg({{ column }} order by state_date desc)
        filter (where series = '{{ series }}' and {{ column }} is not null)
    )[1]
{%- endmacro %}
