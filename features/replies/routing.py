"""What to do about a reply: next action, how urgent it is beside others, and whether a person has to see it, and why.

The model gives the next action that the words ask for. What is known about the sender (tier of the account, rank) may turn
an automatic answer into a person's; a person is also asked where the model is unsure, whatever the action.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from features.replies.understanding import Understood

_VALUES: Final[Mapping[str, float]] = {
    "enterprise": 1.0,
    "strategic": 1.0,
    "key": 1.0,
    "vip": 1.0,
    "a": 1.0,
    "1": 1.0,
    "tier1": 1.0,
    "gold": 1.0,
    "mid": 0.7,
    "midmarket": 0.7,
    "b": 0.7,
    "2": 0.7,
    "tier2": 0.7,
    "silver": 0.7,
}
"""Value of an account by its tier, in lower case without blanks, dashes and underscores; others 0.5."""
_OTHER_VALUE: Final = 0.5
_HIGH_VALUE: Final = 1.0
_URGENCIES: Final[Mapping[str, float]] = {"low": 0.3, "medium": 0.6, "high": 0.85, "urgent": 1.0}
_INTENTS: Final[Mapping[str, float]] = {
    "meeting_request": 1.0,
    "interested": 0.9,
    "question": 0.85,
    "referral": 0.75,
    "objection": 0.7,
    "unsubscribe": 0.5,
    "not_now": 0.4,
    "not_interested": 0.25,
    "out_of_office": 0.1,
}
"""How much a reply of an intent loses by waiting: a meeting is gone tomorrow, an absence waits for its end."""
_ANGRY_PRIORITY: Final = 0.9
_ANGRY: Final = -0.7
"""Sentiment at or below which a person should answer, or at least know (-1 is hostile)."""

_RANK: Final = re.compile(
    r"\b(?:c[efiostrm]o|chief [a-z]+(?: [a-z]+)? officer|president|founder|co-?founder|owner|managing director|"
    r"vorstand\w*|geschäftsführ\w+|inhaber\w*|pdg|dg|direct(?:eur|rice) général\w*|gérant\w*|director[a]? general|"
    r"amministrat(?:ore|rice) delegat[oa]|titolare|diretor[a]? geral|algemeen directeur|bestuurder|"
    r"prezes\w*|dyrektor generaln\w+|verkställande direktör|vd)\b|代表取締役|社長|总经理|總經理|董事长|首席\w{1,3}官",
    re.IGNORECASE,
)
_LEGAL: Final = re.compile(
    r"\b(?:lawyers?|attorneys?|solicitors?|legal (?:action|department|team|counsel)|sue you|lawsuit|cease and desist|"
    r"gdpr (?:complaint|request|violation|breach)|avg-klacht|anwalt\w*|rechtsanw\w+|abmahnung\w*|unterlassung\w*|"
    r"avocat\w*|mise en demeure|plainte|cnil|abogad\w+|demanda judicial|denunciar\w*|aepd|"
    r"advogad\w+|processo judicial|avvocat\w+|diffida|garante (?:della )?privacy|advocaat|juridisch\w*|prawnik\w*|uodo|"
    r"advokat\w*|datainspektionen|integritetsskyddsmyndigheten|data protection (?:authority|officer))\b|"
    r"弁護士|法的|律师|律師|法务|法律",
    re.IGNORECASE,
)
_SECURITY: Final = re.compile(
    r"\b(?:gdpr|dsgvo|rgpd|lgpd|rodo|soc ?2|iso ?27001|penetration test\w*|pen-?tests?|"
    r"security (?:review|questionnaire|audit|team)|data processing agreement|dpa|auftragsverarbeitung\w*|"
    r"sous-traitance des données|verwerkersovereenkomst)\b",
    re.IGNORECASE,
)
_NEVER_REVIEWED: Final = frozenset({"mark_closed", "add_to_nurture"})


@dataclass(frozen=True, slots=True)
class Account:
    """What is known about the sender's account: its tier and the contact's persona, as the campaign names them."""

    tier: str | None = None
    persona: str | None = None


@dataclass(frozen=True, slots=True)
class Routed:
    """What to do: `priority` is 0..1 and sorts replies; `reasons` say in words why a person should see it, none if not."""

    next_action: str
    priority: float
    reasons: tuple[str, ...]

    @property
    def needs_human(self) -> bool:
        """Whether a person has to see it."""
        return bool(self.reasons)


_NOTHING_KNOWN: Final = Account()


def route(found: Understood, account: Account = _NOTHING_KNOWN) -> Routed:
    """The next action, the priority, and the reasons for a person to look, of a reply as it was understood."""
    if found.machine is not None or found.intent == "out_of_office":
        unsure = ("unsure",) if found.is_unsure else ()
        return Routed(found.next_action, priority("out_of_office", "low", account), unsure)
    concerns = _concerns(found, account)
    action = found.next_action
    if action == "auto_respond" and concerns - {"unsure"}:
        action = "human_review"
    reasons: list[str] = [name for name in _ORDER if name in concerns]
    if action == "human_review" and not concerns - {"unsure"}:
        reasons.append("the reply asks for a person's judgement")
    if action in _NEVER_REVIEWED:  # what is closed or put off needs nobody, unless it threatens or may be misread
        reasons = [name for name in reasons if name in {"legal", "angry", "unsure"}]
    rank = priority(found.intent, found.urgency_level, account)
    return Routed(action, max(rank, _ANGRY_PRIORITY) if concerns & {"legal", "angry"} else rank, tuple(reasons))


def priority(intent: str, urgency: str, account: Account = _NOTHING_KNOWN) -> float:
    """Value of the account times urgency times what the intent loses by waiting, 0..1, to three digits."""
    return round(_value(account.tier) * _URGENCIES.get(urgency, 0.6) * _INTENTS.get(intent, 0.5), 3)


_ORDER: Final = ("legal", "angry", "security", "executive", "high-value account", "referral", "objection", "unsure")


def _concerns(found: Understood, account: Account) -> set[str]:
    """Why a person may have to see it."""
    words = found.cleaned.written
    rank = f"{found.cleaned.signature}\n{account.persona or ''}"
    told = {
        "legal": bool(_LEGAL.search(words)),
        "angry": found.sentiment_score <= _ANGRY,
        "security": bool(_SECURITY.search(words)),
        "executive": bool(_RANK.search(rank)),
        "high-value account": _value(account.tier) >= _HIGH_VALUE,
        "referral": found.intent == "referral",
        "objection": found.intent == "objection",
        "unsure": found.is_unsure,
    }
    return {name for name, is_so in told.items() if is_so}


def _value(tier: str | None) -> float:
    return _VALUES.get(re.sub(r"[\s_-]", "", tier or "").lower(), _OTHER_VALUE)
