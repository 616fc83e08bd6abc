//! The replicas in `ledger status`: who is there, with which duties and which part of the budget.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use jiff::Timestamp;

use super::{
    ledger::{name, span},
    table,
};
use crate::{
    content::Tenants,
    duties::{Entry, roll},
    ledger::{Duty, LedgerError, Reader},
};

/// Who is there, and who holds what by its name.
pub(super) struct Replicas {
    pub(super) entries: Vec<Entry>,
    holders: HashMap<Duty, String>,
}

impl Replicas {
    pub(super) async fn read(
        reader: &Reader,
        tenants: &Tenants,
        now: Timestamp,
    ) -> Result<Self, LedgerError> {
        let (replicas, duties) = (reader.replicas().await?, reader.duties().await?);
        let entries = roll(&replicas, &duties, |tenant| name(tenant, tenants), now);
        let label = |holder| {
            let at = replicas.iter().position(|replica| Some(replica.id) == holder)?;
            Some(entries[at].name.clone())
        };
        let holders = duties.iter().filter_map(|held| Some((held.duty, label(held.holder)?)));
        Ok(Self { holders: holders.collect(), entries })
    }

    /// Who holds a duty.
    pub(super) fn holder(&self, duty: Duty) -> Option<String> {
        self.holders.get(&duty).cloned()
    }

    pub(super) fn show(&self, output: &mut impl Write, now: Timestamp) -> io::Result<()> {
        let cells: Vec<_> = self
            .entries
            .iter()
            .map(|entry| {
                [
                    entry.name.clone(),
                    entry.state.as_str().to_owned(),
                    entry.version.clone(),
                    entry.address.clone(),
                    span(entry.started, now),
                    span(entry.seen, now),
                    entry.sweeps.len().to_string(),
                    entry.subscriptions.len().to_string(),
                    if entry.prunes { "yes" } else { "-" }.to_owned(),
                    format!("{:.1} %", entry.share_percent),
                ]
            })
            .collect();
        let head = [
            "replica",
            "state",
            "version",
            "status at",
            "joined",
            "seen",
            "sweeps",
            "subscriptions",
            "prunes",
            "share",
        ];
        table::write(output, head, &[4, 5, 6, 7, 9], &cells)
    }
}
