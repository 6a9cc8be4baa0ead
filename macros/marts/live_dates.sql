{#-
  The last day that has states, for a view that is read long after the run that made it: var
  `as_of_date`, else today when it is read.
-#}
{% macro live_as_of_date() -%}
    {%- if var('as_of_date') is none -%}
        {{ local_date('now()') }}
    {%- else -%}
        {{ as_of_date() }}
    {%- endif -%}
{%- endmacro %}
