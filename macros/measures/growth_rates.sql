{#-
  Specific growth rate [% per day] from one weight [g] to another over a number of days:
  100 * ln(W2 / W1) / days. Null where a weight is not known.
-#}
{% macro specific_growth_rate(start_weight_g, end_weight_g, days) -%}
    100 * ln({{ end_weight_g }} / {{ start_weight_g }}) / nullif({{ days }}, 0)
{%- endmacro %}


{#-
  Thermal growth coefficient [1000 g^(1/3) per °C and day] that leads from one weight [g] to
  another over a number of degree-days [°C d]: 1000 * (W2^(1/3) - W1^(1/3)) / sum of T
  (Iwama & Tautz 1981). Null where a weight is not known or no day was above 0 °C.
-#}
{% macro thermal_growth_coefficient(start_weight_g, end_weight_g, degree_days) -%}
    1000 * (cbrt({{ end_weight_g }}) - cbrt({{ start_weight_g }}))
    / nullif({{ degree_days }}, 0)
{%- endmacro %}
