{#-
  One day of growth (growth model, section 6), as an SQL expression in g.

  weight_g      mean weight before the day's growth, in g, double precision, > 0
  temp_c        day's mean temperature, in °C, double precision; null or <= 0: no growth
  tgc           coefficient: for cube_root in 1000 g^(1/3) per °C and day, for power_law as fitted
  exponent_n    power_law only: exponent of the temperature
  exponent_m    power_law only: exponent of the weight

  cube_root: Iwama & Tautz 1981, Can. J. Fish. Aquat. Sci. 38:649-656; Cho 1992, Aquaculture 100:107-123.
-#}
{% macro grown_weight_g(weight_g, temp_c, tgc, exponent_n, exponent_m) -%}
    {%- set formula = growth_formula() -%}
    case
        when {{ temp_c }} > 0 and {{ tgc }} > 0
            then
            {%- if formula == 'cube_root' %}
                power(cbrt({{ weight_g }}) + {{ tgc }} / 1000 * {{ temp_c }}, 3)
            {%- else %}
                {{ weight_g }}
                + {{ tgc }} * power({{ temp_c }}, {{ exponent_n }}) * power({{ weight_g }}, {{ exponent_m }})
            {%- endif %}
        else {{ weight_g }}
    end
{%- endmacro %}


{#- The growth formula in force; a wrong var stops the run before anything is built. -#}
{% macro growth_formula() -%}
    {%- set formula = var('growth_formula', 'cube_root') -%}
    {%- if formula not in ('cube_root', 'power_law') -%}
        {{ exceptions.raise_compiler_error(
            "var growth_formula is '" ~ formula ~ "': set it to cube_root or power_law"
        ) }}
    {%- endif -%}
    {{- return(formula) -}}
{%- endmacro %}


{#- A stored TGC where it can be true, else null. A power law's coefficient is judged by
    refuse_implausible_power_law instead. -#}
{% macro plausible_tgc(tgc) -%}
    {%- if growth_formula() == 'cube_root' -%}
    case
        when {{ scaled_tgc(tgc) }} between {{ plausible('tgc', 'min_value') }}
        and {{ plausible('tgc', 'max_value') }} then {{ tgc }}
    end
    {%- else -%}
    {{ tgc }}
    {%- endif -%}
{%- endmacro %}


{#- A stored TGC in 1000 g^(1/3) per °C and day: upstream stores some already divided by 1000. -#}
{% macro scaled_tgc(tgc) -%}
    {{ tgc }} * case
        when {{ tgc }} < {{ growth_constant('prescaled_tgc_limit') }} then 1000
        else 1
    end
{%- endmacro %}
