"""May a paused scope go on? A small share of its mail is sent, and judged by evidence of its own.

Two fresh bets run on the deliveries of the probation alone: one that the rate is above the tolerance, which pauses again,
and one that it is below, which lifts the probation. What happened before does not count, neither for nor against.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.guard_limit import log_above, log_below
from features.tolerances import PROVIDER_LIMITS

SHARE: Final = 0.05
"""Of a scope's mail that goes out on probation: harm is a twentieth, and evidence comes twenty times slower."""
AGAIN_ALPHA: Final = 0.05
"""Probability at most that a scope at its tolerance or below is paused again; mildly, since it has been harmful before."""
LIFT_ALPHA: Final = 0.05
"""Probability at most that a scope at its tolerance or above is let go. Clean mail needs 77 trials at a tolerance of 5%,
and 1,309 at 0.3%."""
MATURE_HOURS: Final = {
    "bounces": 6.0,  # refused at once as a rule; bounce mails and retried blocks follow within hours
    "failures": 1.0,  # told by the provider before anything is sent
    "complaints": 48.0,  # come when people read, most within two days
    "complaints_early": 48.0,
    "unsubscribes": 48.0,  # as complaints
    **dict.fromkeys(("ses_bounces_review", "ses_bounces_pause"), 6.0),
    **dict.fromkeys((rule.name for rule in PROVIDER_LIMITS if rule.hits == "complained"), 48.0),
}
"""How old a trial is when its silence counts as health, by each rule that can judge a probation: collapses are told from a past
that a small share does not have, and replies are not among the events that the guard reads. Too short lifts too early, too
long only later."""
VERDICTS: Final = ("on", "lift", "again")


def judge(
    hits: ArrayLike, trials: ArrayLike, mature_hits: ArrayLike, mature_trials: ArrayLike, tolerance: float
) -> NDArray[np.int8]:
    """Places in `VERDICTS`, for counts since the probation began; both ends reached is `again`.

    Mature are trials old enough for their outcome to be known (hours for bounces, days for complaints), with their hits:
    silence is no proof of health before. Pausing again needs no such patience.
    """
    again = log_above(hits, trials, tolerance) >= -np.log(AGAIN_ALPHA)
    lift = log_below(mature_hits, mature_trials, tolerance) >= -np.log(LIFT_ALPHA)
    return np.where(again, 2, np.where(lift, 1, 0)).astype(np.int8)
