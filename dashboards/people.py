"""Who looks, and whether they may act: anybody on this machine, or those whom an OpenID provider names.

With `[dashboard] login` Streamlit asks the provider that HOME/dashboard-login.toml names (its section `[auth]`). A person
whose address stands in `[dashboard] operators` may pause, resume and correct, one whom `[dashboard] viewers` takes may look.
All others see nothing: many providers let anybody in who has an account with them.
"""

import getpass
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import streamlit as st

from dashboards.process import Source

ALL: Final = "*"
"""Among viewers: whoever the provider lets in."""
ONLY_LOOKS: Final = "You may look. To pause, resume or correct, have your address added to [dashboard] operators."


@dataclass(frozen=True)
class Viewer:
    """Who looks; `name` stands as `decided_by` and `given_by` under what they do."""

    name: str
    may_act: bool
    is_logged_in: bool = False
    may_look: bool = True


def viewer(source: Source) -> Viewer | None:
    """Who looks; None before they have logged in."""
    chosen = source.settings.dashboard
    if not chosen.login:
        return Viewer(_user_name(), may_act=True)
    if not st.user.get("is_logged_in"):
        return None
    address = _address()
    name = address or str(st.user.get("sub") or "unknown")
    may_act = address in _cleaned(chosen.operators)
    may_look = may_act or _is_viewer(address, _cleaned(chosen.viewers))
    return Viewer(name, may_act=may_act, is_logged_in=True, may_look=may_look)


def _address() -> str | None:
    """The address that the provider vouches for; what it has not verified could be anybody's.

    Source: OpenID Connect Core 1.0, 5.1 and 5.7: `email_verified` is a boolean and may be missing; some providers send text.
    """
    address = str(st.user.get("email") or "").strip().lower()
    is_refuted = str(st.user.get("email_verified", True)).strip().lower() == "false"
    return None if is_refuted or "@" not in address[1:] else address


def _is_viewer(address: str | None, viewers: set[str]) -> bool:
    if ALL in viewers:
        return True
    return address is not None and (address in viewers or "@" + address.rpartition("@")[2] in viewers)


def _cleaned(names: Iterable[str]) -> set[str]:
    return {name.strip().lower() for name in names}


def ask_to_log_in() -> None:
    """The page before the login."""
    st.title("Outpulse")
    st.write("Log in to see the dashboard.")
    st.button("Log in", on_click=st.login, type="primary", key="login")


def turn_away(who: Viewer) -> None:
    """The page of a person who has logged in and may not look."""
    st.title("Outpulse")
    st.write(f"You are logged in as `{who.name}`, and may not look. Have your address added to [dashboard] viewers.")
    log_out_button()


def log_out_button() -> None:
    """Ends the login."""
    st.button("Log out", on_click=st.logout, key="logout")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return f"uid {os.getuid()}"
