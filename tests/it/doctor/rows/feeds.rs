//! What Microsoft has for us.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation, microsoft::WebhookState},
};

use super::{Row, World, row};
use crate::support::eventually;

pub fn rows() -> Vec<Row> {
    vec![
        row!("auditing that is off", failed subscription,
            ["auditing is not turned on", "tenant does not exist"],
            ["Purview", "24 hours"], |world| {
            world.microsoft().fail(Operation::List, Fault::AuditingOff, u32::MAX);
        }),
        row!("auditing that is fresh", failed content,
            ["auditing", "24 hours"], ["Purview"], |world| {
            world.microsoft().fail(Operation::Content, Fault::AuditingOff, u32::MAX);
        }),
        row!("auditing that is off before the first start", failed content,
            ["auditing is not turned on", "tenant does not exist"],
            ["Purview", "24 hours"], |world| {
            let nothing = Fault::Status { status: 200, headers: Vec::new(), body: "[]".into() };
            world.microsoft().fail(Operation::List, nothing, u32::MAX);
            world.microsoft().fail(Operation::Content, Fault::AuditingOff, u32::MAX);
        }),
        row!("AF10001 although the token has the role", failed subscription,
            ["AF10001"], ["ActivityFeed.Read", "consent"], |world| {
            world.microsoft().fail(Operation::List, Fault::Af(10_001), u32::MAX);
        }),
        row!("401 although the token has the role", failed content,
            ["401"], ["ActivityFeed.Read"], |world| {
            world.microsoft().fail(Operation::Content, Fault::Unauthorized, u32::MAX);
        }),
        row!("a tenant that is throttled", failed subscription,
            ["throttles"], ["fetch.requests_per_minute"], |world| {
            let fault = Fault::Throttled429 { retry_after: Some(Duration::from_secs(60)) };
            world.microsoft().fail(Operation::List, fault, u32::MAX);
        }),
        row!("a proxy that answers HTML with a 502 for the management host", failed subscription,
            ["in its place"], ["proxy"], |world| {
            world.microsoft().fail(Operation::List, Fault::Html(502), u32::MAX);
        }),
        row!("a portal that answers HTML with a 200", failed subscription,
            ["none of the Management Activity API"], ["proxy"], |world| {
            world.microsoft().fail(Operation::List, Fault::Html(200), u32::MAX);
        }),
        row!("a management host that hangs", failed subscription,
            ["did not answer"], ["proxy"], |world| {
            world.set("fetch.timeout", "2s");
            world.microsoft().fail(Operation::List, Fault::Hang, u32::MAX);
        }),
        row!("windows that are refused", failed content, ["AF20030"], ["NTP"], |world| {
            world.microsoft().fail(Operation::Content, Fault::Af(20_030), u32::MAX);
        }),
        row!("content that cannot be fetched", failed content,
            ["Microsoft's side fails"], ["by itself"], |world| {
            world.microsoft().fail(Operation::Blob, Fault::Af(50_000), u32::MAX);
        }),
        row!("a subscription of another system", failed subscription,
            ["another address"], ["client_id", "application of its own"], |world| {
            change_webhook(world, |webhook| webhook.address = "https://siem.example.com/hook".into());
        }),
        row!("an auth id of another system", failed subscription,
            ["another auth id"], ["webhook.previous_auth_id"], |world| {
            change_webhook(world, |webhook| webhook.auth_id = Some("of-another-system".into()));
        }),
        row!("a webhook that Microsoft disabled", failed subscription,
            ["disabled the webhook"], ["public address", "check_interval"], |world| {
            change_webhook(world, |webhook| webhook.state = WebhookState::Disabled);
        }),
        row!("a webhook that expired", failed subscription,
            ["has expired"], ["running service starts it again"], |world| {
            change_webhook(world, |webhook| webhook.state = WebhookState::Expired);
        }),
        row!("a subscription that is disabled", failed subscription,
            ["subscription is disabled"], ["15 minutes"], |world| {
            world.change_each(|subscription, _| subscription.enabled = false);
        }),
        row!("one webhook disabled, four well", failed subscription,
            ["disabled the webhook"], ["public address"], |world| {
            world.microsoft().change_subscription(world.tenant(), ContentType::Dlp, |subscription| {
                subscription.set_webhook_state(WebhookState::Disabled);
            });
        }),
        row!("subscriptions nobody starts", failed subscription,
            ["no webhook"], ["subscriptions.manage"], |world| {
            world.set("subscriptions.manage", "false");
            world.change_each(|subscription, _| subscription.webhook = None);
        }),
        row!("subscriptions that were never started", warning subscription,
            ["no webhook"], ["`run` starts it"], |world| {
            world.change_each(|subscription, _| subscription.webhook = None);
        }),
        row!("notifications that failed", warning notifications,
            ["failed, the last at"], ["balancer's log"],
        |config| config.notification_retries = vec![Duration::from_secs(600)],
        |world| {
            world.microsoft().publish(world.tenant(), ContentType::Exchange, &[r#"{"Id":"2"}"#]);
            eventually("a notification failed", async || {
                world.microsoft().attempts().iter().any(|tried| tried.status != Some(200))
            })
            .await;
        }),
    ]
}

fn change_webhook(
    world: &World,
    change: impl Fn(&mut m365_collector::simulator::microsoft::Webhook),
) {
    world.change_each(|subscription, mut webhook| {
        change(&mut webhook);
        subscription.webhook = Some(webhook);
    });
}
