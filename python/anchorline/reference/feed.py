"""Feed per assignment and day, gain, and the feed conversion ratio."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from anchorline.reference.activity import Days, Stays, active_there
from anchorline.reference.growth import GrowthStates
from anchorline.reference.inputs import Farm, Parameters
from anchorline.reference.tables import (
    UNKNOWN,
    IntArray,
    RealArray,
    first_reason,
    ints,
    reals,
    rejected,
    take,
)


@dataclass(frozen=True)
class Feed:
    """Feeding events that can be true: of an assignment, or of a container alone."""

    stay: IntArray
    day: IntArray
    amount_kg: RealArray
    container_id: IntArray
    container_day: IntArray
    container_kg: RealArray


def check_feed(farm: Farm, stays: Stays, parameters: Parameters) -> tuple[Feed, pd.DataFrame]:
    """Return the usable feeding events, and the rejected ones.

    An event belongs to the assignment that it names; else, where it names container and batch,
    to the batch's assignment active there; else it is shared in the container. Feed of the
    departure day is rejected: there is no state that could have eaten it.
    """
    frame = farm.feeding_events
    named, batch = ints(frame, "assignment_id"), ints(frame, "batch_id")
    container, day = ints(frame, "container_id"), ints(frame, "feeding_date")
    amount = reals(frame, "amount_kg")
    stay = stays.at(named)
    by_place = (named == UNKNOWN) & (batch != UNKNOWN)
    rows = np.flatnonzero(by_place)
    record, there = active_there(stays, container[rows], batch[rows], day[rows])
    stay[rows[record]] = there
    alone = (named == UNKNOWN) & (batch == UNKNOWN)
    rows = np.flatnonzero(alone)
    record, _ = active_there(stays, container[rows], None, day[rows])
    has_any = np.zeros(len(frame), dtype=np.bool_)
    has_any[rows[record]] = True

    reason = first_reason(
        len(frame),
        {
            "no amount": np.isnan(amount),
            "negative feed": amount < 0,
            "no date": day == UNKNOWN,
            "in the future": day > parameters.horizon_day,
            "assignment is missing or rejected": (named != UNKNOWN) & (stay < 0),
            "no assignment is active in the container": (by_place & (stay < 0))
            | (alone & ~has_any),
            "before the assignment began": stays.begins_after(stay, day),
            "on the departure day, which has no state": (stay >= 0)
            & (day == take(stays.departure_day, stay, UNKNOWN))
            & (day != UNKNOWN),
            "after the assignment ended": (stay >= 0) & (day > take(stays.last_day, stay, 0)),
        },
    )
    good = np.array([text is None for text in reason], dtype=np.bool_)
    own, shared = good & ~alone, good & alone
    feed = Feed(
        stay=stay[own],
        day=day[own],
        amount_kg=amount[own],
        container_id=container[shared],
        container_day=day[shared],
        container_kg=amount[shared],
    )
    return feed, rejected(
        "inventory_feedingevent", ints(frame, "feeding_event_id")[~good], reason[~good]
    )


def feed_per_state(feed: Feed, stays: Stays, days: Days, states: GrowthStates) -> RealArray:
    """Return the feed of each assignment and day, in kg; NaN where no event is recorded.

    Feed of a container alone is shared by the biomass of the assignments active there: yesterday's,
    `N(d-1) W(d-1)`, or, of one that had none, what arrives; equally where all have none.
    float64 [states].
    """
    kg = np.zeros(len(days))
    has_feed = np.zeros(len(days), dtype=np.bool_)
    row = days.row(feed.stay, feed.day)
    known = row >= 0
    np.add.at(kg, row[known], feed.amount_kg[known])
    has_feed[row[known]] = True

    if len(feed.container_id):
        event, stay = active_there(stays, feed.container_id, None, feed.container_day)
        row = days.row(stay, feed.container_day[event])
        event, row = event[row >= 0], row[row >= 0]
        present = states.yesterday_count[row] * np.nan_to_num(states.yesterday_weight_g[row])
        arriving = np.nan_to_num(states.arrived_mass_g[row])
        share = np.where(present > 0, present, arriving)
        sums = np.bincount(event, weights=share, minlength=len(feed.container_id))
        share = np.where(sums[event] > 0, share, 1.0)
        sums = np.bincount(event, weights=share, minlength=len(feed.container_id))
        np.add.at(kg, row, feed.container_kg[event] * share / sums[event])
        has_feed[row] = True
    return np.where(has_feed, kg, np.nan)


def gain_kg(held: IntArray, died: IntArray, mixed_g: RealArray, modelled_g: RealArray) -> RealArray:
    """Return the day's growth less the weight of the dead, in kg.

    `((N_stay + arrived) * (W_model - W*) - died * W_model) / 1000`: without movements and without
    the jump at an anchor.

    Parameters
    ----------
    held : int64 [n]
        `N_stay + arrived` [fish].
    died : int64 [n]
        Deaths of the day [fish].
    mixed_g : float64 [n]
        W*, the mean weight before the day's growth [g].
    modelled_g : float64 [n]
        W_model, the mean weight after it, before an anchor [g].

    Returns
    -------
    float64 [n]
        Gain [kg]; negative where more died than grew.

    """
    return np.asarray((held * (modelled_g - mixed_g) - died * modelled_g) / 1000.0)


def feed_conversion(feed: RealArray, gain: RealArray, parameters: Parameters) -> RealArray:
    """Return kg of feed per kg of gain, at most `fcr_cap`; NaN where there is not enough of either.

    Only where feed is above 0 and gain above `min_gain_kg_for_fcr` (1 kg).

    Parameters
    ----------
    feed : float64 [n]
        Feed given [kg], NaN where none is recorded.
    gain : float64 [n]
        Gain [kg].
    parameters : Parameters
        `fcr_cap` and `min_gain_kg_for_fcr` of the run.

    Returns
    -------
    float64 [n]
        Observed feed conversion ratio [-].

    """
    enough = (feed > 0) & (gain > parameters.min_gain_kg_for_fcr)
    ratio = np.where(enough, feed, np.nan) / np.where(enough, gain, 1.0)
    return np.minimum(ratio, parameters.fcr_cap)
