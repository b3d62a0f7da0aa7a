"""The row of filters. What is chosen stands in the address, so a link keeps it, and it holds on every page."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from dashboards import queries
from dashboards.filters import Filters, Range
from dashboards.process import Source
from dashboards.words import CHANNELS

_ONE_CHANNEL: Final = "Only mail reports deliveries and opens: to compare rates, look at one channel at a time."
ANY: Final = ""
_KEYS: Final = ("range", "channel", "campaigns")
_KEPT: Final = "chosen"


def choose(source: Source, *, campaigns: bool = True) -> Filters:
    """The chosen range, channel and campaigns; mail alone to begin with, as its rates are what people know.

    Raises:
        NoLake: there is nothing to choose from yet.
    """
    names, channels = source.figures("choices", queries.choices)
    _recall()
    with st.container(key="filters"):
        ranges, channel, several = st.columns([1.45, 0.8, 1.9], vertical_alignment="bottom")
    options = [ANY, *(name for name in channels if name is not None)]
    chosen_range = ranges.segmented_control(
        "Time, back from the newest event",
        [r.value for r in Range],
        default=Range.WEEK.value,
        key="range",
        bind="query-params",
        required=True,
        wrap=True,
    )
    chosen_channel = channel.selectbox(
        "Channel",
        options,
        options.index(_first_channel(channels) or ANY),
        format_func=lambda name: CHANNELS.get(name, name),
        key="channel",
        help=_ONE_CHANNEL,
        bind="query-params",
    )
    chosen: tuple[str, ...] = ()
    if campaigns:
        picked = several.multiselect(
            "Campaigns", names, placeholder="All campaigns", key="campaigns", bind="query-params"
        )
        chosen = tuple(picked)
    st.session_state[_KEPT] = {key: st.session_state[key] for key in _KEYS if key in st.session_state}
    return Filters(range=Range(chosen_range or Range.WEEK), channel=chosen_channel or None, campaigns=chosen)


def at_first(source: Source) -> Filters:
    """What is chosen before anybody has chosen.

    Raises:
        LakeError: the lake cannot be read.
    """
    return Filters(channel=_first_channel(source.figures("choices", queries.choices)[1]))


def _first_channel(channels: Sequence[str | None]) -> str | None:
    return "email" if "email" in channels and None not in channels else None


def _recall() -> None:
    """Puts back what was chosen, where the way here lost it: who goes on before a page is drawn whole loses its address."""
    for key, value in st.session_state.get(_KEPT, {}).items():
        if key not in st.session_state and key not in st.query_params:
            st.session_state[key] = value
