"""When a provider is silent for longer than usual: invented histories of a quarter, healthy and broken."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.arrivals import FILE, KEEP_MINUTES, Arrivals, is_unusual, silent_minutes

DAY = 24 * 60
MONDAY = 20_454 * DAY  # 2026-01-05, in minutes since 1970
QUARTER = 13 * 7 * DAY


def busy(minute: int, chance: random.Random) -> bool:
    """Round the clock, nine minutes of ten."""
    del minute
    return chance.random() < 0.9


def office(minute: int, chance: random.Random, rate: float = 0.5) -> bool:
    """Monday to Friday, 8 to 17 UTC."""
    day, clock = divmod(minute - MONDAY, DAY)
    return day % 7 < 5 and 8 * 60 <= clock < 17 * 60 and chance.random() < rate


def quiet_office(minute: int, chance: random.Random) -> bool:
    """The same with some 16 posts a day."""
    return office(minute, chance, 0.03)


def summer_time(minute: int, chance: random.Random) -> bool:
    """An office whose clocks go an hour ahead in the seventh week, and back in the tenth."""
    week = (minute - MONDAY) // (7 * DAY)
    return office(minute + (60 if 7 <= week < 10 else 0), chance)


def nightly(minute: int, chance: random.Random) -> bool:
    """A batch of half an hour in every night, up to twenty minutes late."""
    day, clock = divmod(minute - MONDAY, DAY)
    late = random.Random(day).randrange(20)
    return 120 + late <= clock < 150 + late and chance.random() < 0.9


def newsletters(minute: int, chance: random.Random) -> bool:
    """Four busy hours on Tuesdays, up to forty minutes late."""
    week, rest = divmod(minute - MONDAY, 7 * DAY)
    late = random.Random(week).randrange(40)
    return rest // DAY == 1 and 600 + late <= rest % DAY < 840 + late and chance.random() < 0.8


def any_day(minute: int, chance: random.Random) -> bool:
    """Four busy hours on any working day of a week."""
    week, rest = divmod(minute - MONDAY, 7 * DAY)
    return rest // DAY == random.Random(week).randrange(5) and 600 <= rest % DAY < 840 and chance.random() < 0.8


SENDERS = [busy, office, quiet_office, summer_time, nightly, newsletters]
Sender = Callable[[int, random.Random], bool]


def history(sender: Sender, minutes: int, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [minute for minute in range(MONDAY, MONDAY + minutes) if sender(minute, chance)]


def findings(active: Sequence[int]) -> list[int]:
    """After which active minutes a silence was found: at the end of a pause it is as long as it gets."""
    pauses = [(place, after - before) for place, (before, after) in enumerate(pairwise(active)) if after - before > 60]
    return [active[at] for at, length in pauses if is_unusual(kept(active[: at + 1]), length - 1)]


def kept(active: Sequence[int]) -> Sequence[int]:
    """What the file still has of it."""
    return [minute for minute in active if minute >= active[-1] - KEEP_MINUTES]


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("sender", SENDERS)
def test_a_healthy_quarter_has_no_finding(sender: Sender, seed: int) -> None:
    assert findings(history(sender, QUARTER, seed)) == []


def test_a_newsletter_on_changing_days_is_found_only_when_its_pause_is_the_longest_so_far() -> None:
    active = history(any_day, QUARTER, 1)
    assert 0 < len(findings(active)) <= 4  # of twelve pauses


def test_a_holiday_is_found_and_later_weeks_are_judged_by_the_others() -> None:
    holiday = range(MONDAY + 42 * DAY, MONDAY + 43 * DAY)  # a Monday
    active = [minute for minute in history(office, QUARTER, 3) if minute not in holiday]

    assert [(minute - MONDAY) // DAY for minute in findings(active)] == [39]  # since the Friday before


@pytest.mark.parametrize(
    ("sender", "hours"), [(busy, 2), (office, 2), (quiet_office, 26), (nightly, 15), (summer_time, 2)]
)
def test_a_provider_that_breaks_on_a_tuesday_noon_is_found(tmp_path: Path, sender: Sender, hours: int) -> None:
    noon = MONDAY + (5 * 7 + 1) * DAY + 12 * 60
    write(tmp_path / FILE, [minute for minute in history(sender, QUARTER, 4) if minute < noon])

    found = next(later for later in range(10, 72 * 60, 10) if silent_minutes(tmp_path / FILE, noon + later))
    assert found <= hours * 60 + 30
    (silence, unusual) = silent_minutes(tmp_path / FILE, noon + found + 300)["brevo"]
    assert found - 10 <= unusual <= silence


def test_nights_and_weekends_of_the_first_weeks_are_no_silence_and_three_days_are(tmp_path: Path) -> None:
    write(tmp_path / FILE, history(office, 5 * DAY, 5))
    friday = MONDAY + 4 * DAY + 17 * 60

    assert silent_minutes(tmp_path / FILE, friday + 63 * 60) == {}
    assert set(silent_minutes(tmp_path / FILE, friday + 73 * 60)) == {"brevo"}


def test_a_provider_that_hardly_ever_sent_is_not_called_silent(tmp_path: Path) -> None:
    write(tmp_path / FILE, [MONDAY, MONDAY + 1000])

    assert silent_minutes(tmp_path / FILE, MONDAY + 30 * DAY) == {}


def test_a_gateway_that_never_ran_has_no_silence(tmp_path: Path) -> None:
    assert silent_minutes(tmp_path / FILE) == {}


def write(path: Path, minutes: list[int]) -> None:
    Arrivals(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE arrivals (minute, provider, outcome, requests)")
        connection.executemany("INSERT INTO arrivals VALUES (?, 'brevo', 'stored', 1)", [(one,) for one in minutes])
