{#- The Monday of the ISO week of a date (the first day of the year 1 was one). -#}
{% macro week_start_date(date) -%}
    ({{ date }} - ({{ date }} - date '0001-01-01') % 7)
{%- endmacro %}
