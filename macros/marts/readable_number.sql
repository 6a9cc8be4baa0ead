{#- A number as people write it: at most six decimals, no trailing zeros; null stays null. -#}
{% macro readable_number(expression) -%}
    trim_scale(round(({{ expression }})::numeric, 6))::text
{%- endmacro %}
