//! `ledger dead` and `ledger replay`: what was given up on, and another chance for it.

use std::{
    collections::HashSet,
    io::{self, Write},
    num::NonZeroU32,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    CommandError, Exit, Select,
    ledger::{filter, json, name, span},
    table,
};
use crate::{
    clock::Clock,
    config::Config,
    content::{ContentId, Tenants},
    ledger::{DeadLetter, DeadLetters, Outcome, Replayed, Wanted},
    reason::Reason,
};

/// Lists dead letters.
pub(super) async fn list(
    config: &Config,
    select: &Select,
    reason: Option<Reason>,
    since: Option<Timestamp>,
    limit: Option<NonZeroU32>,
) -> Result<Exit, CommandError> {
    let wanted = Wanted { filter: filter(select, &config.tenants)?, reason, since };
    let letters = DeadLetters::open(&config.ledger).await?;
    let found = letters.list(wanted, limit.map(NonZeroU32::get)).await?;
    let rows: Vec<_> = found.iter().map(|letter| Row::new(letter, &config.tenants)).collect();
    let mut output = io::stdout().lock();
    if select.json {
        json(&mut output, &rows)?;
    } else {
        show(&mut output, &rows, Clock::system().now())?;
    }
    Ok(Exit::Success)
}

/// Makes dead content due again. Fails when Microsoft has deleted some of it.
pub(super) async fn replay(
    config: &Config,
    select: &Select,
    reason: Option<Reason>,
    ids: &[ContentId],
) -> Result<Exit, CommandError> {
    let wanted = Wanted { filter: filter(select, &config.tenants)?, reason, since: None };
    let ids: HashSet<_> = ids.iter().map(ContentId::canonical).collect();
    let mut letters = DeadLetters::open(&config.ledger).await?;
    let replayed = letters.replay(wanted, &ids, Clock::system().now()).await?;
    let rows: Vec<_> =
        replayed.iter().map(|replayed| ReplayedRow::new(replayed, &config.tenants)).collect();
    let mut output = io::stdout().lock();
    if select.json {
        json(&mut output, &rows)?;
    } else {
        show_replayed(&mut output, &rows)?;
    }
    let all = replayed.iter().all(|replayed| replayed.outcome != Outcome::Deleted);
    Ok(if all { Exit::Success } else { Exit::Failed })
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    content_type: &'static str,
    content_id: String,
    stage: &'static str,
    reason: &'static str,
    attempts: u32,
    created: Timestamp,
    expires: Timestamp,
    /// When it was given up on.
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_index: Option<u64>,
}

impl Row {
    fn new(letter: &DeadLetter, tenants: &Tenants) -> Self {
        let content = &letter.announcement;
        // Only another version of the program knows a reason that this one does not.
        Self {
            tenant: name(content.tenant, tenants),
            content_type: content.content_type.as_str(),
            content_id: content.id.to_string(),
            stage: letter.reason.map_or("unknown", |reason| reason.stage().as_str()),
            reason: letter.reason.map_or("unknown", Reason::as_str),
            attempts: letter.attempts,
            created: content.created,
            expires: content.expires,
            at: letter.at,
            record_index: letter.record_index,
        }
    }
}

fn show(output: &mut impl Write, rows: &[Row], now: Timestamp) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(io::stderr(), "nothing is dead");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.tenant.clone(),
                row.content_type.to_owned(),
                format!("{} ago", span(row.at, now)),
                row.stage.to_owned(),
                row.reason.to_owned(),
                row.record_index.map_or_else(|| "all".to_owned(), |index| format!("#{index}")),
                row.attempts.to_string(),
                if row.expires <= now { "expired".to_owned() } else { span(now, row.expires) },
                row.content_id.clone(),
            ]
        })
        .collect();
    let head = [
        "tenant",
        "type",
        "given up",
        "stage",
        "reason",
        "record",
        "failed",
        "expires in",
        "content id",
    ];
    table::write(output, head, &[2, 5, 6, 7], &cells)
}

#[derive(Debug, Serialize)]
struct ReplayedRow {
    tenant: String,
    content_type: &'static str,
    content_id: String,
    stage: &'static str,
    reason: &'static str,
    /// How many dead letters the content had.
    letters: u64,
    expires: Timestamp,
    replayed: bool,
    outcome: &'static str,
}

impl ReplayedRow {
    fn new(replayed: &Replayed, tenants: &Tenants) -> Self {
        let Row { tenant, content_type, content_id, stage, reason, expires, .. } =
            Row::new(&replayed.letter, tenants);
        let (due, outcome) = match replayed.outcome {
            Outcome::Deleted => (false, "expired at Microsoft"),
            Outcome::Due => (true, "due"),
            Outcome::Forgotten => (false, "no longer in the ledger"),
            Outcome::Waiting => (true, "due already"),
        };
        let letters = replayed.letters;
        Self {
            tenant,
            content_type,
            content_id,
            stage,
            reason,
            letters,
            expires,
            replayed: due,
            outcome,
        }
    }
}

fn show_replayed(output: &mut impl Write, rows: &[ReplayedRow]) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(io::stderr(), "nothing of what is selected is dead");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.tenant.clone(),
                row.content_type.to_owned(),
                row.reason.to_owned(),
                row.letters.to_string(),
                row.outcome.to_owned(),
                row.content_id.clone(),
            ]
        })
        .collect();
    let head = ["tenant", "type", "was dead for", "letters", "now", "content id"];
    table::write(output, head, &[3], &cells)
}
