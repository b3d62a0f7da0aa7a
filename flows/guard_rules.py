"""The guard's rules as the settings want them, and which scopes each watches."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files

from control.scopes import parse_scope
from features.guard import Guard
from features.guard_admission import Admission, Scope, Special
from features.guard_counts import SCOPE_KINDS
from features.guard_watch import OUTCOMES_OF
from features.tolerances import DEFAULT_RULES, PROVIDER_LIMITS, Rule
from outpulse.settings import GuardSettings
from schemas.failures import SettingsError

RULES = (*DEFAULT_RULES, *PROVIDER_LIMITS)


def guard_of(settings: GuardSettings) -> Guard:
    """A guard that has seen nothing.

    Raises:
        SettingsError: a rule or a scope that does not exist.
    """
    return Guard(
        rules_of(settings),
        settings.alpha,
        probation_after_hours=settings.probation_after_hours,
        admission=Admission(receivers(), specials_of(settings)),
    )


def check_rules(settings: GuardSettings) -> None:
    """Refuses settings with which no guard can be made.

    Raises:
        SettingsError: a rule or a scope that does not exist.
    """
    rules_of(settings)
    specials_of(settings)


def rules_of(settings: GuardSettings) -> list[Rule]:
    """The default rules and the providers' limits as the settings change them.

    Raises:
        SettingsError: a name that is no rule's.
    """
    names = [rule.name for rule in RULES]
    unknown = sorted({*settings.off, *settings.tolerances} - set(names))
    if unknown:
        raise SettingsError(f"[guard] names the rule {unknown[0]!r}, valid are {', '.join(names)}")
    return [
        replace(rule, tolerance=settings.tolerances.get(rule.name, rule.tolerance))
        for rule in RULES
        if rule.name not in settings.off
    ]


def specials_of(settings: GuardSettings) -> list[Special]:
    """The tolerances that are set for single scopes.

    Raises:
        SettingsError: a scope or a rule that cannot have one.
    """
    # A provider's limit is not ours to change for a scope, and a collapse is told from a scope's own past.
    valid = [rule.name for rule in DEFAULT_RULES if rule.name in OUTCOMES_OF]
    found: dict[tuple[str, Scope], Special] = {}
    for text, tolerances in settings.scopes.items():
        try:
            scope = parse_scope(text)
        except SettingsError as error:
            raise SettingsError(f"[guard.scopes] names {error}") from None
        if scope.kind not in SCOPE_KINDS:
            raise SettingsError(f"[guard.scopes] names {text!r}, valid are campaigns, senders and recipients' domains")
        for rule, tolerance in tolerances.items():
            if rule not in valid:
                raise SettingsError(f"[guard.scopes.{text!r}] names the rule {rule!r}, valid are {', '.join(valid)}")
            one = Special(rule, Scope(scope.kind, scope.values), tolerance)
            found.setdefault((rule, one.scope), one)  # the same scope may be written in two ways
    return list(found.values())


@cache
def receivers() -> Mapping[str, str]:
    """The mailbox provider of each recipients' domain whose limits are known, from `data/mailbox_providers.csv`."""
    with files("data").joinpath("mailbox_providers.csv").open(encoding="utf-8") as file:
        return {row["domain"]: row["receiver"] for row in csv.DictReader(file)}
