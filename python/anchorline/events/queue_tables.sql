-- The queue of changes and what is known of failed refreshes. `create_ops_tables.sql` of the dbt
-- project holds the same two statements: whichever comes first makes the tables.

create table {ops}.change_events (
    event_id bigint generated always as identity primary key,
    batch_id bigint,
    from_date date,
    reason text not null,
    occurred_at timestamptz not null default clock_timestamp()
);
comment on table {ops}.change_events is
'Batches whose raw rows have changed since their last refresh: what the refresh has yet to do.';

create table {ops}.event_failures (
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
comment on table {ops}.event_failures is
'Batches whose refresh has failed: to be tried again, or set aside until somebody has looked.';
