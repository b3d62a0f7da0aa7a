"""Complete events as each provider's documentation shows them, with our own data, for the benchmarks.

`MAKERS[provider](number)` is one event; kinds take turns (deliveries and opens most often), ids, addresses and times are
its own. Names of fields are those of the pages that the adapters' modules name; people and hosts are invented.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.samples import NOW_S

SIZES = {"sendgrid": 1000, "sparkpost": 350, "brevo": 500, "mailjet": 100, "mandrill": 1000}
"""Events a request, where the provider sends batches."""
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0",
)
_TURNS = (0, 1, 2, 3, 0, 1, 4, 3, 0, 1, 2, 3, 0, 1, 5, 3, 0, 1, 4, 3, 6, 1, 2, 7)
"""Which of a provider's eight names comes next: of 24 events 16 on the way, 5 opens, a click, a bounce, a deferral."""


def _turn(number: int) -> int:
    return _TURNS[number % len(_TURNS)]


def _refusal(number: int) -> str:
    """A receiver's words, which name the mail and so are never the same twice."""
    words = "The email account that you tried to reach does not exist. Please try double-checking the address"
    return f"550-5.1.1 {words} {number:x}-20020a05 - gsmtp"


def _at(number: int) -> int:
    return NOW_S - 60 - number % 1800


def _iso(number: int, digits: str = ".123") -> str:
    second = 1800 + 60 * 29 - number % 1700
    return f"2026-01-05T09:{second // 60 % 60:02d}:{second % 60:02d}{digits}Z"


def ours(number: int) -> dict[str, str]:
    """What we attach to every message."""
    return {
        "campaign_id": f"campaign-{number % 17}",
        "contact_id": f"contact-{number}",
        "delivery_id": f"delivery-{number}",
        "sequence_step": str(1 + number % 4),
        "variant": "ab"[number % 2],
        "persona": "head-of-it",
        "account_tier": "mid",
    }


def _agent(number: int) -> str:
    return _AGENTS[number // 7 % len(_AGENTS)]


def _link(number: int) -> str:
    return f"https://brightloom.example/offer?person={number}&utm_source=mail"


def _sendgrid(number: int) -> dict[str, Any]:
    names = ("processed", "delivered", "open", "delivered", "open", "click", "bounce", "deferred")
    name = names[_turn(number)]
    made: dict[str, Any] = {
        "email": f"person{number}@example.com",
        "timestamp": _at(number),
        "smtp-id": f"<14c5d75ce93.dfd.{number}@ismtpd-555>",
        "event": name,
        "category": ["outbound", "autumn"],
        "sg_event_id": f"ZGVsaXZlcmVkLTAtMTI{number:020d}",
        "sg_message_id": f"14c5d75ce93{number:010d}.filter0001.16648.5515E0B88.0",
        **ours(number),
    }
    if name == "delivered":
        made |= {"response": "250 2.0.0 OK 1767607200 a1-20020a05 gsmtp", "ip": "203.0.113.9", "tls": 1}
    elif name in {"open", "click"}:
        made |= {"useragent": _agent(number), "ip": "203.0.113.9", "sg_content_type": "html"}
        made |= {"sg_machine_open": False} if name == "open" else {}
        made |= {"url": _link(number), "url_offset": {"index": 0, "type": "html"}} if name == "click" else {}
    elif name == "bounce":
        made |= {"type": "bounce", "status": "5.1.1", "reason": _refusal(number), "ip": "203.0.113.9", "tls": 1}
        made |= {"bounce_classification": "Invalid Address"}
    elif name == "deferred":
        made |= {"response": "451 4.7.1 try again later", "attempt": "5", "tls": 0}
    return made


def _sparkpost(number: int) -> dict[str, Any]:
    names = ("injection", "delivery", "initial_open", "delivery", "open", "click", "bounce", "delay")
    name = names[_turn(number)]
    made: dict[str, Any] = {
        "type": name,
        "campaign_id": "autumn",
        "customer_id": "17",
        "event_id": f"92356927693813{number:06d}",
        "friendly_from": "us@brightloom.example",
        "injection_time": "2026-01-05T09:00:00.000Z",
        "ip_pool": "outbound",
        "message_id": f"000443ee14578172{number:08d}",
        "msg_from": "bounces@mail.brightloom.example",
        "msg_size": "1337",
        "rcpt_meta": ours(number),
        "rcpt_tags": ["outbound", "autumn"],
        "rcpt_to": f"person{number}@example.com",
        "raw_rcpt_to": f"Person{number}@example.com",
        "recipient_domain": "example.com",
        "routing_domain": "example.com",
        "sending_ip": "203.0.113.9",
        "subaccount_id": "101",
        "subject": "A question on your stack",
        "template_id": "templ-1234",
        "timestamp": str(_at(number)),
        "transmission_id": f"65832150921904{number:06d}",
    }
    if name in {"initial_open", "open", "click"}:
        made |= {"user_agent": _agent(number), "ip_address": "203.0.113.9"}
        made["user_agent_parsed"] = {"agent_family": "Chrome", "os_family": "Windows", "is_mobile": False}
        made["user_agent_parsed"] |= {"is_proxy": False, "is_prefetched": False}
        made["geo_ip"] = {"country": "DE", "region": "BE", "city": "Berlin", "latitude": 52.5, "longitude": 13.4}
        made |= {"target_link_url": _link(number), "target_link_name": "offer"} if name == "click" else {}
    elif name in {"bounce", "delay"}:
        made |= {"bounce_class": "10", "error_code": "550", "raw_reason": _refusal(number), "reason": _refusal(number)}
    elif name == "delivery":
        made |= {"queue_time": "12", "outbound_tls": "1", "num_retries": "0", "recv_method": "esmtp"}
    group = "track_event" if name in {"initial_open", "open", "click"} else "message_event"
    return {"msys": {group: made}}


def _brevo(number: int) -> dict[str, Any]:
    names = ("request", "delivered", "unique_opened", "delivered", "opened", "click", "hard_bounce", "proxy_open")
    name = names[_turn(number)]
    made: dict[str, Any] = {
        "event": name,
        "email": f"person{number}@example.com",
        "id": 4711,
        "date": "2026-01-05 10:59:00",
        "ts": _at(number),
        "ts_event": _at(number),
        "ts_epoch": _at(number) * 1000 + 123,
        "message-id": f"<2026010510.{number:012d}@smtp-relay.example>",
        "subject": "A question on your stack",
        "X-Mailin-custom": json.dumps(ours(number)),
        "sender_email": "us@brightloom.example",
        "sending_ip": "203.0.113.9",
        "template_id": 22,
        "tag": '["outbound"]',
        "tags": ["outbound"],
    }
    if "open" in name or name == "click":
        made |= {"user_agent": _agent(number), "ip": "203.0.113.9", "device_used": "DESKTOP"}
        made |= {"link": _link(number)} if name == "click" else {}
    elif name == "hard_bounce":
        made["reason"] = _refusal(number)
    return made


def _mailjet(number: int) -> dict[str, Any]:
    names = ("sent", "sent", "open", "sent", "open", "click", "bounce", "unsub")
    name = names[_turn(number)]
    made: dict[str, Any] = {
        "event": name,
        "time": _at(number),
        "MessageID": 19421777835146490 + number,
        "Message_GUID": f"1ab23cd4-e567-8901-2345-{number:012d}",
        "email": f"person{number}@example.com",
        "mj_campaign_id": 7257,
        "mj_contact_id": 4 + number,
        "customcampaign": "",
        "CustomID": f"delivery-{number}",
        "Payload": json.dumps(ours(number)),
    }
    if name == "sent":
        made |= {"mj_message_id": str(19421777835146490 + number), "smtp_reply": "sent (250 2.0.0 OK 4fa6 gsmtp)"}
    elif name in {"open", "click"}:
        made |= {"ip": "203.0.113.9", "geo": "DE", "agent": _agent(number)}
        made |= {"url": _link(number)} if name == "click" else {}
    elif name == "bounce":
        made |= {"blocked": False, "hard_bounce": True, "error_related_to": "recipient", "error": "user unknown"}
        made |= {"comment": _refusal(number)}
    else:
        made |= {"mj_list_id": 1, "ip": "203.0.113.9", "geo": "DE", "agent": _agent(number)}
    return made


def _mandrill(number: int) -> dict[str, Any]:
    names = ("send", "delivered", "open", "send", "open", "click", "hard_bounce", "deferral")
    name = names[_turn(number)]
    message: dict[str, Any] = {
        "ts": _at(number) - 60,
        "subject": "A question on your stack",
        "email": f"person{number}@example.com",
        "sender": "us@brightloom.example",
        "tags": ["outbound", "autumn"],
        "metadata": ours(number),
        "opens": [],
        "clicks": [],
        "state": "sent",
        "subaccount": None,
        "template": None,
        "resends": [],
        "_id": f"exampleaaaaaaaaaaaaaaa{number:010d}",
        "_version": "exampleaaaaaaaaaaaaaaa",
    }
    made: dict[str, Any] = {"event": name, "_id": message["_id"], "ts": _at(number), "msg": message}
    if name in {"open", "click"}:
        message["opens"] = [{"ts": _at(number), "ip": "203.0.113.9", "location": "Berlin, DE", "ua": "Chrome/Windows"}]
        made |= {"user_agent": _agent(number), "ip": "203.0.113.9", "user_agent_parsed": _PARSED_AGENT}
        made["location"] = {"country_short": "DE", "country": "Germany", "region": "Berlin", "latitude": 52.5}
        made |= {"url": _link(number)} if name == "click" else {}
    elif name in {"hard_bounce", "deferral"}:
        message |= {"bounce_description": "bad_mailbox", "bgtools_code": 10, "diag": f"smtp;{_refusal(number)}"}
        message["smtp_events"] = [{"ts": _at(number), "type": "deferred", "diag": "451 4.3.5 later"}]
    return made


_PARSED_AGENT = {
    "type": "Browser",
    "ua_family": "Chrome",
    "ua_name": "Chrome 126.0",
    "ua_version": "126.0",
    "ua_url": "https://browser.example",
    "os_family": "Windows",
    "os_name": "Windows 10",
    "mobile": False,
}


def _mailgun(number: int) -> dict[str, Any]:
    names = ("accepted", "delivered", "opened", "delivered", "opened", "clicked", "failed", "failed")
    name = names[_turn(number)]
    headers = {"message-id": f"20260105.{number}.1@brightloom.example"}
    made: dict[str, Any] = {
        "id": f"CPgfbmQMTCKtHW6uIWtuVe{number:08d}",
        "timestamp": _at(number) + 0.8294,
        "log-level": "info",
        "event": name,
        "recipient": f"person{number}@example.com",
        "recipient-domain": "example.com",
        "tags": ["outbound", "autumn"],
        "campaigns": [],
        "user-variables": ours(number),
        "message": {"headers": headers},
    }
    if name in {"opened", "clicked"}:
        made |= {"ip": "203.0.113.9", "geolocation": {"country": "DE", "region": "BE", "city": "Berlin"}}
        made["client-info"] = {"client-name": "Chrome", "client-os": "Windows", "client-type": "browser"}
        made["client-info"] |= {"user-agent": _agent(number), "device-type": "desktop", "bot": ""}
        made |= {"url": _link(number)} if name == "clicked" else {}
        return made
    headers |= {"to": f"person{number}@example.com", "from": "Us <us@brightloom.example>", "subject": "A question"}
    made["message"] |= {"attachments": [], "size": 1337}
    made |= {"flags": {"is-routed": False, "is-authenticated": True, "is-system-test": False, "is-test-mode": False}}
    made["envelope"] = {"transport": "smtp", "sender": "us@brightloom.example", "sending-ip": "203.0.113.9"}
    made["storage"] = {"url": f"https://storage.example/v3/messages/{number}", "key": f"message_key_{number}"}
    if name in {"delivered", "failed"}:
        made["delivery-status"] = {"tls": True, "mx-host": "mx.example.com", "code": 250, "description": ""}
        made["delivery-status"] |= {"session-seconds": 0.433, "attempt-no": 1, "message": "OK", "utf8": True}
    if name == "failed":
        severity = "permanent" if _turn(number) == 6 else "temporary"
        made |= {"severity": severity, "reason": "bounce" if severity == "permanent" else "generic"}
        made["delivery-status"] |= {"code": 550, "enhanced-code": "5.1.1", "message": _refusal(number)}
    return made


def _postmark(number: int) -> dict[str, Any]:
    name = ("Delivery", "Open", "Delivery", "Open", "Delivery", "Click", "Bounce", "SpamComplaint")[_turn(number)]
    made: dict[str, Any] = {
        "RecordType": name,
        "ServerID": 23,
        "MessageStream": "outbound",
        "MessageID": f"00000000-0000-0000-0000-{number:012d}",
        "Tag": "autumn",
        "Metadata": ours(number),
    }
    if name == "Delivery":
        made |= {"Recipient": f"person{number}@example.com", "Details": "Test delivery webhook details"}
        made["DeliveredAt"] = _iso(number, "")
    elif name in {"Open", "Click"}:
        made |= {"Recipient": f"person{number}@example.com", "ReceivedAt": _iso(number, ""), "Platform": "Desktop"}
        made |= {"UserAgent": _agent(number), "Client": {"Name": "Chrome 126", "Company": "Chrome", "Family": "Chrome"}}
        made["OS"] = {"Name": "Windows 10", "Company": "Windows", "Family": "Windows"}
        made["Geo"] = {"IP": "203.0.113.9", "City": "Berlin", "Country": "Germany", "CountryISOCode": "DE"}
        made |= {"FirstOpen": True} if name == "Open" else {"OriginalLink": _link(number), "ClickLocation": "HTML"}
    else:
        kind = "HardBounce" if name == "Bounce" else "SpamComplaint"
        made |= {
            "ID": 692560173 + number,
            "Type": kind,
            "TypeCode": 1,
            "Name": "Hard bounce",
            "Details": _refusal(number),
        }
        made |= {
            "Description": "The server was unable to deliver your message (unknown user).",
            "Subject": "A question",
        }
        made |= {"Email": f"person{number}@example.com", "From": "us@brightloom.example", "BouncedAt": _iso(number, "")}
        made |= {"DumpAvailable": True, "Inactive": True, "CanActivate": True, "Content": ""}
    return made


def _resend(number: int) -> dict[str, Any]:
    names = ("sent", "delivered", "opened", "delivered", "opened", "clicked", "bounced", "delivery_delayed")
    name = names[_turn(number)]
    data: dict[str, Any] = {
        "broadcast_id": "8b146471-e88e-4322-86af-016cd36fd216",
        "created_at": "2026-01-05T09:00:00.000Z",
        "email_id": f"56761188-7520-42d8-8898-{number:012d}",
        "from": "Us <us@brightloom.example>",
        "to": [f"person{number}@example.com"],
        "subject": "A question on your stack",
        "tags": ours(number),
    }
    if name == "clicked":
        data["click"] = {"ipAddress": "203.0.113.9", "link": _link(number), "userAgent": _agent(number)}
        data["click"]["timestamp"] = _iso(number)
    elif name == "bounced":
        data["bounce"] = {
            "message": _refusal(number),
            "type": "Permanent",
            "subType": "General",
            "diagnosticCode": [_refusal(number)],
        }
    return {"type": f"email.{name}", "created_at": _iso(number), "data": data}


def _mailersend(number: int) -> dict[str, Any]:
    names = ("sent", "delivered", "opened", "delivered", "opened", "clicked", "hard_bounced", "deferred")
    name = names[_turn(number)]
    morph: dict[str, Any] | None = None
    if name in {"opened", "clicked"}:
        morph = {"object": name, "id": f"62fb66bef54a{number:012d}", "created_at": _iso(number, ".000000")}
        morph |= {"ip": "203.0.113.9"} | ({"url": _link(number)} if name == "clicked" else {})
    elif name == "hard_bounced":
        morph = {
            "object": "recipient_bounce",
            "reason": _refusal(number),
            "readable_reason": "The mailbox does not exist",
        }
    recipient = {"object": "recipient", "email": f"person{number}@example.com", "created_at": _iso(number, ".000000")}
    email = {
        "object": "email",
        "id": f"62f114f8165f{number:012d}",
        "created_at": _iso(number, ".000000"),
        "from": "us@brightloom.example",
        "subject": "A question on your stack",
        "status": name,
        "tags": [f"{key}:{value}" for key, value in list(ours(number).items())[:5]],
        "message": {"object": "message", "id": f"62f114f7165f{number:012d}", "created_at": _iso(number, ".000000")},
        "recipient": recipient,
    }
    data = {
        "object": "activity",
        "id": f"62f114f8165f{number:012d}",
        "type": name,
        "created_at": _iso(number, ".000000"),
        "email": email,
        "morph": morph,
        "template_id": "0z76k5jg0o3yeg2d",
    }
    return {
        "type": f"activity.{name}",
        "domain_id": "yv69oxl5kl785kw2",
        "created_at": _iso(number, ".000000"),
        "webhook_id": "2351ndgwr4zqx8ko",
        "url": "https://hooks.brightloom.example/webhooks/mailersend",
        "data": data,
    }


def _ses(number: int) -> dict[str, Any]:
    names = ("Send", "Delivery", "Open", "Delivery", "Open", "Click", "Bounce", "DeliveryDelay")
    name = names[_turn(number)]
    address = f"person{number}@example.com"
    common = {
        "from": ["Us <us@brightloom.example>"],
        "to": [address],
        "messageId": f"0100015d-{number:012d}",
        "subject": "A question on your stack",
    }
    headers = [("From", common["from"][0]), ("To", address), ("Subject", common["subject"]), ("MIME-Version", "1.0")]
    tags = {"ses:configuration-set": ["outbound"], "ses:source-ip": ["203.0.113.9"], "ses:caller-identity": ["app"]}
    mail = {
        "timestamp": "2026-01-05T09:00:00.000Z",
        "source": "us@brightloom.example",
        "sourceArn": "arn:aws:ses:eu-west-1:111122223333:identity/brightloom.example",
        "sendingAccountId": "111122223333",
        "messageId": common["messageId"],
        "destination": [address],
        "headersTruncated": False,
        "headers": [{"name": key, "value": value} for key, value in headers],
        "commonHeaders": common,
        "tags": tags | {key: [value] for key, value in ours(number).items()},
    }
    about: dict[str, Any] = {"timestamp": _iso(number)}
    if name == "Delivery":
        about |= {"processingTimeMillis": 546, "recipients": [address], "smtpResponse": "250 2.6.0 Message received"}
        about["reportingMTA"] = "mta.example.com"
    elif name in {"Open", "Click"}:
        about |= {"ipAddress": "203.0.113.9", "userAgent": _agent(number)}
        about |= {"link": _link(number), "linkTags": {"offer": ["autumn"]}} if name == "Click" else {}
    elif name == "Bounce":
        refused = {
            "emailAddress": address,
            "action": "failed",
            "status": "5.1.1",
            "diagnosticCode": f"smtp; {_refusal(number)}",
        }
        about |= {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": [refused]}
        about |= {"feedbackId": f"0100015d-feedback-{number}", "reportingMTA": "dsn; a8-70.smtp-out.example"}
    elif name == "DeliveryDelay":
        about |= {"delayType": "TransientCommunicationFailure", "expirationTime": "2026-01-05T20:00:00.000Z"}
        about["delayedRecipients"] = [
            {"emailAddress": address, "status": "4.4.1", "diagnosticCode": "smtp; 421 4.4.1 x"}
        ]
    kind = {"Send": "send", "DeliveryDelay": "deliveryDelay"}.get(name, name.lower())
    return {"_id": f"sns-{number:032d}", "eventType": name, "mail": mail, kind: about if name != "Send" else {}}


MAKERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "sendgrid": _sendgrid,
    "sparkpost": _sparkpost,
    "brevo": _brevo,
    "mailjet": _mailjet,
    "mandrill": _mandrill,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "resend": _resend,
    "mailersend": _mailersend,
    "ses": _ses,
}
