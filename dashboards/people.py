"""Who looks, and whether they may act: anybody on this machine, or those whom an OpenID provider names.

With `[dashboard] login` Streamlit asks the provider that HOME/dashboard-login.toml names (its section `[auth]`). A person
whose address stands in `[dashboard] operators` may pause, resume and correct; all others may look.
"""

import getpass
import os
from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboards.process import Source

ONLY_LOOKS: Final = "You may look. To pause, resume or correct, have your address added to [dashboard] operators."


@dataclass(frozen=True)
class Viewer:
    """Who looks; `name` stands as `decided_by` and `given_by` under what they do."""

    name: str
    may_act: bool
    is_logged_in: bool = False


def viewer(source: Source) -> Viewer | None:
    """Who looks; None before they have logged in."""
    chosen = source.settings.dashboard
    if not chosen.login:
        return Viewer(_user_name(), may_act=True)
    if not st.user.get("is_logged_in"):
        return None
    address = str(st.user.get("email") or st.user.get("sub") or "unknown").strip().lower()
    operators = {name.strip().lower() for name in chosen.operators}
    # An address that the provider has not verified could be anybody's.
    is_operator = address in operators and st.user.get("email_verified") is not False
    return Viewer(address, may_act=is_operator, is_logged_in=True)


def ask_to_log_in() -> None:
    """The page before the login."""
    st.title("Outpulse")
    st.write("Log in to see the dashboard.")
    st.button("Log in", on_click=st.login, type="primary", key="login")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"
