"""The filter of the smoothed series, and how its surprises follow from the factors of growth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from anchorline.calibration.design import Design
from anchorline.reference.tables import IntArray, RealArray


@dataclass(frozen=True)
class Innovations:
    """One entry per node: what was observed, and what was expected of it.

    ``observed_root`` y, ``expected_root`` m- [g^(1/3)] where all factors are 1; ``variance`` S of
    `y - m-` [g^(2/3)]; ``effect`` [N, K] by how much m- rises per unit of each factor.
    """

    observed_root: RealArray
    expected_root: RealArray
    variance: RealArray
    effect: RealArray

    @property
    def surprise(self) -> RealArray:
        """`y - m-` [g^(1/3)]."""
        return self.observed_root - self.expected_root


def innovations(design: Design, process_noise: float, sample_bias: float) -> Innovations:
    """Filter the observations of every stay forward, sources before those they lead to.

    The filter of `int_weight_filter` (growth model, section 10). From one node to the next, over
    s degree-days and the drift g:
    `m- = m + g; P- = P + q s; K = P-/(P- + R); m = m- + K (y - m-); P = (1 - K) P-`.
    It is linear: with the factors f, growth e of each, `m-(f) = m- + c (f - 1)`, where c goes the
    way of m, without what is observed: `c = c + e` from node to node, and `c = (1 - K) c` at each.

    Parameters
    ----------
    design : Design
        Nodes, measurements, stays and what they begin with.
    process_noise : float
        q [g^(2/3) per °C d], above 0.
    sample_bias : float
        b [share], above 0: `R = (y^2 / 9) (CV^2 / n (1 - n/N) + b^2)`.

    Returns
    -------
    Innovations
        One entry per node.

    """
    observed_root, observed_variance = _observations(design, sample_bias)
    nodes, factors = design.effect.shape
    expected = np.zeros(nodes)
    variance = np.zeros(nodes)
    effect = np.zeros((nodes, factors))
    filtered_variance = np.zeros(nodes)
    start_variance = design.outside_variance.copy()
    for number in range(int(design.generation.max(initial=-1)) + 1):
        of_generation = design.generation == number
        _hand_over(design, of_generation, start_variance, filtered_variance, process_noise)
        stays = np.flatnonzero(of_generation & (design.count > 0))
        root, spread = design.start_root[stays], start_variance[stays]
        rise = design.start_effect[stays]
        for index in range(int(design.count[stays].max(initial=0))):
            goes_on = design.count[stays] > index
            stays, rise = stays[goes_on], rise[goes_on]
            root, spread = root[goes_on], spread[goes_on]
            at = design.first[stays] + index
            root = root + design.drift[at]
            spread = spread + process_noise * design.degree_days[at]
            rise = rise + design.effect[at]
            total = spread + observed_variance[at]
            gain = spread / total
            expected[at], variance[at], effect[at] = root, total, rise
            root = root + gain * (observed_root[at] - root)
            spread = (1 - gain) * spread
            rise = (1 - gain)[:, None] * rise
            filtered_variance[at] = spread
    return Innovations(observed_root, expected, variance, effect)


def _observations(design: Design, sample_bias: float) -> tuple[RealArray, RealArray]:
    """Return root and variance of each node: several measurements by their inverse variances."""
    variance = design.root**2 / 9.0 * (design.relative_variance + sample_bias**2)
    nodes = len(design.stay)
    weight = np.bincount(design.node, weights=1.0 / variance, minlength=nodes)
    total = np.bincount(design.node, weights=design.root / variance, minlength=nodes)
    return total / weight, 1.0 / weight


def _hand_over(
    design: Design,
    of_generation: np.ndarray,
    start_variance: RealArray,
    filtered_variance: RealArray,
    process_noise: float,
) -> None:
    """Add to the start variance of some stays the shares of their sources, which are filtered."""
    here = of_generation[design.arrives_at]
    source: IntArray = design.source[here]
    node: IntArray = design.source_node[here]
    last = np.where(node < 0, start_variance[source], np.append(filtered_variance, 0.0)[node])
    brought = last + process_noise * design.source_degree_days[here]
    np.add.at(start_variance, design.arrives_at[here], design.fish_share[here] * brought)
