{#-
  The version of the growth rules. Raise it with every change that gives other numbers from the
  same records: it is part of each state's fingerprint.
-#}
{% macro engine_version() -%}
    {{- return(1) -}}
{%- endmacro %}


{#- What an unrecorded day means for deaths: `model` or `zero`; a wrong var stops the run. -#}
{% macro missing_mortality() -%}
    {%- set choice = var('missing_mortality', 'model') -%}
    {%- if choice not in ('model', 'zero') -%}
        {{ exceptions.raise_compiler_error(
            "var missing_mortality is '" ~ choice ~ "': set it to model or zero"
        ) }}
    {%- endif -%}
    {{- return(choice) -}}
{%- endmacro %}
