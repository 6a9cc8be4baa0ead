{#-
  The rows 0 of the recursion: those of all assignments or, where only pending changes are
  computed, for each assignment with one: its row 0 if it has not begun by then, else its stored
  state of the day before. The recursion knows no difference.
-#}
{% macro growth_starts() -%}
    {%- if is_scoped() -%}
        (
            select starts.*
            from {{ ref('int_growth_starts') }} as starts
            inner join pending_assignments as pending
                on starts.assignment_id = pending.assignment_id
            where
                starts.state_date >= pending.from_date - 1
                {{ pending_mark('assignments', 'starts.assignment_id') }}

            union all

            select
                stored.assignment_id,
                stored.batch_id,
                stored.state_date,
                stored.population,
                stored.weight_g,
                stored.mortality_carry,
                stored.lifecycle_stage_id,
                stored.is_arrival_inferred
            from {{ this }} as stored
            inner join pending_assignments as pending
                on
                    stored.assignment_id = pending.assignment_id
                    and stored.state_date = pending.from_date - 1
            inner join {{ ref('int_growth_starts') }} as starts
                on
                    stored.assignment_id = starts.assignment_id
                    and stored.state_date > starts.state_date
            where
                true
                {{ pending_mark('assignments', 'stored.assignment_id') }}
        ) as restarts
    {%- else -%}
        {{ ref('int_growth_starts') }}
    {%- endif -%}
{%- endmacro %}
