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
  Stops one of several runs where records of the meantime tie its batches to those of another: it
  had to examine those as well, or a transfer leads to them. Two runs that each compute one end of
  a movement would both keep what is right for neither. In the model of all transfers, before each
  run adds what follows at the other's end as well. What ties the batches is found again by the
  next run, which examines both.
-#}
{% macro raise_if_tied(from_id, to_id) -%}
    {%- if is_one_of_several() -%}
        {%- set is_tied -%}
        exists (
            select from {{ ops_relation('examinations') }}
            where
                invocation_id = {{ sql_literal(invocation_id) }}
                and not batch_ids <@ {{ bigint_array(var('refresh_keeps_to')) }}
        )
            {%- for own_id, other_id in [(from_id, to_id), (to_id, from_id)] %}
        or exists (
            select from {{ this }} as movements
            inner join {{ layer_relation('intermediate', 'int_assignments') }} as others
                on movements.{{ other_id }} = others.assignment_id
            where
                movements.{{ own_id }} = any('{{ examined_ids()['assignment_id'] }}'::bigint[])
                and not {{ is_kept_to('others.batch_id') }}
        )
            {%- endfor -%}
        {%- endset -%}
        {{ raise_where_tied(is_tied) }}
    {%- endif -%}
{%- endmacro %}


{#-
  Stops one of several runs, before anybody follows its changes, where they reach batches of
  another: by records of the meantime fish share the feed of a container with those.
-#}
{% macro raise_if_not_kept_to() -%}
    {%- if is_one_of_several() -%}
        {%- set is_tied -%}
        exists (
            select from {{ this }}
            where
                invocation_id = {{ sql_literal(invocation_id) }}
                and not {{ is_kept_to('batch_id') }}
        )
        {%- endset -%}
        {{ raise_where_tied(is_tied) }}
    {%- endif -%}
{%- endmacro %}


{#- The block that stops a run where the condition holds. -#}
{% macro raise_where_tied(condition) -%}
do $kept$
begin
    if
        {{ condition }}
    then
        raise exception
        'records have tied batches of this run to those of another: they must be refreshed '
        'together, as one runner does next';
    end if;
end
$kept$
{%- endmacro %}
