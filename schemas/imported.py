"""What people bring from their own lists: contacts, plans of campaigns, and the messages of sequences.

`outpulse import` fills these tables. Ids are kept as given. Columns that no field here takes are kept in `attributes`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import msgspec

from schemas.events import Channel
from schemas.records import Instant, Json, about

ImportedAt = Annotated[
    datetime, msgspec.Meta(tz=True), about("wall clock of the import that last changed the row, UTC")
]
Others = Annotated[Json | None, about("the file's other columns, as an object of texts")]


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One person who may be written to, as the user's list has them."""

    contact_id: Annotated[str, about("the contact's id, as given; what events call contact_id")]
    recipient: Annotated[str | None, about("address, number or profile")] = None
    persona: Annotated[str | None, about("the contact's persona; fills events that name none")] = None
    account_tier: Annotated[str | None, about("tier of the contact's account; fills events that name none")] = None
    timezone: Annotated[str | None, about("IANA name such as Europe/Berlin")] = None
    account_id: Annotated[str | None, about("the contact's account, as given")] = None
    account_value: Annotated[float | None, about("what the account is worth, in the list's currency; 0 or more")] = None
    attributes: Others = None
    imported_at: ImportedAt


class CampaignPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What was planned for one campaign; `campaign_executions` shows it beside what happened."""

    campaign_id: Annotated[str, about("the campaign, as the sender of the messages names it")]
    campaign_strategy_id: Annotated[str | None, about("the user's campaign_strategies, as given")] = None
    launch_date: Annotated[Instant | None, about("planned start, UTC")] = None
    completion_date: Annotated[Instant | None, about("when it ends or ended, UTC")] = None
    total_targets: Annotated[int | None, about("contacts that are to be written to")] = None
    total_steps: Annotated[int | None, about("steps of the sequence")] = None
    sequence_template_id: Annotated[str | None, about("as given")] = None
    cost: Annotated[float | None, about("what the campaign costs in all, in the list's currency; 0 or more")] = None
    execution_settings: Annotated[Json | None, about("throttling, timing, channel preferences, as an object")] = None
    attributes: Others = None
    imported_at: ImportedAt


class CampaignMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The words of one step and variant of one campaign."""

    id: Annotated[str, about("as given, else CAMPAIGN/STEP/VARIANT")]
    campaign_id: Annotated[str, about("the campaign, as the sender of the messages names it")]
    sequence_step: Annotated[str | None, about("the step of the sequence, as text")] = None
    variant: Annotated[str | None, about("the experiment's variant")] = None
    channel: Channel | None = None
    subject: str | None = None
    body: str | None = None
    attributes: Others = None
    imported_at: ImportedAt


IMPORTED: Final[Mapping[str, type[msgspec.Struct]]] = {
    "contacts": Contact,
    "campaign_plans": CampaignPlan,
    "campaign_messaging": CampaignMessage,
}
"""The tables that an import fills, by name; the first column of each names its rows."""
