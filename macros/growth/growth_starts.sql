{#-
  The rows 0 of the recursion: those of all assignments, or, with the var `growth_restart_date`,
  for a restart on that day: the stored states of the day before in place of the rows of
  assignments that have begun by then. The recursion knows no difference.
-#}
{% macro growth_starts() -%}
    {%- set restart_date = var('growth_restart_date', none) -%}
    {%- if restart_date is none -%}
        {{ ref('int_growth_starts') }}
    {%- else -%}
        (
            select * from {{ ref('int_growth_starts') }}
            where state_date >= date '{{ checked_iso_date("growth_restart_date") }}' - 1

            union all

            select
                assignment_id,
                batch_id,
                state_date,
                population,
                weight_g,
                mortality_carry,
                lifecycle_stage_id,
                is_arrival_inferred
            from {{ this }}
            where state_date = date '{{ checked_iso_date("growth_restart_date") }}' - 1
        ) as restarts
    {%- endif -%}
{%- endmacro %}
