-- The view's id is assignment * 100 000 + days since 2000-01-01: no two rows share one while
-- every day lies in the 100 000 days from there on.
select
    assignment_id,
    state_date
from {{ ref('daily_assignment_states') }}
where (state_date - date '2000-01-01' between 0 and 99999) is not true
