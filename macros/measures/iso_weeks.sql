{#- The Monday of the ISO week of a date. -#}
{% macro week_start_date(date) -%}
    ({{ date }} - (extract(isodow from {{ date }})::integer - 1))
{%- endmacro %}
