"""What a person has to do at each provider: where the URL goes, which secret protects it, which events to tick.

Facts are from the pages that each adapter's module names.
"""

from collections.abc import Mapping
from typing import Final

import msgspec


class Guide(msgspec.Struct, frozen=True):
    """`secrets` are the settings of `[providers.NAME]` of which one at least is needed; `ours` is how our keys travel."""

    title: str
    where: str
    secrets: tuple[str, ...]
    how: str
    events: tuple[str, ...]
    ours: str
    inbound: str = ""


_UNSIGNED: Final = (
    "nothing is signed: put credentials into the URL (https://USER:PASSWORD@HOST/…) and the same USER:PASSWORD here"
)

GUIDES: Final[Mapping[str, Guide]] = {
    "sendgrid": Guide(
        "SendGrid (Twilio)",
        "Settings > Mail Settings > Event Webhooks",
        ("public_keys",),
        "switch on Signature Verification in the webhook's security features and copy the Verification Key",
        (
            "Processed",
            "Deferred",
            "Delivered",
            "Bounced",
            "Dropped",
            "Opened",
            "Clicked",
            "Spam Reports",
            "Unsubscribes",
            "Group Unsubscribes",
        ),
        "custom_args of the message",
        "Settings > Inbound Parse; its own key goes to inbound_public_keys",
    ),
    "mailgun": Guide(
        "Mailgun (Sinch)",
        "Sending > Webhooks",
        ("signing_keys",),
        "copy the HTTP webhook signing key of the account (not an API key)",
        (
            "accepted",
            "delivered",
            "temporary_fail",
            "permanent_fail",
            "opened",
            "clicked",
            "complained",
            "unsubscribed",
        ),
        "v: variables (user-variables) of the message",
        "Receiving > Routes, action forward to the inbound URL",
    ),
    "postmark": Guide(
        "Postmark",
        "Servers > your server > your stream > Webhooks",
        ("basic_auth", "headers"),
        f"{_UNSIGNED}, or add a custom header there and under headers",
        ("Delivery", "Bounce", "Spam complaint", "Open", "Link click", "Subscription change"),
        "Metadata of the message",
        "Inbound stream > Settings > Webhook",
    ),
    "ses": Guide(
        "Amazon SES through SNS",
        "SES: configuration set > event destination > SNS topic; SNS: subscription HTTPS, without raw message delivery",
        ("topic_arns",),
        "list the ARN of the topic; the subscription is then confirmed by itself",
        (
            "Send",
            "Reject",
            "Delivery",
            "Bounce",
            "Complaint",
            "Open",
            "Click",
            "Rendering failure",
            "Delivery delay",
            "Subscription",
        ),
        "message tags",
        "receipt rule with an SNS action, encoding Base64",
    ),
    "sparkpost": Guide(
        "SparkPost (Bird)",
        "Configuration > Webhooks",
        ("basic_auth", "bearer_tokens", "headers"),
        f"{_UNSIGNED}; OAuth 2 and custom headers work too",
        (
            "Injection",
            "Delivery",
            "Delay",
            "Bounce",
            "Out of band",
            "Policy rejection",
            "Generation failure",
            "Generation rejection",
            "Spam complaint",
            "Open",
            "Initial open",
            "Click",
            "List unsubscribe",
            "Link unsubscribe",
        ),
        "metadata of the recipient (rcpt_meta)",
        "relay webhook to the inbound URL",
    ),
    "resend": Guide(
        "Resend",
        "Webhooks > Add webhook",
        ("signing_secrets",),
        "copy the signing secret of the webhook (whsec_…)",
        (
            "email.scheduled",
            "email.sent",
            "email.delivered",
            "email.delivery_delayed",
            "email.bounced",
            "email.complained",
            "email.opened",
            "email.clicked",
            "email.failed",
            "email.suppressed",
            "email.received",
        ),
        "tags of the message",
        "email.received tells that a mail came; its text has to be fetched from Resend",
    ),
    "brevo": Guide(
        "Brevo",
        "Transactional > Settings > Webhook",
        ("bearer_tokens", "headers", "basic_auth"),
        "choose token as the method of authentication and put the same token here",
        (
            "Sent",
            "Delivered",
            "Deferred",
            "Soft bounced",
            "Hard bounced",
            "Invalid email",
            "Blocked",
            "Error",
            "Opened",
            "First opening",
            "Clicked",
            "Complaint",
            "Unsubscribed",
        ),
        "header X-Mailin-custom with JSON",
        "inbound parsing webhook to the inbound URL",
    ),
    "mailjet": Guide(
        "Mailjet (Sinch)",
        "Account settings > Event notifications (webhooks), group events",
        ("basic_auth",),
        _UNSIGNED,
        ("sent", "open", "click", "bounce", "blocked", "spam", "unsub"),
        "EventPayload with JSON, CustomID for the delivery alone",
        "Parse API route to the inbound URL",
    ),
    "mandrill": Guide(
        "Mandrill (Mailchimp Transactional)",
        "Settings > Webhooks",
        ("webhook_keys",),
        "copy the webhook's key, and set url to the webhook's URL exactly as it stands there",
        (
            "Message Is Sent",
            "Delivered",
            "Delayed",
            "Soft-Bounced",
            "Bounced",
            "Rejected",
            "Opened",
            "Clicked",
            "Marked As Spam",
            "Recipient Unsubscribes",
        ),
        "metadata of the message",
        "Inbound > Routes to the same URL",
    ),
    "mailersend": Guide(
        "MailerSend",
        "Domains > your domain > Webhooks",
        ("signing_secrets",),
        "copy the signing secret of the webhook",
        (
            "activity.sent",
            "activity.delivered",
            "activity.deferred",
            "activity.soft_bounced",
            "activity.hard_bounced",
            "activity.opened (or opened_unique, not both)",
            "activity.clicked (or clicked_unique, not both)",
            "activity.unsubscribed",
            "activity.spam_complaint",
        ),
        "tags such as campaign_id:c-17",
        "Inbound routing; its secret goes to inbound_signing_secrets",
    ),
}
