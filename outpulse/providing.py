"""`outpulse provider NAME`: what to paste and tick at a provider, and which setting its secret goes to."""

from typing import Any

import click

from adapters.guides import GUIDES, Guide
from outpulse.home import Home
from outpulse.printing import print_json
from outpulse.settings import ProviderSettings
from schemas.failures import OutpulseError


def run_provider(home: Home, name: str, *, as_json: bool) -> int:
    """Prints the guide of one provider."""
    guide = GUIDES.get(name)
    if guide is None:
        raise OutpulseError(f"unknown provider {name!r}; valid are {', '.join(sorted(GUIDES))}")
    row = _row(home, name, guide)
    if as_json:
        print_json([row])
    else:
        shown = {key: ", ".join(value) if isinstance(value, list) else value for key, value in row.items()}
        width = max(map(len, shown))
        for key, value in shown.items():  # no table: what is to be pasted must not be broken into lines
            if value != "":
                click.echo(f"{key:<{width}}  {value}")
    return 0


def _row(home: Home, name: str, guide: Guide) -> dict[str, Any]:
    own = home.settings.providers.get(name) or ProviderSettings()
    base = base_url(home)
    secrets = [f"[providers.{name}] {secret}" for secret in guide.secrets]
    variables = [f"OUTPULSE_PROVIDERS__{name.upper()}__{secret.upper()}" for secret in guide.secrets]
    return {
        "provider": guide.title,
        "url": f"{base}/webhooks/{name}",
        "where": guide.where,
        "secret_settings": secrets,
        "secret_variables": variables,
        "secret": guide.how,
        "secret_is_set": any(getattr(own, secret) for secret in guide.secrets) or own.insecure,
        "events": list(guide.events),
        "our_keys_travel_as": guide.ours,
        "inbound_url": f"{base}/inbound/{name}",
        "inbound": guide.inbound,
    }


def base_url(home: Home) -> str:
    """Where providers reach the gateway: `[gateway] public_url`, else the address it listens on."""
    chosen = home.settings.gateway
    return chosen.public_url.rstrip("/") or f"http://{chosen.host}:{chosen.port}"
