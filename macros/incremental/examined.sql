{#-
  What a run examines: everything (a scan), or the batches of the var `refresh_batches` with all
  batches of their lineages. Models before the recursion read their parents through `examined`,
  so that a run that is limited to some batches reads the rows of these and no others.
-#}


{#- Whether this run is limited to some batches. -#}
{% macro is_limited() -%}
    {{- return(var('refresh_batches', none) is not none) -}}
{%- endmacro %}


{#-
  Whether this run is limited to more than a few batches: to one new day of all that hold fish, or
  the like. Of what is pending for many the planner expects next to nothing, and would go through it
  again for each row of another table.
-#}
{% macro examines_many() -%}
    {{- return(is_limited() and var('refresh_batches') | length > 10) -}}
{%- endmacro %}


{#-
  A model's relation, limited to what this run examines, under an alias (default: the model's
  name). Only models whose meta names its `examined_by` columns can be limited; the others are
  small or are looked up by their keys.
-#}
{% macro examined(model_name, alias=none) -%}
    {%- set relation = ref(model_name) -%}
    {%- set keys = examined_keys(model_name) if is_limited() and is_scoped() else [] -%}
    {%- if keys -%}
        (select * from {{ relation }} where {{ is_examined(keys) }}) as {{ alias or model_name }}
    {%- elif alias -%}
        {{ relation }} as {{ alias }}
    {%- else -%}
        {{ relation }}
    {%- endif -%}
{%- endmacro %}


{#- The columns by which a model can be limited. -#}
{% macro examined_keys(model_name) -%}
    {%- set node = nodes_of_project()['model.anchorline.' ~ model_name] -%}
    {{- return(node.meta.get('examined_by') or []) -}}
{%- endmacro %}


{#-
  A further condition `and ...` on columns that the examined rows have only once computed: their
  ids, and the column of their day where the model looks at some days only (examined_days.sql).
-#}
{% macro and_examined(columns, day=none) -%}
    {%- if is_limited() and is_scoped() -%}
        {{- ' and (' ~ is_examined(columns) ~ ')' -}}
    {%- endif -%}
    {{- and_examined_days(day, columns) if day is not none -}}
{%- endmacro %}


{#-
  The condition that a row belongs to what this run examines, by any of the columns. The ids stand
  in it as literals, so that the planner knows whether they are few.
-#}
{% macro is_examined(columns) -%}
    {%- set conditions = [] -%}
    {%- for column in columns -%}
        {%- do conditions.append(
            column ~ " = any('" ~ examined_ids()[id_kind(column)] ~ "'::bigint[])"
        ) -%}
    {%- endfor -%}
    {{- conditions | join(' or ') -}}
{%- endmacro %}


{#- Of which kind the ids in a column are: its name ends with it. -#}
{% macro id_kind(column) -%}
    {%- for kind in examined_kinds() if column.endswith(kind) -%}
        {{- return(kind) -}}
    {%- endfor -%}
    {{ exceptions.raise_compiler_error("meta examined_by: no kind of id: " ~ column) }}
{%- endmacro %}


{#-
  A further condition that rows are of the days from which the model looks at its records again,
  where it does not look at all days of what is examined (meta `examined_since`); none are, where
  the var that holds the first of them is not set.
-#}
{% macro and_examined_since(day, days_before=0) -%}
    {%- set since = model.config.meta.get('examined_since') -%}
    {%- if since and var(since.var) is none -%}
        and false
    {%- elif since -%}
        and {{ day }} >= date '{{ checked_iso_date(since.var) }}' - {{ days_before }}
    {%- endif -%}
{%- endmacro %}


{#- The kinds of ids of which an examination keeps lists (columns of ops.examinations, plus s). -#}
{% macro examined_kinds() -%}
    {{- return([
        'batch_id', 'assignment_id', 'container_id', 'harvest_event_id',
        'health_sampling_event_id'
    ]) -}}
{%- endmacro %}


{#- A table of the schema for what no model derives. -#}
{% macro ops_relation(name) -%}
    {{- return(api.Relation.create(
        database=target.database, schema=target.schema ~ '_ops', identifier=name
    )) -}}
{%- endmacro %}


{#- A relation of one of the project's layers, where `ref` would close a circle. -#}
{% macro layer_relation(layer, name) -%}
    {{- return(api.Relation.create(
        database=target.database, schema=target.schema ~ '_' ~ layer, identifier=name
    )) -}}
{%- endmacro %}


{#-
  At the start of a run that is limited to some batches: what that means, found once and kept for
  the run. The batches are widened to all batches that movements tie to them, by the records of
  now and by what is stored; ids of records that a batch had and has no more are examined as well.
-#}
{% macro begin_examination() -%}
    {%- if execute and is_limited() and flags.WHICH in ('run', 'build') -%}
        {%- set lineages = layer_relation('intermediate', 'int_lineages') -%}
        {%- set assignments = layer_relation('staging', 'stg_assignments') -%}
        {%- set stored = layer_relation('intermediate', 'int_assignments_checked') -%}
        {%- set transfers = layer_relation('staging', 'stg_transfer_actions') -%}
        {%- set harvests = layer_relation('staging', 'stg_harvest_events') -%}
        {%- set stored_lots = layer_relation('intermediate', 'int_harvest_lots_checked') -%}
        {%- set samplings = layer_relation('staging', 'stg_health_sampling_events') -%}
        {%- set stored_samplings = layer_relation('intermediate', 'int_health_samplings') -%}
        {%- set facts = ops_relation('announced_facts') -%}
        {%- set found = run_query(
            "select to_regclass('" ~ lineages ~ "') is not null and to_regclass('" ~ facts
            ~ "') is not null"
        ) -%}
        {%- if not found.rows[0][0] -%}
            {{ exceptions.raise_compiler_error(
                "The var refresh_batches limits a run to some batches, and nothing is built yet. "
                ~ "Run `dbt build` without it once."
            ) }}
        {%- endif -%}
set local jit = off;

delete from {{ ops_relation('examinations') }} where started_at < now() - interval '30 days';

insert into {{ ops_relation('examinations') }} (
    invocation_id, batch_ids, assignment_ids, container_ids, harvest_event_ids,
    health_sampling_event_ids, days_since, readings_since
)
with recursive reached as (
    select unnest({{ bigint_array(var('refresh_batches')) }}) as batch_id

    union

    -- Other rules than those of the last run: all batches.
    select batch_id
    from {{ layer_relation('staging', 'stg_batches') }}
    where
        not exists (
            select 1 from {{ ops_relation('published') }}
            where
                model_name = 'int_growth_states'
                and rules = {{ sql_literal(rules_fingerprint()) }}
        )

    union

    select tied.batch_id
    from reached
    cross join lateral (
        select mates.batch_id
        from {{ lineages }} as own
        inner join {{ lineages }} as mates on own.lineage_id = mates.lineage_id
        where own.batch_id = reached.batch_id

        union all

        select others.batch_id
        from {{ assignments }} as own
        inner join {{ transfers }} as transfers
            on own.assignment_id = transfers.source_assignment_id
        inner join {{ assignments }} as others
            on transfers.dest_assignment_id = others.assignment_id
        where own.batch_id = reached.batch_id

        union all

        select others.batch_id
        from {{ assignments }} as own
        inner join {{ transfers }} as transfers
            on own.assignment_id = transfers.dest_assignment_id
        inner join {{ assignments }} as others
            on transfers.source_assignment_id = others.assignment_id
        where own.batch_id = reached.batch_id

        union all

        select now_in.batch_id
        from {{ stored }} as own
        inner join {{ assignments }} as now_in on own.assignment_id = now_in.assignment_id
        where own.batch_id = reached.batch_id
    ) as tied
    where tied.batch_id is not null
),

batches as (
    select coalesce(array_agg(batch_id), '{}') as batch_ids from reached
),

stays as (
    select assignment_id, container_id
    from {{ assignments }}
    where batch_id = any((select batch_ids from batches)::bigint[])

    union

    select assignment_id, container_id
    from {{ stored }}
    where batch_id = any((select batch_ids from batches)::bigint[])
),

-- Runs that began before this one, and may have been stopped half way: some tables still hold
-- what others have lost already.
earlier as (
    select * from {{ ops_relation('examinations') }}
    where batch_ids && (select batch_ids from batches)
),

-- (Only ids that are nowhere any more: others may belong to a batch that is not examined.)
gone as (
    select assignment_id
    from (
        select unnest(assignment_ids) as assignment_id from earlier
        union
        select assignment_id from {{ facts }}
        where batch_id = any((select batch_ids from batches)::bigint[])
    ) as known
    where
        not exists (
            select 1 from {{ assignments }} as present
            where present.assignment_id = known.assignment_id
        )
),

assignments as (
    select
        array(
            select assignment_id from stays
            union
            select assignment_id from gone
        ) as assignment_ids,
        array(
            select container_id from stays
            where container_id is not null
            union
            select unnest(container_ids) from earlier
        ) as container_ids
)

select
    '{{ invocation_id }}',
    (select batch_ids from batches),
    (select assignment_ids from assignments),
    (select container_ids from assignments),
    array(
        select harvest_event_id from {{ harvests }}
        where assignment_id = any((select assignment_ids from assignments)::bigint[])
        union
        select harvest_event_id from {{ stored_lots }}
        where assignment_id = any((select assignment_ids from assignments)::bigint[])
        union
        select known.harvest_event_id
        from (select unnest(harvest_event_ids) as harvest_event_id from earlier) as known
        where
            not exists (
                select 1 from {{ harvests }} as present
                where present.harvest_event_id = known.harvest_event_id
            )
    ),
    array(
        select health_sampling_event_id from {{ samplings }}
        where assignment_id = any((select assignment_ids from assignments)::bigint[])
        union
        select health_sampling_event_id from {{ stored_samplings }}
        where assignment_id = any((select assignment_ids from assignments)::bigint[])
        union
        select known.health_sampling_event_id
        from (
            select unnest(health_sampling_event_ids) as health_sampling_event_id from earlier
        ) as known
        where
            not exists (
                select 1 from {{ samplings }} as present
                where present.health_sampling_event_id = known.health_sampling_event_id
            )
    ),
    {%- for since in ['refresh_days_since', 'refresh_readings_since'] %}
    {{ 'null' if var(since) is none else "date '" ~ checked_iso_date(since) ~ "'" }}
    {{- ',' if not loop.last }}
    {%- endfor %}
    {%- endif -%}
{%- endmacro %}


{#- Numbers as an SQL array of bigint; anything else stops the run. -#}
{% macro bigint_array(values) -%}
    {%- if values is string or values is not sequence -%}
        {{ exceptions.raise_compiler_error(
            "The var refresh_batches is " ~ values ~ ": give a list of batch ids, for example: "
            ~ "--vars '{refresh_batches: [12, 15]}'."
        ) }}
    {%- endif -%}
    {%- for value in values if value is not integer -%}
        {{ exceptions.raise_compiler_error(
            "The var refresh_batches holds " ~ value ~ ", which is no batch id (an integer)."
        ) }}
    {%- endfor -%}
    array[{{ values | join(', ') }}]::bigint[]
{%- endmacro %}
