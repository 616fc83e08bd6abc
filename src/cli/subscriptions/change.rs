//! What became of subscriptions that were started or stopped by hand, in words.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;

use super::{CommandError, Select, json, span, table};
use crate::{
    content::ContentType,
    microsoft::{
        ApiError,
        answer::{Action, Words},
        client::Started,
    },
    subscriptions::CheckError,
};

/// What became of one subscription.
pub(super) struct Done {
    pub(super) outcome: &'static str,
    allowed_at: Option<Timestamp>,
    error: Option<String>,
}

impl Done {
    pub(super) const fn of(outcome: &'static str) -> Self {
        Self { outcome, allowed_at: None, error: None }
    }

    pub(super) fn too_early(until: Timestamp) -> Self {
        Self { allowed_at: Some(whole(until)), ..Self::of("too_early") }
    }

    pub(super) fn failed(error: &CheckError) -> Self {
        Self { error: Some(words(error)), ..Self::of("failed") }
    }
}

pub(super) fn started(result: Result<Started, CheckError>, allowed: Timestamp) -> Done {
    match (result, allowed) {
        (Ok(Started::Now), _) => Done::of("started"),
        (Ok(Started::Already), _) => Done::of("already_enabled"),
        (Err(CheckError::Api(ApiError::Throttled { .. })), allowed) => Done::too_early(allowed),
        (Err(CheckError::Api(error)), _) if error.action() == Some(Action::WebhookRefused) => {
            Done { error: Some(UNREACHABLE.to_owned()), ..Done::of("webhook_refused") }
        }
        (Err(error), _) => Done::failed(&error),
    }
}

/// The first whole second that is not before a moment.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    let up = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    Timestamp::from_second(up).unwrap_or(at)
}

#[derive(Debug, Serialize)]
pub(super) struct Change {
    tenant: String,
    content_type: &'static str,
    /// `started`, `already_enabled`, `kept`, `too_early`, `webhook_refused`, `stopped`, `not_started` or `failed`.
    outcome: &'static str,
    /// What was not as wanted.
    reason: Option<&'static str>,
    /// When the next start is allowed, in whole seconds.
    allowed_at: Option<Timestamp>,
    error: Option<String>,
}

impl Change {
    pub(super) fn new(
        tenant: &str,
        kind: ContentType,
        reason: Option<&'static str>,
        done: Done,
    ) -> Self {
        let Done { outcome, allowed_at, error } = done;
        let tenant = tenant.to_owned();
        Self { tenant, content_type: kind.as_str(), outcome, reason, allowed_at, error }
    }

    fn words(&self, now: Timestamp) -> String {
        match (self.allowed_at, &self.error) {
            (Some(at), _) => {
                format!("Microsoft allows the next start at {at}, in {}", span(now, at))
            }
            (None, Some(_)) => "see below".to_owned(),
            (None, None) => self.reason.unwrap_or("-").to_owned(),
        }
    }
}

pub(super) fn tell(select: &Select, rows: &[Change], now: Timestamp) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    if select.json {
        return json(&mut output, rows);
    }
    if rows.is_empty() {
        return Ok(writeln!(io::stderr(), "nothing to do")?);
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let outcome = row.outcome.replace('_', " ");
            [row.tenant.clone(), row.content_type.to_owned(), outcome, row.words(now)]
        })
        .collect();
    table::write(&mut output, ["tenant", "type", "outcome", "why"], &[], &cells)?;
    explain(rows)
}

/// Each cause once, however many subscriptions it keeps from what was asked for.
fn explain(rows: &[Change]) -> Result<(), CommandError> {
    let mut told: Vec<&str> = Vec::new();
    for row in rows {
        let Some(error) = row.error.as_deref().filter(|error| !told.contains(error)) else {
            continue;
        };
        told.push(error);
        let same = rows.iter().filter(|row| row.error.as_deref() == Some(error)).count();
        let more = match same {
            1 => String::new(),
            _ => format!(" and {} more", same - 1),
        };
        writeln!(io::stderr(), "{}, {}{more}: {error}", row.tenant, row.content_type)?;
    }
    Ok(())
}

/// What is wrong and who has to do what.
pub(super) fn words(error: &CheckError) -> String {
    let remedy = match error {
        CheckError::Api(ApiError::Answered { action, status }) => {
            let Words { cause, remedy } = action.words();
            return format!("Microsoft answered with status {status}: {cause}; {remedy}");
        }
        CheckError::Api(ApiError::Token(error)) => {
            return match error.advice() {
                Some(remedy) => format!("no access token: {error}; {remedy}"),
                None => format!("no access token: {error}"),
            };
        }
        error => error.reason().advice(),
    };
    match remedy {
        Some(remedy) => format!("{error}: {remedy}"),
        None => error.to_string(),
    }
}

const UNREACHABLE: &str = "Microsoft did not get 200 from webhook.address (AF20021); the service \
                           must run and be reachable there from the internet with a certificate \
                           of a public authority";
