{#- A value of the seed planning_constants, as a scalar subquery. -#}
{% macro planning_constant(name) -%}
    (select value from {{ ref('planning_constants') }} where constant = '{{ name }}')
{%- endmacro %}
