"""The pages and how one gets to them. Started by `outpulse dashboard`, which sets OUTPULSE_HOME."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import streamlit as st

from dashboards import live, look, people
from dashboards.process import Source, source
from schemas.failures import OutpulseError

_ICON: Final = Path(__file__).parent / "icon.svg"  # of our own: Streamlit fetches named icons from elsewhere


class Screen(NamedTuple):
    """A page: its title, the last part of its address, the module with its `draw`, and its icon."""

    title: str
    address: str
    module: str
    icon: str


SCREENS: Final[Mapping[str, Sequence[Screen]]] = {
    "Watch": (
        Screen("Overview", "overview", "overview", "monitoring"),
        Screen("Campaign", "campaign", "campaign", "campaign"),
        Screen("Deliverability", "deliverability", "deliverability", "shield"),
        Screen("Replies", "replies", "replies", "inbox"),
    ),
    "Improve": (
        Screen("Experiments", "experiments", "experiments", "science"),
        Screen("Send times", "send-times", "send_times", "schedule"),
        Screen("Learning", "learning", "learning", "school"),
    ),
    "Run": (
        Screen("Data quality", "data-quality", "quality", "fact_check"),
        Screen("SQL", "sql", "console", "database"),
        Screen("System", "system", "system", "settings_heart"),
    ),
}
"""All pages in the order of the navigation; a module is imported when its page is first opened."""


def pages(home: Source, who: people.Viewer) -> dict[str, list[Any]]:
    """The pages as Streamlit wants them."""
    first = SCREENS["Watch"][0]
    return {
        group: [
            st.Page(
                _drawn(screen, home, who),
                title=screen.title,
                icon=f":material/{screen.icon}:",
                url_path=screen.address,
                default=screen is first,
            )
            for screen in screens
        ]
        for group, screens in SCREENS.items()
    }


def _drawn(screen: Screen, home: Source, who: people.Viewer) -> Callable[[], None]:
    def page() -> None:
        module = importlib.import_module(f"dashboards.screens.{screen.module}")
        live.run(home, who, screen.title, module.draw)

    page.__name__ = screen.module
    return page


def main() -> None:
    """Draws the page that the address names."""
    st.set_page_config(page_title="Outpulse", page_icon=str(_ICON), layout="wide")
    st.html(look.style_html(is_dark=st.context.theme.type == "dark"))
    try:
        home = source()
    except OutpulseError as error:
        st.error(str(error))
        return
    who = people.viewer(home)
    if who is None:
        people.ask_to_log_in()
        return
    if not who.may_look:
        people.turn_away(who)
        return
    found = pages(home, who)
    st.session_state["pages"] = {page.url_path or "overview": page for group in found.values() for page in group}
    chosen = st.navigation(found, expanded=True)
    if who.is_logged_in:
        with st.sidebar:
            st.caption(f"{who.name} · {'operator' if who.may_act else 'viewer'}")
            people.log_out_button()
    chosen.run()


main()
