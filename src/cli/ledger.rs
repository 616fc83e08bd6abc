//! `ledger`: which view is asked for; `ledger status` and `ledger pending` themselves.
//!
//! All of it works beside a running service, but for `ledger copy`.

use std::{
    io::{self, Write},
    num::NonZeroU32,
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    CommandError, Exit, LedgerCommand, Outside, Select, completeness, copy, letters,
    replicas::Replicas, table,
};
use crate::{
    clock::Clock,
    config::Config,
    content::{TenantId, Tenants},
    ledger::{Duty, Filter, Pending, Reader, Status},
};

/// Does what was asked for.
pub(super) async fn execute(
    config: Config,
    command: LedgerCommand,
    outside: &Outside,
) -> Result<Exit, CommandError> {
    match command {
        LedgerCommand::Completeness { select, from, to, offline } => {
            let question = completeness::Question { select, from, to, offline };
            completeness::answer(config, question, outside).await
        }
        LedgerCommand::Copy(command) => copy::run(&config, command, outside).await,
        LedgerCommand::Dead { select, reason, since, limit } => {
            letters::list(&config, &select, reason, since, limit).await
        }
        LedgerCommand::Pending { select, limit } => look_at_pending(&config, &select, limit).await,
        LedgerCommand::Replay { select, reason, ids } => {
            letters::replay(&config, &select, reason, &ids).await
        }
        LedgerCommand::Status { select, replicas } => {
            look_at_status(&config, &select, replicas).await
        }
    }
}

async fn look_at_pending(
    config: &Config,
    select: &Select,
    limit: NonZeroU32,
) -> Result<Exit, CommandError> {
    let filter = filter(select, &config.tenants)?;
    let reader = Reader::open(&config.ledger).await?;
    let now = Clock::system().now();
    let rows = reader.pending(filter, limit.get(), now).await?;
    let rows: Vec<_> = rows.iter().map(|row| pending(row, &config.tenants)).collect();
    let mut output = io::stdout().lock();
    if select.json {
        json(&mut output, &rows)?;
    } else {
        show_pending(&mut output, &rows, now)?;
    }
    Ok(Exit::Success)
}

async fn look_at_status(
    config: &Config,
    select: &Select,
    only_replicas: bool,
) -> Result<Exit, CommandError> {
    let filter = filter(select, &config.tenants)?;
    let reader = Reader::open(&config.ledger).await?;
    let now = Clock::system().now();
    let replicas = Replicas::read(&reader, &config.tenants, now).await?;
    if only_replicas {
        let mut output = io::stdout().lock();
        match select.json {
            true => json(&mut output, &replicas.entries)?,
            false => replicas.show(&mut output, now)?,
        }
        return Ok(Exit::Success);
    }
    let rows = reader.status(now).await?;
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| filter.tenant.is_none_or(|tenant| tenant == row.tenant))
        .filter(|row| filter.content_type.is_none_or(|kind| kind == row.content_type))
        .map(|row| status(row, &replicas, &config.tenants))
        .collect();
    let mut output = io::stdout().lock();
    if select.json {
        json(&mut output, &rows)?;
    } else {
        show_status(&mut output, &rows, now)?;
        // One that shares with nobody does everything.
        if replicas.entries.len() > 1 {
            if !rows.is_empty() {
                writeln!(output)?;
            }
            replicas.show(&mut output, now)?;
        }
    }
    Ok(Exit::Success)
}

/// Finds the tenant a selection names, by name or id.
pub(super) fn tenant(select: &Select, tenants: &Tenants) -> Result<Option<TenantId>, CommandError> {
    let Some(wanted) = &select.tenant else { return Ok(None) };
    let id: Option<TenantId> = wanted.parse().ok();
    let found = tenants.iter().find(|tenant| *tenant.name == **wanted || Some(tenant.id) == id);
    // Content of a tenant that is configured no more can still be looked at by its id.
    match found.map(|tenant| tenant.id).or(id) {
        Some(id) => Ok(Some(id)),
        None => Err(CommandError::UnknownTenant(wanted.clone())),
    }
}

/// Writes rows as one JSON array.
pub(super) fn json(output: &mut impl Write, rows: &[impl Serialize]) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut *output, rows)?;
    writeln!(output)?;
    Ok(())
}

/// The selection as the ledger takes it.
pub(super) fn filter(select: &Select, tenants: &Tenants) -> Result<Filter, CommandError> {
    Ok(Filter { tenant: tenant(select, tenants)?, content_type: select.content_type })
}

/// The configured name, or the id of a tenant that is configured no more.
pub(super) fn name(id: TenantId, tenants: &Tenants) -> String {
    tenants.find(id).map_or_else(|| id.to_string(), |tenant| tenant.name.to_string())
}

#[derive(Debug, Serialize)]
struct StatusRow {
    tenant: String,
    content_type: &'static str,
    waiting: u64,
    leased: u64,
    delivered: u64,
    dead: u64,
    expired: u64,
    records: u64,
    oldest: Option<Timestamp>,
    first_expiry: Option<Timestamp>,
    /// Which replica does this for the tenant.
    sweep: Option<String>,
    subscriptions: Option<String>,
}

fn status(row: &Status, replicas: &Replicas, tenants: &Tenants) -> StatusRow {
    StatusRow {
        tenant: name(row.tenant, tenants),
        content_type: row.content_type.as_str(),
        waiting: row.waiting,
        leased: row.leased,
        delivered: row.delivered,
        dead: row.dead,
        expired: row.expired,
        records: row.records,
        oldest: row.oldest_created,
        first_expiry: row.first_expiry,
        sweep: replicas.holder(Duty::Sweep(row.tenant)),
        subscriptions: replicas.holder(Duty::Subscriptions(row.tenant)),
    }
}

fn show_status(output: &mut impl Write, rows: &[StatusRow], now: Timestamp) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(io::stderr(), "the ledger holds no content yet");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            [
                row.tenant.clone(),
                row.content_type.to_owned(),
                row.waiting.to_string(),
                row.leased.to_string(),
                row.delivered.to_string(),
                row.dead.to_string(),
                row.expired.to_string(),
                row.records.to_string(),
                row.oldest.map_or_else(|| "-".to_owned(), |at| span(at, now)),
                row.first_expiry.map_or_else(|| "-".to_owned(), |at| span(now, at)),
            ]
        })
        .collect();
    let head = [
        "tenant",
        "type",
        "waiting",
        "in work",
        "delivered",
        "dead",
        "expired",
        "records",
        "oldest",
        "expires in",
    ];
    table::write(output, head, &[2, 3, 4, 5, 6, 7, 8, 9], &cells)
}

#[derive(Debug, Serialize)]
struct PendingRow {
    tenant: String,
    content_type: &'static str,
    content_id: String,
    via: &'static str,
    announced: Timestamp,
    created: Timestamp,
    expires: Timestamp,
    attempts: u32,
    due: Timestamp,
    leased: bool,
    reason: Option<&'static str>,
}

fn pending(row: &Pending, tenants: &Tenants) -> PendingRow {
    let content = &row.announcement;
    PendingRow {
        tenant: name(content.tenant, tenants),
        content_type: content.content_type.as_str(),
        content_id: content.id.to_string(),
        via: row.via.as_str(),
        announced: row.announced,
        created: content.created,
        expires: content.expires,
        attempts: row.attempts,
        due: row.due,
        leased: row.leased,
        reason: row.last_reason.map(|reason| reason.as_str()),
    }
}

fn show_pending(output: &mut impl Write, rows: &[PendingRow], now: Timestamp) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(io::stderr(), "nothing waits: everything announced is settled");
    }
    let cells: Vec<_> = rows
        .iter()
        .map(|row| {
            let next = if row.leased {
                "in work".to_owned()
            } else if row.due <= now {
                "now".to_owned()
            } else {
                format!("in {}", span(now, row.due))
            };
            [
                row.tenant.clone(),
                row.content_type.to_owned(),
                span(row.created, now),
                span(now, row.expires),
                row.attempts.to_string(),
                row.reason.unwrap_or("-").to_owned(),
                next,
                row.content_id.clone(),
            ]
        })
        .collect();
    let head =
        ["tenant", "type", "age", "expires in", "failed", "last reason", "next", "content id"];
    table::write(output, head, &[2, 3, 4], &cells)
}

/// A duration in its two largest units, for reading.
pub(super) fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs();
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{seconds}s"),
        (0, 0, _) => format!("{sign}{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{sign}{hours}h {minutes}m"),
        _ => format!("{sign}{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_show_their_two_largest_units() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let spans: Vec<_> =
            [5, 65, 3665, 90_061, -65].iter().map(|&seconds| span(at(0), at(seconds))).collect();
        assert_eq!(spans, ["5s", "1m 5s", "1h 1m", "1d 1h", "-1m 5s"]);
    }
}
