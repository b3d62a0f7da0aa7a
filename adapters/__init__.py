"""One file per provider with `verify` and `parse`, pure and replayable over recorded requests; one visible registry.

A new provider is a module of the shape of `adapters.contract.Adapter` and one line in `REGISTRY`; the shared laws of
`tests/test_adapters.py` then hold for it too.
"""

from collections.abc import Mapping
from typing import Final

from adapters import brevo, mailersend, mailgun, mailjet, mandrill, postmark, resend, sendgrid, ses, sparkpost
from adapters.contract import Adapter, Parsed, ProofSettings, Rejected

__all__ = ["REGISTRY", "Adapter", "Parsed", "ProofSettings", "Rejected"]

REGISTRY: Final[Mapping[str, Adapter]] = {
    "sendgrid": sendgrid,
    "mailgun": mailgun,
    "postmark": postmark,
    "ses": ses,
    "sparkpost": sparkpost,
    "resend": resend,
    "brevo": brevo,
    "mailjet": mailjet,
    "mandrill": mandrill,
    "mailersend": mailersend,
}
