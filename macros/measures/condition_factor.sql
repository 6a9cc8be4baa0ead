{#-
  Condition factor K of fish by their weight [g] and length [cm]: 100 W / L^3 (Nash et
  al. 2006, Fisheries 31:236-238). About 1 for salmon. Null where the length is not known.
-#}
{% macro condition_factor(weight_g, length_cm) -%}
    case
        when {{ length_cm }} > 0
            then 100 * {{ weight_g }} / ({{ length_cm }} * {{ length_cm }} * {{ length_cm }})
    end
{%- endmacro %}
