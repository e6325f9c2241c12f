"""What the best possible player of a bandit expects, by dynamic programming. NumPy alone, float64.

Arms pay 1 or nothing and their chances are uniform in [0, 1] beforehand, unless said otherwise. Values are
sums of rewards. Regret is what knowing the chances would have added, in expectation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import numpy as np

Score = Callable[[Any, Any, Any], Any]  # wins, losses of arms, pulls so far; the higher, the rather


def two_arms(pulls: int, score: Score | None = None) -> float:
    """The value of `pulls` pulls of two independent arms for the Bayes-optimal player.

    With `score`, for the player that pulls the arm with the higher `score(wins, losses, time)`, either of
    them where they are equal. The counts of both arms are all that matters, about pulls^4 / 24 of them. The
    regret is 2/3 * pulls less the value. ValueError if `pulls` is negative.
    """
    if pulls < 0:
        raise ValueError(f"pulls: at least 0, not {pulls}")
    after = np.zeros((pulls + 1,) * 3)
    for time in range(pulls - 1, -1, -1):
        # Pulls of the first arm, its wins, the second arm's wins; what cannot be is computed and never read.
        first, won, other = np.ogrid[: time + 1, : time + 1, : time + 1]
        second = time - first
        value = []
        for wins, count, up, same in (
            (won, first, after[1:, 1:, :-1], after[1:, :-1, :-1]),
            (other, second, after[:-1, :-1, 1:], after[:-1, :-1, :-1]),
        ):
            chance = (wins + 1) / (count + 2)
            value.append(chance * (1 + up) + (1 - chance) * same)
        if score is None:
            after = np.maximum(*value)
            continue
        # Always of one shape, as every new shape makes JAX compile once more.
        hits, misses = np.indices((pulls + 1,) * 2, np.float32)
        scores = np.asarray(score(hits, misses, time))
        one, two = (
            scores[wins, np.maximum(count - wins, 0)] for wins, count in ((won, first), (other, second))
        )
        share = np.where(one == two, 0.5, one > two)
        after = share * value[0] + (1 - share) * value[1]
    return float(after[0, 0, 0])


def dependent(pulls: int, better: float | None = None) -> float:
    """The Bayes-optimal value of two arms whose chances sum to 1: Wang's dependent arms.

    Uniform, or `better` and 1 - `better`, either way round. A pull tells the same of both arms, whichever is
    pulled, so that nothing is gained by exploring: the arm that is better by all that is known is best.
    """
    value, likely = 0.0, np.ones((2, 1))
    for time in range(pulls):
        hits = np.arange(time + 1)
        if better is None:
            mean = (hits + 1) / (time + 2)
            value += float(np.maximum(mean, 1 - mean).mean())
            continue
        chances = np.array([[better], [1 - better]])
        gains = np.stack([(chances * likely).sum(0), ((1 - chances) * likely).sum(0)]) / 2
        value += float(gains.max(0).sum())
        likely = np.pad(likely * chances, ((0, 0), (1, 0))) + np.pad(likely * (1 - chances), ((0, 0), (0, 1)))
    return value


def informative(pulls: int) -> Fraction:
    """The optimal value of Wang's eleven arms, of which the last tells the target's number."""

    @cache
    def best(left: int, candidates: frozenset[int]) -> Fraction:
        if not left:
            return Fraction(0)
        count = len(candidates)
        if count == 1:
            return Fraction(5 * left)
        values = [Fraction(sum(candidates), 10 * count) + 5 * (left - 1)]
        for arm in candidates:
            missed = 1 + best(left - 1, candidates - {arm})
            values.append(Fraction(5 * left + (count - 1) * missed, count))
        return max(values)

    return best(pulls, frozenset(range(1, 11)))


def gittins(wins: Sequence[int], losses: Sequence[int], left: int, discount: float = 1.0) -> np.ndarray:
    """The Gittins index f64[K] of arms that won and lost i[K] times, with `left` pulls to go.

    The sure payment per pull that is as good as the arm, by bisection to 1e-9 (Gittins 1979, "Bandit
    Processes and Dynamic Allocation Indices"). For the index without an end let discount ** left be small.
    ValueError if `left` is below 1.
    """
    if left < 1:
        raise ValueError(f"left: at least 1, not {left}")
    won_before, lost = np.asarray(wins, float)[:, None], np.asarray(losses, float)[:, None]
    low, high = np.zeros_like(lost), np.ones_like(lost)
    pay = np.cumsum(discount ** np.arange(left))  # of 1 a pull, for 1 to `left` pulls
    for _ in range(30):
        sure = (low + high) / 2
        after = np.zeros((len(lost), left + 1))
        for time in range(left - 1, -1, -1):
            won = np.arange(time + 1)
            chance = (won_before + won + 1) / (won_before + lost + time + 2)
            going = chance * (1 + discount * after[:, 1:]) + (1 - chance) * discount * after[:, :-1]
            after = np.maximum(going, sure * pay[left - time - 1])
        worth = going > sure * pay[left - 1]  # type: ignore[possibly-undefined]
        low, high = np.where(worth, sure, low), np.where(worth, high, sure)
    return ((low + high) / 2)[:, 0]


@lru_cache(maxsize=8)
def gittins_table(pulls: int, levels: int = 400) -> np.ndarray:
    """Undiscounted Gittins indices f32[pulls + 1, pulls, pulls]: by pulls left, wins and losses.

    All states at once for each of `levels` sure payments, interpolated where the arm stops being better;
    off by about 1e-5. Memory grows with pulls^3: 4 MB for 100.
    """
    table = np.zeros((pulls + 1, pulls, pulls), np.float32)
    wins, losses = np.ogrid[:pulls, :pulls]
    chance = (wins + 1) / (wins + losses + 2)
    before = np.zeros_like(table)
    for sure in np.linspace(0, 1, levels + 1):
        after = np.zeros((pulls + 1, pulls + 1))
        for left in range(1, pulls + 1):
            going = chance * (1 + after[1:, :-1]) + (1 - chance) * after[:-1, 1:]
            gain = (going - sure * left).astype(np.float32)
            crossed = (before[left] > 1e-9) & (gain <= 1e-9)
            drop = np.where(crossed, before[left] - gain, 1)
            index = sure - (1 - before[left] / drop) / levels
            table[left] = np.where(crossed, index, table[left])
            before[left] = gain
            after[:-1, :-1] = np.maximum(going, sure * left)
    return table
