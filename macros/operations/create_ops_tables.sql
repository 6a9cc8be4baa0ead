{#
    Makes the tables that no model derives, which people and the refresh write into: schema
    `<target schema>_ops`. One statement at the start of every run, so that the models that read
    them always find them; it needs no right to create anything once all of it is there.
#}
{% macro create_ops_tables() -%}
    {%- if flags.WHICH in ('run', 'build', 'test', 'seed', 'snapshot', 'retry') -%}
        {%- set ops = adapter.quote(target.schema ~ '_ops') -%}
do $ops$
begin
    -- two runs that start at once must not both create
    perform pg_advisory_xact_lock(hashtext({{ sql_literal('anchorline ' ~ ops) }}));

    if to_regnamespace({{ sql_literal(ops) }}) is null then
        create schema {{ ops }};
    end if;

    if to_regclass({{ sql_literal(ops ~ '.manual_anchors') }}) is null then
        create table {{ ops }}.manual_anchors (
            manual_anchor_id bigint generated always as identity primary key,
            assignment_id bigint not null,
            anchor_date date not null,
            weight_g numeric not null,
            reason text not null,
            entered_by text not null,
            entered_at timestamptz not null default now()
        );
        comment on table {{ ops }}.manual_anchors is
        'Mean weights that an operator states for an assignment and day: anchors of their own.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.anchor_exclusions') }}) is null then
        create table {{ ops }}.anchor_exclusions (
            anchor_exclusion_id bigint generated always as identity primary key,
            anchor_type text not null,
            record_id bigint not null,
            reason text not null,
            excluded_by text not null,
            excluded_at timestamptz not null default now()
        );
        comment on table {{ ops }}.anchor_exclusions is
        'Measurements that must not be used as anchors: a bad sample need not be deleted.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.examinations') }}) is null then
        create table {{ ops }}.examinations (
            invocation_id text primary key,
            started_at timestamptz not null default clock_timestamp(),
            batch_ids bigint[] not null,
            assignment_ids bigint[] not null,
            container_ids bigint[] not null,
            harvest_event_ids bigint[] not null,
            health_sampling_event_ids bigint[] not null
        );
        comment on table {{ ops }}.examinations is
        'What a run that is limited to some batches examines: one row per such run of dbt.';
    end if;

    if not {{ has_column(ops ~ '.examinations', 'days_since') }} then
        alter table {{ ops }}.examinations
        add column days_since date,
        add column readings_since date;
    end if;

    if to_regclass({{ sql_literal(ops ~ '.followed') }}) is null then
        create table {{ ops }}.followed (
            model_name text,
            batch_id bigint,
            frame_hash bigint,
            as_of_date date not null,
            examined_at timestamptz not null,
            primary key (model_name, batch_id)
        );
        comment on table {{ ops }}.followed is
        'What the rows of models with a row per day were made from, beside the records of the day.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.published') }}) is null then
        create table {{ ops }}.published (
            model_name text primary key,
            change_id bigint not null,
            rules text not null,
            published_at timestamptz not null default clock_timestamp()
        );
        comment on table {{ ops }}.published is
        'The last change that each model has followed, and the rules it was built with.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.announced_facts') }}) is null then
        create table {{ ops }}.announced_facts (
            assignment_id bigint primary key,
            batch_id bigint,
            assignment_date date,
            last_active_date date,
            labels_hash bigint,
            facts_hash bigint,
            measurements_hash bigint
        );
        create index on {{ ops }}.announced_facts (batch_id);
        comment on table {{ ops }}.announced_facts is
        'What each assignment showed beside its daily inputs when changes were last looked for.';
    end if;

    if not {{ has_column(ops ~ '.announced_facts', 'measurements_hash') }} then
        alter table {{ ops }}.announced_facts add column measurements_hash bigint;
    end if;

    if to_regclass({{ sql_literal(ops ~ '.refresh_log') }}) is null then
        create table {{ ops }}.refresh_log (
            refresh_id bigint generated always as identity primary key,
            started_at timestamptz not null default clock_timestamp(),
            ended_at timestamptz,
            mode text not null check (mode in ('full', 'scan', 'batches')),
            reason text not null,
            batch_ids bigint[],
            outcome text not null default 'running' check (
                outcome in ('running', 'succeeded', 'invalid', 'failed', 'interrupted', 'killed')
            ),
            assignment_count bigint,
            row_count bigint,
            from_date date,
            invocation_id text,
            views_fingerprint text,
            error text
        );
        comment on table {{ ops }}.refresh_log is
        'One row per refresh: when, of what, why, and how it ended.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.calibrations') }}) is null then
        create table {{ ops }}.calibrations (
            calibration_id bigint generated always as identity primary key,
            calibrated_at timestamptz not null default now(),
            calibrated_by text not null,
            as_of_date date not null,
            anchor_pair_count bigint not null,
            process_noise double precision,
            process_noise_low double precision,
            process_noise_high double precision,
            sample_bias double precision,
            sample_bias_low double precision,
            sample_bias_high double precision,
            error_before_pct double precision,
            error_after_pct double precision,
            engine_version integer not null
        );
        comment on table {{ ops }}.calibrations is
        'One row per fit of growth and smoothing parameters to the anchors of the farm.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.calibrated_tgc') }}) is null then
        create table {{ ops }}.calibrated_tgc (
            calibration_id bigint not null references {{ ops }}.calibrations on delete cascade,
            lifecycle_stage_id bigint not null,
            site_kind text not null check (site_kind in ('station', 'area', 'all')),
            site_id bigint check ((site_id is null) = (site_kind = 'all')),
            site_name text,
            tgc_model double precision not null,
            tgc_fitted double precision not null,
            tgc double precision not null,
            tgc_low double precision not null,
            tgc_high double precision not null,
            tgc_factor double precision not null,
            tgc_factor_variance double precision not null,
            anchor_pair_count bigint not null,
            unique nulls not distinct (calibration_id, lifecycle_stage_id, site_kind, site_id)
        );
        comment on table {{ ops }}.calibrated_tgc is
        'One row per fit, life stage and site: how fast fish grow there, against what the models say.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.reading_mark') }}) is null then
        create table {{ ops }}.reading_mark (
            is_only boolean primary key default true check (is_only),
            last_reading_id bigint not null,
            seen_ids bigint[] not null
        );
        comment on table {{ ops }}.reading_mark is
        'How far temperature readings have been looked at for new ones (at most one row).';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.watch_status') }}) is null then
        create table {{ ops }}.watch_status (
            is_only boolean primary key default true check (is_only),
            host text not null,
            process_id integer not null,
            started_at timestamptz not null default clock_timestamp(),
            beat_at timestamptz not null default clock_timestamp(),
            state text not null
        );
        comment on table {{ ops }}.watch_status is
        'The last sign of life of the watcher (at most one row).';
    end if;

    -- What people stated is taken back by saying who did and why, not by deleting it. Tables of
    -- an earlier release lack these columns, and let a measurement be excluded only once.
    if not {{ has_column(ops ~ '.manual_anchors', 'removed_at') }} then
        alter table {{ ops }}.manual_anchors
        add column removed_at timestamptz,
        add column removed_by text,
        add column removed_reason text,
        add constraint manual_anchors_removed_by_whom_and_why_check
        check (num_nulls(removed_at, removed_by, removed_reason) in (0, 3));
    end if;

    if not {{ has_column(ops ~ '.anchor_exclusions', 'removed_at') }} then
        alter table {{ ops }}.anchor_exclusions
        drop constraint if exists anchor_exclusions_anchor_type_record_id_key,
        add column removed_at timestamptz,
        add column removed_by text,
        add column removed_reason text,
        add constraint anchor_exclusions_removed_by_whom_and_why_check
        check (num_nulls(removed_at, removed_by, removed_reason) in (0, 3));
        create unique index anchor_exclusions_in_force_idx
        on {{ ops }}.anchor_exclusions (anchor_type, record_id)
        where removed_at is null;
    end if;
    -- The same two statements as in queue_tables.sql of the Python package: whoever comes first,
    -- this or `anchorline events install`, makes the tables.
    if to_regclass({{ sql_literal(ops ~ '.change_events') }}) is null then
        create table {{ ops }}.change_events (
            event_id bigint generated always as identity primary key,
            batch_id bigint,
            from_date date,
            reason text not null,
            occurred_at timestamptz not null default clock_timestamp()
        );
        comment on table {{ ops }}.change_events is
        'Batches whose raw rows have changed since their last refresh: what the refresh has yet to do.';
    end if;

    if to_regclass({{ sql_literal(ops ~ '.event_failures') }}) is null then
        create table {{ ops }}.event_failures (
            event_failure_id bigint generated always as identity primary key,
            batch_id bigint,
            from_date date,
            reasons text [] not null,
            attempt_count integer not null,
            first_failed_at timestamptz not null,
            last_failed_at timestamptz not null,
            next_attempt_at timestamptz,
            last_error text not null,
            set_aside_at timestamptz,
            unique nulls not distinct (batch_id)
        );
        comment on table {{ ops }}.event_failures is
        'Batches whose refresh has failed: to be tried again, or set aside until somebody has looked.';
    end if;
exception
    when insufficient_privilege then
        raise exception using
            errcode = 'insufficient_privilege',
            message = case
                when to_regnamespace({{ sql_literal(ops) }}) is null
                    then format(
                        'The role %I may not create %s in the database %I (%s). Let its owner run: '
                        'grant create on database %I to %I;',
                        current_user, {{ sql_literal(ops) }}, current_database(), sqlerrm,
                        current_database(), current_user
                    )
                else format(
                    'The role %I may not use or fill the schema %s (%s). Let its owner run: '
                    'grant usage, create on schema %s to %I;',
                    current_user, {{ sql_literal(ops) }}, sqlerrm, {{ sql_literal(ops) }}, current_user
                )
            end;
end
$ops$
    {%- endif -%}
{%- endmacro %}


{# Whether a table has a column, as an SQL expression. #}
{% macro has_column(table, column) -%}
    exists (
        select from pg_catalog.pg_attribute
        where
            attrelid = to_regclass({{ sql_literal(table) }})
            and attname = {{ sql_literal(column) }}
            and not attisdropped
    )
{%- endmacro %}
