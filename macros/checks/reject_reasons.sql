{#-
  Branches of a `case` that say why a record dated `event_date` cannot belong to its assignment.

  Expects the row of int_assignments joined (left) as `assignment`. The departure day itself
  still belongs to the assignment: fish are weighed, counted and die on the day they leave.
-#}
{% macro reject_unless_in_assignment(event_date, assignment='assignments') -%}
    when {{ assignment }}.assignment_id is null then 'assignment is missing or rejected'
    when {{ event_date }} is null then 'no date'
    when {{ event_date }} > {{ last_known_date() }} then 'in the future'
    when {{ event_date }} < {{ assignment }}.assignment_date then 'before the assignment began'
    when {{ event_date }} > {{ assignment }}.end_date then 'after the assignment ended'
{%- endmacro %}


{#- Whether an assignment (a row of int_assignments) is active on a day; its departure day is none. -#}
{% macro is_active_on(event_date, assignment) -%}
    {{ event_date }} >= {{ assignment }}.assignment_date
    and {{ event_date }} < coalesce(
        {{ assignment }}.departure_date, {{ assignment }}.end_date + 1, 'infinity'::date
    )
{%- endmacro %}


{#- Branches of a `case` that say why a weight in g cannot be true. -#}
{% macro reject_implausible_weight(weight_g) -%}
    when {{ weight_g }} is null then 'no weight'
    when not {{ is_plausible_weight(weight_g) }} then 'weight out of range'
{%- endmacro %}


{#- Whether a weight in g can be true: above the range's minimum, up to its maximum. -#}
{% macro is_plausible_weight(weight_g) -%}
    (
        {{ weight_g }} > {{ plausible('weight', 'min_value') }}
        and {{ weight_g }} <= {{ plausible('weight', 'max_value') }}
    )
{%- endmacro %}


{#- A limit of the seed plausible_ranges, as a scalar subquery. -#}
{% macro plausible(quantity, limit) -%}
    (select {{ limit }} from {{ ref('plausible_ranges') }} where quantity = '{{ quantity }}')
{%- endmacro %}


{#- A value of the seed growth_constants, as a scalar subquery. -#}
{% macro growth_constant(name) -%}
    (select value from {{ ref('growth_constants') }} where constant = '{{ name }}')
{%- endmacro %}


{#- The last day on which something can have happened: today, or the as-of date where that is later. -#}
{% macro last_known_date() -%}
    greatest({{ as_of_date() }}, {{ today() }})
{%- endmacro %}


{#- Whether a date can be a day of living fish. -#}
{% macro is_possible_start(date) -%}
    (
        isfinite({{ date }})
        and extract(year from {{ date }}) >= {{ growth_constant('earliest_year') }}
    )
{%- endmacro %}
