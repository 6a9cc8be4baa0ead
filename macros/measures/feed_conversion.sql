{#-
  Observed feed conversion ratio [kg feed per kg gain] (growth model, section 9), capped at the
  var `fcr_cap`. Null where no feed was recorded, or the fish gained no more than the var
  `min_gain_kg_for_fcr`.
-#}
{% macro observed_fcr(feed_kg, gain_kg) -%}
    case
        when {{ has_fcr(feed_kg, gain_kg) }}
            then least({{ feed_kg }} / {{ gain_kg }}, {{ var('fcr_cap') }})
    end
{%- endmacro %}


{#- Whether there is one. -#}
{% macro has_fcr(feed_kg, gain_kg) -%}
    {{ feed_kg }} > 0 and {{ gain_kg }} > {{ var('min_gain_kg_for_fcr') }}
{%- endmacro %}
