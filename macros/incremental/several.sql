{#-
  Several runs at once (`anchorline refresh --runners`). Each is limited to some batches, and keeps
  to those of the var `refresh_keeps_to`: nothing ties them to the batches of another. Each follows
  the changes of its own batches alone, so that two of them may replace rows of one table at the
  same time, and moves no mark of what is published: who has started them does, once all are done.
  Until then every change is pending, whatever becomes of them.
-#}


{#- Whether this run is one of several. -#}
{% macro is_one_of_several() -%}
    {{- return(var('refresh_keeps_to', none) is not none) -}}
{%- endmacro %}


{#- The condition that a batch is one of those that this run keeps to. -#}
{% macro is_kept_to(batch_id) -%}
    {%- if is_one_of_several() -%}
        {{ batch_id }} = any({{ bigint_array(var('refresh_keeps_to')) }})
    {%- else -%}
        true
    {%- endif -%}
{%- endmacro %}


{#-
  Stops one of several runs, before anybody follows its changes, where records of the meantime tie
  its batches to those of another: two runs that each compute one end of a movement would both
  keep what is right for neither. What ties them is found again by the next run, which examines
  both.
-#}
{% macro raise_if_not_kept_to() -%}
    {%- if is_one_of_several() -%}
        {%- set own = bigint_array(var('refresh_keeps_to')) -%}
        {%- set movements = layer_relation('intermediate', 'int_movements') -%}
        {%- set assignments = "'" ~ examined_ids()['assignment_id'] ~ "'::bigint[]" -%}
do $kept$
begin
    if
        exists (
            select from {{ ops_relation('examinations') }}
            where
                invocation_id = {{ sql_literal(invocation_id) }}
                and not batch_ids <@ {{ own }}
        )
        or exists (
            select from {{ this }}
            where
                invocation_id = {{ sql_literal(invocation_id) }}
                and batch_id <> all({{ own }})
        )
        or exists (
            select from {{ movements }}
            where
                from_assignment_id = any({{ assignments }})
                and to_assignment_id <> all({{ assignments }})
        )
        or exists (
            select from {{ movements }}
            where
                to_assignment_id = any({{ assignments }})
                and from_assignment_id <> all({{ assignments }})
        )
    then
        raise exception
        'records have tied batches of this run to those of another: they must be refreshed together';
    end if;
end
$kept$
    {%- endif -%}
{%- endmacro %}
