//! What comes next, while nothing was ever delivered. Pure.

use serde::Serialize;

use super::{Part, PartState, Seen, TenantStatus, feeds::Light, lists};
use crate::deliver::State;

/// One step of a first start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct FirstStep {
    /// Whether it is done.
    pub(in crate::admin) done: bool,
    /// What it is.
    pub(in crate::admin) title: &'static str,
    /// How far it is, or what to do for it.
    pub(in crate::admin) detail: String,
    /// The command to do it with.
    pub(in crate::admin) command: Option<String>,
}

/// The steps; none once content was delivered, or when the ledger was not looked at yet.
pub(super) fn steps(seen: &Seen<'_>, parts: &[Part], tenants: &[TenantStatus]) -> Vec<FirstStep> {
    let feeds = || tenants.iter().flat_map(|tenant| &tenant.feeds);
    let delivered = feeds().any(|feed| {
        feed.last_delivered.is_some() || feed.delivered.iter().any(|contents| *contents > 0)
    });
    let known = seen.looks.weeks.is_some() && seen.looks.traffic.is_some();
    if delivered || !known || seen.draining {
        return Vec::new();
    }
    let found = feeds().any(|feed| feed.last_found.is_some());
    let all = feeds().count();
    let on = feeds().filter(|feed| feed.subscription == Light::On).count();
    let called = feeds().filter(|feed| feed.webhook == Light::On).count();
    let step = |done, title, detail: String| FirstStep { done, title, detail, command: None };
    let command = |words: &[&str]| Some(lists::command(words, seen.file));
    let mut steps = vec![FirstStep {
        command: tenants
            .is_empty()
            .then(|| command(&["consent", "--tenant-of", "admin@customer.example"]))
            .flatten(),
        ..step(
            !tenants.is_empty(),
            "Name the organisations",
            match tenants.len() {
                0 => "No tenant is configured yet. Add a [[tenants]] section to the \
                      configuration, or let an administrator of the organisation consent:"
                    .into(),
                1 => "1 tenant is configured.".into(),
                many => format!("{many} tenants are configured."),
            },
        )
    }];
    let mut observed = seen.observed.iter().flat_map(|tenant| &tenant.subscriptions);
    let by_hand = on < all && observed.any(|observation| !observation.managed);
    steps.push(FirstStep {
        command: by_hand.then(|| command(&["subscriptions", "start"])).flatten(),
        ..step(
            all > 0 && on == all,
            "Subscribe at Microsoft",
            match (on, all) {
                (_, 0) => "The content types of each tenant are subscribed to.".into(),
                _ if by_hand => format!(
                    "{on} of {all} subscriptions are on, and subscriptions.manage is off. This \
                     starts them:"
                ),
                (0, _) => "The service starts every subscription by itself within a minute.".into(),
                _ => format!("{on} of {all} subscriptions are on."),
            },
        )
    });
    if seen.is_called {
        steps.push(step(
            all > 0 && called == all,
            "Let Microsoft call",
            match (called, all) {
                (0, _) => "Microsoft validates the address of the webhook before it notifies; it \
                           has to be reachable from the internet."
                    .into(),
                _ => format!("{called} of {all} webhooks are on."),
            },
        ));
    }
    steps.push(FirstStep {
        command: parts
            .iter()
            .any(|part| part.name == "devo" && part.state != PartState::Ok)
            .then(|| command(&["check"]))
            .flatten(),
        ..step(
            matches!(seen.outlet, State::Connected),
            "Reach Devo",
            match (seen.outlet, parts.iter().find(|part| part.name == "devo")) {
                (State::Connected, _) => "Devo takes records.".into(),
                (State::Connecting, _) | (_, None) => {
                    "Devo is being connected to. This says what may be in the way:".into()
                }
                (_, Some(part)) => format!("Devo: {}. This says what to do:", part.detail),
            },
        )
    });
    steps.push(step(
        false,
        "Receive the first records",
        if found {
            "Content was found and is on its way.".into()
        } else {
            "Microsoft makes the first content of a new subscription available within 12 hours, \
             and of one that was there before within minutes."
                .into()
        },
    ));
    steps
}
