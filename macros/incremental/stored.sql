{#- The number of the last change that is noted. -#}
{% macro last_change_id() -%}
    {%- if is_scoped() -%}
        (select coalesce(max(change_id), 0) from {{ this }})
    {%- else -%}
        0
    {%- endif -%}
{%- endmacro %}


{#-
  A table of a later model as the last run left it, or none: before its first build, and where it
  has no such column yet. Not by `ref`, which would close a circle.
-#}
{% macro stored_relation(layer, name, column) -%}
    {%- if execute -%}
        {%- set wanted = layer_relation(layer, name) -%}
        {%- if column in (columns_at_start(wanted) or []) -%}
            {{- return(wanted) -}}
        {%- endif -%}
    {%- endif -%}
    {{- return(none) -}}
{%- endmacro %}


{#- Its rows (those that this run examines, or all), or no rows of these columns where it is none. -#}
{% macro stored_rows(relation, columns, of_all=false) -%}
    {%- if relation is none or model.resource_type != 'model' %}
    select
        {%- for column, type in columns.items() %}
        null::{{ type }} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
    {%- else %}
    select
        {%- for column in columns %}
        {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ relation }}
        {%- if not of_all %}
    where true {{ and_examined(['batch_id', 'assignment_id']) }}
        {%- endif %}
    {%- endif %}
{%- endmacro %}
