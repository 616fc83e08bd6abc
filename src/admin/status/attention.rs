//! What a person has to do, or should know. Pure.
//!
//! One entry for one cause, however many tenants it concerns: an outage of Entra is one thing to
//! look at and not five hundred.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{PartState, Seen, Status, lists};
use crate::{
    deliver::State,
    duties,
    subscriptions::{Step, Why},
};

/// One thing to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::admin) struct Attention {
    /// How bad it is.
    pub(in crate::admin) severity: Severity,
    /// What is the matter.
    pub(in crate::admin) title: String,
    /// What that means.
    pub(in crate::admin) detail: String,
    /// What to do.
    pub(in crate::admin) remedy: Option<String>,
    /// The command that does it, or finds out more.
    pub(in crate::admin) command: Option<String>,
    /// The tenants it concerns, by name; empty: all of the service.
    pub(in crate::admin) tenants: Vec<String>,
}

/// How bad something is. Worse is less, so that it comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::admin) enum Severity {
    /// Somebody has to act, or something will be lost.
    Act,
    /// Worth a look; the service goes on trying.
    Look,
}

pub(super) fn attention(status: &Status, seen: &Seen<'_>) -> Vec<Attention> {
    let mut all = parts(status, seen);
    all.extend(expiring(status));
    all.extend(unreadable(status, seen));
    all.extend(subscriptions(seen));
    all.extend(replicas(status));
    all.extend(certificates(status));
    all.extend(dead_letters(status));
    if !status.first_steps.is_empty() {
        // What is not there yet is one of the steps.
        all.retain(|entry| entry.severity == Severity::Act);
    }
    // Stable: among equals the order of the way from Microsoft to Devo.
    all.sort_by_key(|entry| entry.severity);
    all
}

fn entry(severity: Severity, title: impl Into<String>, detail: impl Into<String>) -> Attention {
    Attention {
        severity,
        title: title.into(),
        detail: detail.into(),
        remedy: None,
        command: None,
        tenants: Vec::new(),
    }
}

/// What concerns the whole service. What Microsoft says is told by tenant.
fn parts(status: &Status, seen: &Seen<'_>) -> Vec<Attention> {
    let mut all = Vec::new();
    for part in &status.parts {
        let severity = match part.state {
            PartState::Ok => continue,
            PartState::Degraded => Severity::Look,
            PartState::Failed => Severity::Act,
        };
        let check = Some(lists::command(&["check"], seen.file));
        all.push(match part.name {
            "webhook" => entry(
                Severity::Look,
                "The service is stopping",
                "It was asked to stop and finishes what it has begun. What is not done then is \
                 done after the next start.",
            ),
            "ledger" => Attention {
                remedy: Some("Make room on its disk, or make it writable.".into()),
                ..entry(severity, "The ledger cannot commit", sentence(&part.detail))
            },
            // At a start, and between two sessions.
            "devo" if matches!(seen.outlet, State::Connecting) => continue,
            "devo" => Attention {
                command: check,
                ..entry(severity, "Devo does not confirm records", sentence(&part.detail))
            },
            _ => continue,
        });
    }
    all
}

/// What will be lost if it goes on waiting.
fn expiring(status: &Status) -> Option<Attention> {
    let near: Vec<_> = status
        .tenants
        .iter()
        .filter(|tenant| tenant.waiting != Some(0))
        .filter_map(|tenant| Some((tenant.expiry_seconds?, &tenant.name)))
        .filter(|(seconds, _)| *seconds < DAY)
        .collect();
    let (first, _) = near.iter().min()?;
    let hours = (first / 3600).max(0);
    let when = match hours {
        0 => "less than an hour".to_owned(),
        1 => "1 hour".into(),
        more => format!("{more} hours"),
    };
    Some(Attention {
        remedy: Some("Mend what keeps it from being delivered; it is named beside this.".into()),
        tenants: near.iter().map(|(_, name)| (*name).clone()).collect(),
        ..entry(
            Severity::Act,
            format!("Content will be lost in {when}"),
            "Microsoft deletes content seven days after it was created, delivered or not.",
        )
    })
}

/// Tenants whose subscriptions could not be looked at, by reason.
fn unreadable(status: &Status, seen: &Seen<'_>) -> Vec<Attention> {
    let mut by_reason: BTreeMap<(&str, Option<&str>), Vec<String>> = BTreeMap::new();
    for tenant in &status.tenants {
        if let Some(problem) = &tenant.problem {
            by_reason.entry((problem, tenant.advice)).or_default().push(tenant.name.clone());
        }
    }
    let told = |((reason, advice), tenants): ((&str, Option<&str>), Vec<String>)| Attention {
        remedy: advice.map(sentence),
        command: advice.map(|_| lists::command(&["check"], seen.file)),
        tenants,
        ..entry(
            if advice.is_some() { Severity::Act } else { Severity::Look },
            format!("Microsoft refuses or does not answer: {}", reason.replace('_', " ")),
            match advice {
                Some(_) => {
                    "The subscriptions cannot be looked at, and content may not be fetched \
                            either."
                }
                None => "The subscriptions cannot be looked at. It is tried again.",
            },
        )
    };
    by_reason.into_iter().map(told).collect()
}

/// Subscriptions that are not as wanted, by what is the matter.
fn subscriptions(seen: &Seen<'_>) -> Vec<Attention> {
    let mut refused: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut by_why: BTreeMap<&str, (Why, Vec<String>)> = BTreeMap::new();
    for tenant in seen.observed {
        for observation in &tenant.subscriptions {
            let feed = format!("{} {}", tenant.name, observation.content_type);
            if let Some(calls) = observation.refused {
                refused.entry(calls.to_string()).or_default().push(feed);
            } else if let Step::Start { why, .. } | Step::Wait { why, .. } = observation.step
                && why != Why::WebhookExpiring
            {
                by_why.entry(why.as_str()).or_insert((why, Vec::new())).1.push(feed);
            }
        }
    }
    let refused = refused.into_iter().map(|(calls, tenants)| Attention {
        remedy: Some(
            "The address of the webhook must be reachable from the internet, with a certificate \
             of a public authority, and answer 200."
                .into(),
        ),
        command: Some(lists::command(&["check"], seen.file)),
        tenants,
        ..entry(
            Severity::Act,
            "Microsoft refuses our webhook (AF20021)",
            sentence(&format!("it did not get 200 from it; {calls}")),
        )
    });
    let others = by_why.into_values().map(|(why, tenants)| Attention {
        tenants,
        command: Some(lists::command(&["subscriptions", "list"], seen.file)),
        ..entry(Severity::Look, title_of(why), detail_of(why))
    });
    refused.chain(others).collect()
}

const fn title_of(why: Why) -> &'static str {
    match why {
        Why::Disabled => "Subscriptions were disabled",
        Why::Missing => "Subscriptions are missing",
        Why::OtherAddress => "Webhooks point to another address",
        Why::OtherAuthId => "Webhooks send another auth id",
        Why::WebhookDisabled => "Microsoft has disabled webhooks",
        Why::WebhookExpired => "Webhooks have expired",
        Why::WebhookExpiring => "Webhooks expire soon",
        Why::WebhookMissing => "Subscriptions have no webhook",
    }
}

const fn detail_of(why: Why) -> &'static str {
    match why {
        Why::Disabled | Why::Missing => {
            "Nothing is announced or listed until they are on. They are started again, unless \
             subscriptions.manage is off."
        }
        _ => {
            "Nothing is lost: the sweep lists what is not announced. They are registered again, \
             unless subscriptions.manage is off."
        }
    }
}

/// Replicas that are not heard of and have not left.
fn replicas(status: &Status) -> Option<Attention> {
    let all = status.replicas.as_deref().unwrap_or_default();
    let silent: Vec<_> =
        all.iter().filter(|replica| replica.state == duties::State::Silent).collect();
    let (first, title) = match silent[..] {
        [] => return None,
        [one] => (one, format!("The replica {} is silent", one.name)),
        [one, ..] => (one, format!("{} replicas are silent", silent.len())),
    };
    Some(Attention {
        remedy: Some("See whether it runs, and whether it reaches the ledger.".into()),
        ..entry(
            Severity::Look,
            title,
            format!("It was last heard of at {:.0}. The others take over what it did.", first.seen),
        )
    })
}

/// Certificates that end soon.
fn certificates(status: &Status) -> Vec<Attention> {
    let near = status.certificates.iter().filter(|certificate| certificate.days < 30);
    let told = near.map(|certificate| Attention {
        remedy: Some(sentence(certificate.kind.remedy())),
        tenants: (!certificate.tenant.is_empty())
            .then(|| certificate.tenant.clone())
            .into_iter()
            .collect(),
        ..entry(
            if certificate.days < 7 { Severity::Act } else { Severity::Look },
            match certificate.days {
                ..0 => format!("{} has expired", noun(certificate.kind.as_str())),
                0 => format!("{} expires today", noun(certificate.kind.as_str())),
                1 => format!("{} expires in 1 day", noun(certificate.kind.as_str())),
                days => format!("{} expires in {days} days", noun(certificate.kind.as_str())),
            },
            format!("It ends at {:.0}.", certificate.expires),
        )
    });
    told.collect()
}

fn noun(kind: &str) -> String {
    match kind {
        "client_certificate" => "The client certificate".into(),
        "devo_certificate" => "The certificate for Devo".into(),
        _ => "The certificate of the webhook".into(),
    }
}

fn dead_letters(status: &Status) -> Option<Attention> {
    let groups = status.dead_letters.as_ref().filter(|groups| !groups.is_empty())?;
    let letters: u64 = groups.iter().map(|group| group.letters).sum();
    let replayable: u64 = groups.iter().map(|group| group.replayable).sum();
    let mut tenants: Vec<_> = groups.iter().map(|group| group.tenant.clone()).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let title = match letters {
        1 => "1 message was given up on".to_owned(),
        many => format!("{many} messages were given up on"),
    };
    let detail = match replayable {
        0 => "Microsoft has deleted the content; the letters are kept for the record.".to_owned(),
        all if all == letters => {
            "Microsoft still has all of it. Mend the cause, then replay.".into()
        }
        some => format!("Microsoft still has {some} of them. Mend the cause, then replay."),
    };
    Some(Attention {
        remedy: Some("Reasons and commands are under Dead letters.".into()),
        tenants,
        ..entry(Severity::Look, title, detail)
    })
}

/// A fragment as it stands in logs, as a sentence.
fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let first = characters.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(characters).collect();
    if !sentence.ends_with(['.', '?', '!']) {
        sentence.push('.');
    }
    sentence
}

const DAY: i64 = 24 * 3600;
