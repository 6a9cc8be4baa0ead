-- One row per container and time between two anchors: what a kilogram of growth cost in feed.
select
    period_end_date as "Until",
    container_name as "Container",
    days_covered as "Days",
    round(net_growth_kg / 1000, 1) as "Growth (t)",
    round(feed_kg / 1000, 1) as "Feed (t)",
    economic_fcr as "Economic FCR",
    biological_fcr as "Biological FCR",
    tgc as "TGC",
    sgr_percent_per_day as "SGR (% a day)",
    fcr_band as "Band"
from {{ ref('production_figures') }}
where
    batch_id = ({{ chosen_batch() }})
    and period_type = 'anchor_window'
    and container_id in ({{ chosen_containers() }})
    {{ metabase_filter('dates') }}
order by period_end_date desc, container_name asc
