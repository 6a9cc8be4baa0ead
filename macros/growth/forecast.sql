{#- A value of the seed forecast_constants, as a scalar subquery. -#}
{% macro forecast_constant(name) -%}
    (select value from {{ ref('forecast_constants') }} where constant = '{{ name }}')
{%- endmacro %}
