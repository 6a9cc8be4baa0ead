{#
    Every value of the column lies from `min_value` to `max_value`; either may be left out, and
    null values pass. With `inclusive: false` the ends themselves fail.

        data_tests:
          - in_range:
              arguments:
                min_value: 0
                max_value: 1
#}
{% test in_range(model, column_name, min_value=none, max_value=none, inclusive=true) %}
{%- if min_value is none and max_value is none -%}
    {{ exceptions.raise_compiler_error(
        "The test in_range of the column " ~ column_name ~ " needs min_value, max_value or both."
    ) }}
{%- endif %}
select {{ column_name }}
from {{ model }}
where
    false
    {%- if min_value is not none %}
    or {{ column_name }} {{ '<' if inclusive else '<=' }} {{ min_value }}
    {%- endif %}
    {%- if max_value is not none %}
    or {{ column_name }} {{ '>' if inclusive else '>=' }} {{ max_value }}
    {%- endif %}
{% endtest %}
