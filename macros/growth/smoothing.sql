{#- A value of the seed smoothing_constants, as a scalar subquery. -#}
{% macro smoothing_constant(name) -%}
    (select value from {{ ref('smoothing_constants') }} where constant = '{{ name }}')
{%- endmacro %}


{#-
  The weight in g of a cube root of weight in g^(1/3): of one below 0, which only a bound of a band
  can be, 0.
-#}
{% macro weight_of_root(root) -%}
    power(greatest({{ root }}, 0), 3)
{%- endmacro %}
