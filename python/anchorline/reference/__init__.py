"""The growth model once more, in NumPy and pandas, written from its specification alone.

It reads what the staging views hold and gives the columns of `daily_assignment_states`. It shares
no code and no intermediate table with the SQL models, so that where both agree, neither has to be
believed. All functions are pure: arrays and frames in, arrays and frames out.

The steps, in the order in which they need each other:

=================  ================================================================
`inputs`           staging frames, seeds and run parameters; null becomes `UNKNOWN`
`activity`         which assignments are usable, and on which days each is active
`scenarios`        which scenario serves a batch; TGC, mortality and stage limits
`temperatures`     water temperature of each container and day, gaps filled
`anchors`          measured mean weights, one per assignment and day
`deaths`           recorded deaths per assignment, and per batch
`stocking`         rebuilt counts, start weights, transfers that nobody recorded
`movements`        transfers, harvests and one-day chains: fish from here to there
`growth`           the recursion: one step a day for all assignments at once
`feed`             feed per assignment and day, gain, feed conversion ratio
`states`           all of it in order, and the columns that are published
`observations`     clock and drift of each stay, and what was observed when
`smoothing`        weights in hindsight: filter, smoother, and a bridge between anchors
`plans`            what each scenario of a batch expects, day by day
`forecast`         open assignments, from hindsight on to harvest size
=================  ================================================================
"""

from anchorline.reference.forecast import Forecast, forecasts
from anchorline.reference.inputs import UNKNOWN, Farm, Parameters, Seeds
from anchorline.reference.plans import plan_days
from anchorline.reference.smoothing import Smoothed, smoothed_series
from anchorline.reference.states import Result, daily_assignment_states

__all__ = [
    "UNKNOWN",
    "Farm",
    "Forecast",
    "Parameters",
    "Result",
    "Seeds",
    "Smoothed",
    "daily_assignment_states",
    "forecasts",
    "plan_days",
    "smoothed_series",
]
