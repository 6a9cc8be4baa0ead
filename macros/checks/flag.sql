{#- A var that is true or false, also where the shell has made a text of it. -#}
{% macro flag(name) -%}
    {%- set value = var(name) | string | lower -%}
    {%- if value not in ('true', 'false') -%}
        {{ exceptions.raise_compiler_error(
            "var " ~ name ~ " is '" ~ var(name) ~ "': set it to true or false"
        ) }}
    {%- endif -%}
    {{- return(value == 'true') -}}
{%- endmacro %}
