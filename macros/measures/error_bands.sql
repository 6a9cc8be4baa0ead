{#-
  Whether an error [%] lies in a band of the seed harvest_error_bands, whichever its sign, as a
  condition; null, so in no band, where there is no error.
-#}
{% macro is_in_error_band(error_percent, bands) -%}
    abs({{ error_percent }}) > {{ bands }}.above_percent
    and abs({{ error_percent }}) <= {{ bands }}.up_to_percent
{%- endmacro %}
