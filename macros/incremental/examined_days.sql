{#-
  Which days of what a run examines a model looks at again. The var `refresh_days_since` says that
  no record of an earlier day has changed; a model with a row per day (meta `examined_days`) then
  leaves earlier days alone, save for the batches whose frame is another one: what an earlier day
  may follow from besides the records of that day. These it looks at whole.

  ops.followed holds, for each such model and batch, the frame and the as-of date that its rows
  were made from, and the last examination that they follow. Killed or failed in between: the next
  run looks from the earliest day of all examinations that the model has not followed.
-#}


{#-
  The days that the model looks at, or none: all. `since`, a date as text; and the ids of what it
  looks at whole, by kind, as array literals.
-#}
{% macro days_examined() -%}
    {%- if
        not is_limited()
        or not is_scoped()
        or not model.config.meta.get('examined_days')
        or var('refresh_days_since') is none
    -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set memory = run_memory() -%}
    {%- set name = 'days of ' ~ model.name -%}
    {%- if name not in memory -%}
        {%- do memory.update({name: find_days_examined()}) -%}
    {%- endif -%}
    {{- return(memory[name]) -}}
{%- endmacro %}


{% macro find_days_examined() -%}
    {%- set followed = ops_relation('followed') -%}
    {%- set examinations = ops_relation('examinations') -%}
    {%- set assignments = layer_relation('intermediate', 'int_assignments') -%}
    {%- set query -%}
with current as (
    select * from {{ examinations }} where invocation_id = {{ sql_literal(invocation_id) }}
),

batches as (
    select unnest(batch_ids) as batch_id from current
),

frames as (
    {{ batch_frames(examined_ids()['batch_id']) }}
),

{%- if model.config.meta.examined_days.frame == 'inputs' %}
other_anchors as (
    {{ days_of_other_anchors(examined_ids()['batch_id']) }}
),

{% endif -%}
found as (
    select
        batches.batch_id,
        case
            when frames.frame_hash = followed.frame_hash
                then least(
                    followed.as_of_date,
                    {{ as_of_date() }},
                    {%- if model.config.meta.examined_days.frame == 'inputs' %}
                    (
                        select min(state_date) from other_anchors
                        where other_anchors.batch_id = batches.batch_id
                    ),
                    {%- endif %}
                    (
                        select min({{ first_day_of_examination() }})
                        from {{ examinations }} as examinations
                        where
                            batches.batch_id = any(examinations.batch_ids)
                            and examinations.started_at > followed.examined_at
                    )
                )
        end as since
    from batches
    left join frames on batches.batch_id = frames.batch_id
    left join {{ followed }} as followed
        on
            batches.batch_id = followed.batch_id
            and followed.model_name = {{ sql_literal(this.name) }}
),

-- One day for most; what was not looked at for long is looked at whole.
bound as (
    select min(since) as since from found
    where since >= date '{{ checked_iso_date('refresh_days_since') }}' - 31
),

whole as (
    select
        array(
            select batch_id from found where (since >= (select since from bound)) is not true
        ) as batch_ids
)

select
    (select since::text from bound),
    whole.batch_ids::text,
    array(
        select unnest(current.assignment_ids)
        except
        select assignment_id from {{ assignments }}
        where
            batch_id in (select batch_id from batches)
            and batch_id <> all(whole.batch_ids)
    )::text,
    array(
        select distinct container_id from {{ assignments }}
        where batch_id = any(whole.batch_ids)
    )::text
from whole
cross join current
    {%- endset -%}
    {%- set row = run_query(query).rows[0] -%}
    {{- return(none if row[0] is none else {
        'since': row[0], 'batch_id': row[1], 'assignment_id': row[2], 'container_id': row[3]
    }) -}}
{%- endmacro %}


{#-
  A further condition that a row is of the days that the model looks at, by its day and its ids.
  `and_before`: of readings the model needs as many days more as they can reach.
-#}
{% macro and_examined_days(day, columns, and_before=false) -%}
    {%- set days = days_examined() -%}
    {%- if days is not none %} and (
            {{ day }} >= date '{{ days.since }}'{{ ' - ' ~ readings_reach() if and_before }}
            {%- for column in columns %}
            or {{ column }} = any('{{ days[id_kind(column)] }}'::bigint[])
            {%- endfor %}
        )
    {%- endif -%}
{%- endmacro %}


{#- The first day of an examination that concerns the model: of records, of readings, or of both. -#}
{% macro first_day_of_examination() -%}
    {%- set of_records = "coalesce(examinations.days_since, '-infinity')" -%}
    {%- set of_readings = "coalesce(examinations.readings_since - "
        ~ readings_reach() ~ ", 'infinity')" -%}
    {{- return({
        'assignments': of_records,
        'readings': of_readings,
        'inputs': 'least(' ~ of_records ~ ', ' ~ of_readings ~ ')',
        'inputs_and_anchors': 'least(' ~ of_records ~ ', ' ~ of_readings ~ ')',
    }[model.config.meta.examined_days.frame]) -}}
{%- endmacro %}


{#- How many days before and after it a reading can tell the temperature of. -#}
{% macro readings_reach() -%}
    {{- return([var('max_interpolation_gap_days'), 2 * var('max_nearest_gap_days') + 1] | max) -}}
{%- endmacro %}


{#-
  A query for the frames of some batches (an array literal; none: of all): one fingerprint for each.

  (By name: the models come after what their frames are made from, but for temperatures, which
  in a first build may be there before any assignment, and then have followed nothing.)

  assignments  when who was where
  readings     nothing: temperatures follow from readings alone
  inputs       who was where, from where to where fish moved, where they started, and the
               parameters by which they grow; not what they were measured at, which stands on the
               days themselves (days_of_other_anchors)
  inputs_and_anchors  these, and what fish were measured at
-#}
{% macro batch_frames(batch_ids) -%}
    {%- set frame = model.config.meta.examined_days.frame -%}
    {%- set assignments = layer_relation('intermediate', 'int_assignments') -%}
    {%- set condition = "true" if batch_ids is none else
        "assignments.batch_id = any('" ~ batch_ids ~ "'::bigint[])" -%}
    select
        batch_id,
        hash_record_extended(
            row(
                {{ sql_literal(rules_fingerprint()) }}::text,
                hash_array_extended(array_agg(part_hash order by part_hash), 0)
            ),
            0
        ) as frame_hash
    from (
        select
            assignments.batch_id,
            {%- if frame == 'readings' %}
            0::bigint as part_hash
            {%- else %}
            hash_record_extended(
                row(
                    assignments.assignment_id, assignments.container_id,
                    assignments.lifecycle_stage_id, assignments.assignment_date,
                    assignments.departure_date, assignments.end_date, assignments.is_active,
                    assignments.batch_start_date
                ),
                0
            ) as part_hash
            {%- endif %}
        from {{ assignments }} as assignments
        where {{ condition }}
        {%- if frame in ('inputs', 'inputs_and_anchors') %}
        {%- for name, key in {
            'int_stocking': 'assignment_id', 'int_day_arrivals': 'to_assignment_id',
            'int_day_departures': 'from_assignment_id', 'int_anchors': 'assignment_id'
        }.items() if name != 'int_anchors' or frame == 'inputs_and_anchors' %}

        union all

        select
            assignments.batch_id,
            hash_record_extended(row(parts.*, {{ sql_literal(name) }}::text), 0) as part_hash
        from {{ assignments }} as assignments
        inner join {{ layer_relation('intermediate', name) }} as parts
            on assignments.assignment_id = parts.{{ key }}
        where {{ condition }}
        {%- endfor %}
        {%- for name in ['int_scenario_periods', 'int_growth_parameter_hashes'] %}

        union all

        select
            assignments.batch_id,
            hash_record_extended(row(assignments.*, {{ sql_literal(name) }}::text), 0) as part_hash
        from {{ layer_relation('intermediate', name) }} as assignments
        where {{ condition }}
        {%- endfor %}
        {%- endif %}
    ) as parts
    group by batch_id
{%- endmacro %}


{#-
  A query for the days of some batches (an array literal) on which the model's rows hold another
  anchor than there is now, or one too many or too few. Of anchors on other days no row tells:
  which days there are, the frame says.
-#}
{% macro days_of_other_anchors(batch_ids) -%}
    {%- set anchors = layer_relation('intermediate', 'int_anchors') -%}
    select
        stored.batch_id,
        stored.state_date
    from {{ this }} as stored
    left join {{ anchors }} as anchors
        on
            stored.assignment_id = anchors.assignment_id
            and stored.state_date = anchors.anchor_date
    where
        stored.batch_id = any('{{ batch_ids }}'::bigint[])
        and stored.anchor_type is not null
        and (
            stored.anchor_type, stored.anchor_weight_g, stored.anchor_confidence,
            stored.planned_activity_id
        ) is distinct from (
            anchors.anchor_type, anchors.weight_g, anchors.weight_confidence,
            anchors.planned_activity_id
        )

    union all

    select
        stored.batch_id,
        stored.state_date
    from {{ anchors }} as anchors
    inner join {{ this }} as stored
        on
            anchors.assignment_id = stored.assignment_id
            and anchors.anchor_date = stored.state_date
    where
        anchors.assignment_id = any('{{ examined_ids()['assignment_id'] }}'::bigint[])
        and stored.anchor_type is null
        and not stored.is_in_transit
{%- endmacro %}


{#- Notes what a model has followed, in the transaction that replaces its rows. -#}
{% macro mark_followed() -%}
    {%- set limited = is_limited() -%}
    {%- if model.config.meta.get('examined_days') and (limited or has_assignments()) -%}
        {%- set followed = ops_relation('followed') -%}
        {% call statement('followed') -%}
            {%- if not limited %}
            delete from {{ followed }} where model_name = {{ sql_literal(this.name) }};
            {%- endif %}
            insert into {{ followed }} as followed (
                model_name, batch_id, frame_hash, as_of_date, examined_at
            )
            select
                {{ sql_literal(this.name) }},
                batch_id,
                frame_hash,
                {{ as_of_date() }},
                {%- if limited %}
                (
                    select started_at from {{ ops_relation('examinations') }}
                    where invocation_id = {{ sql_literal(invocation_id) }}
                )
                {%- else %}
                now()
                {%- endif %}
            from (
                {{ batch_frames(examined_ids()['batch_id'] if limited else none) }}
            ) as frames
            on conflict (model_name, batch_id) do update set
                frame_hash = excluded.frame_hash,
                as_of_date = excluded.as_of_date,
                examined_at = greatest(followed.examined_at, excluded.examined_at)
        {%- endcall %}
    {%- endif -%}
{%- endmacro %}


{#-
  Whether there are assignments yet. The server is asked, since dbt knows of a table that another
  thread is making before anybody can read it.
-#}
{% macro has_assignments() -%}
    {%- set query -%}
        select to_regclass(
            {{ sql_literal(layer_relation('intermediate', 'int_assignments')) }}
        ) is not null
    {%- endset -%}
    {{- return(run_query(query).rows[0][0]) -}}
{%- endmacro %}
