"""Which scopes a rule watches: those of a receiver or provider, and those whose tolerance somebody has set.

A tolerance that is set for a scope holds for it and for all scopes inside it; of several that fit, that of the narrowest
scope holds, of equals the first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from features.guard_counts import SCOPE_KINDS
from features.tolerances import Rule

OF_PROVIDER: Final = frozenset({"all", "campaign", "sender"})
"""Kinds of scopes that a provider's limit is watched in: it judges an account, whoever receives."""


class Scope(NamedTuple):
    """A kind of scope and its values."""

    kind: str
    values: tuple[str, ...]


class Special(NamedTuple):
    """A tolerance that somebody has set for one rule in one scope."""

    rule: str
    scope: Scope
    tolerance: float


class Admission:
    """Decides for new scopes. `receivers` maps a recipient's domain to its mailbox provider."""

    def __init__(self, receivers: Mapping[str, str], specials: Sequence[Special] = ()) -> None:
        self._receivers = receivers
        self._specials = specials

    def versions(self, rule: Rule) -> list[Rule]:
        """A rule, and that with each tolerance that is set for a scope."""
        own = [one for one in self._specials if one.rule == rule.name]
        return [
            rule,
            *(replace(rule, tolerance=one.tolerance, scope=(one.scope.kind, one.scope.values)) for one in own),
        ]

    def admits(self, rule: Rule, kind: str, values: tuple[str, ...]) -> bool:
        """Whether a version of a rule watches a scope."""
        if rule.receiver is not None:
            own_values = dict(zip(SCOPE_KINDS[kind], values, strict=True))
            return self._receivers.get(own_values.get("recipient_domain", "")) == rule.receiver
        if rule.provider is not None:
            return kind in OF_PROVIDER
        return self._special(rule.name, kind, values) == rule.scope

    def version(self, rule: Rule, kind: str, values: tuple[str, ...]) -> Rule:
        """A rule with the tolerance that it has in a scope."""
        scope = self._special(rule.name, kind, values)
        return next(one for one in self.versions(rule) if one.scope == scope) if scope else rule

    def asks(self, rule: Rule) -> bool:
        """Whether a rule does not watch all scopes."""
        return (
            rule.receiver is not None or rule.provider is not None or any(s.rule == rule.name for s in self._specials)
        )

    def _special(self, rule: str, kind: str, values: tuple[str, ...]) -> Scope | None:
        fitting = [one.scope for one in self._specials if one.rule == rule and is_inside(kind, values, one.scope)]
        return max(fitting, key=lambda scope: len(scope.values), default=None)


def is_inside(kind: str, values: tuple[str, ...], outer: Scope) -> bool:
    """Whether every message of a scope is one of the outer scope's."""
    mine = dict(zip(SCOPE_KINDS[kind], values, strict=True))
    return all(mine.get(name) == value for name, value in zip(SCOPE_KINDS[outer.kind], outer.values, strict=True))
