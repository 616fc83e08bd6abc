//! Who is there and does what, for people. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    content::TenantId,
    ledger::{Duty, HeldDuty, Replica, ReplicaId, WHOLE},
};

/// A replica and its part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// What people call it: its host, with a part of its id where several run on one.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Where its status is shown.
    pub address: String,
    /// Its version.
    pub version: String,
    /// How it is.
    pub state: State,
    /// When it joined.
    pub started: Timestamp,
    /// When it last gave a sign of life.
    pub seen: Timestamp,
    /// What part of every tenant's requests it may make, if it needs so many.
    pub share_percent: f64,
    /// What part of the busiest tenant's it made in the last minute.
    pub used_percent: f64,
    /// The tenants it sweeps, by name.
    pub sweeps: Vec<String>,
    /// The tenants whose subscriptions it keeps, by name.
    pub subscriptions: Vec<String>,
    /// Whether it removes what is old.
    pub prunes: bool,
}

/// How a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It works.
    Alive,
    /// It was asked to stop.
    Draining,
    /// It left, or others took it for dead.
    Gone,
    /// It gave no sign of life for longer than it may.
    Silent,
}

impl State {
    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Draining => "draining",
            Self::Gone => "gone",
            Self::Silent => "silent",
        }
    }
}

impl Entry {
    /// How many duties it has.
    pub const fn duties(&self) -> usize {
        self.sweeps.len() + self.subscriptions.len() + self.prunes as usize
    }
}

/// Everybody, with what they hold; `name` is what a tenant is called.
pub fn roll(
    replicas: &[Replica],
    duties: &[HeldDuty],
    name: impl Fn(TenantId) -> String,
    now: Timestamp,
) -> Vec<Entry> {
    let labels = labels(replicas);
    let present = replicas.iter().filter(|replica| replica.gone.is_none()).count();
    let present = u32::try_from(present.max(1)).unwrap_or(u32::MAX);
    let entry = |replica: &Replica| {
        let held = || duties.iter().filter(|duty| duty.holder == Some(replica.id));
        let named = |kind: fn(TenantId) -> Duty| {
            let tenants = held().filter_map(|held| held.duty.tenant().map(|of| (held.duty, of)));
            let mut names: Vec<_> =
                tenants.filter(|(duty, of)| *duty == kind(*of)).map(|(_, of)| name(of)).collect();
            names.sort_unstable();
            names
        };
        Entry {
            name: labels[&replica.id].clone(),
            id: replica.id.to_string(),
            address: replica.address.clone(),
            version: replica.version.clone(),
            state: state(replica, now),
            started: replica.started,
            seen: replica.seen,
            share_percent: if replica.gone.is_none() { percent(WHOLE / present) } else { 0.0 },
            used_percent: percent(replica.used),
            sweeps: named(Duty::Sweep),
            subscriptions: named(Duty::Subscriptions),
            prunes: held().any(|held| held.duty == Duty::Prune),
        }
    };
    replicas.iter().map(entry).collect()
}

fn percent(millionths: u32) -> f64 {
    f64::from(millionths.min(WHOLE) * 10 / (WHOLE / 100)) / 10.0
}

fn state(replica: &Replica, now: Timestamp) -> State {
    let silence = now.duration_since(replica.seen).unsigned_abs();
    match replica.gone {
        Some(_) => State::Gone,
        None if silence > replica.term && now > replica.seen => State::Silent,
        None if replica.taking => State::Alive,
        None => State::Draining,
    }
}

fn labels(replicas: &[Replica]) -> BTreeMap<ReplicaId, String> {
    let label = |replica: &Replica| {
        let alike = replicas.iter().filter(|other| other.name == replica.name).count();
        let id = replica.id.to_string();
        let part = id.split('-').next().unwrap_or_default();
        let label = match alike {
            1 => replica.name.clone(),
            _ => format!("{}/{part}", replica.name),
        };
        (replica.id, label)
    };
    replicas.iter().map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn replica(number: u128, name: &str) -> Replica {
        Replica {
            id: Uuid::from_u128(number << 96).to_string().parse().unwrap(),
            name: name.to_owned(),
            address: String::new(),
            version: "1".to_owned(),
            started: at(0),
            seen: at(10),
            beat: 1,
            term: Duration::from_secs(10),
            taking: true,
            used: WHOLE / 8,
            gone: None,
        }
    }

    #[test]
    fn everybody_is_there_with_what_they_do() {
        let (one, mut other, mut third) = (replica(1, "a"), replica(2, "b"), replica(3, "b"));
        other.taking = false;
        third.gone = Some(at(5));
        let tenant = TenantId::from(Uuid::from_u128(7));
        let held = |duty, holder: &Replica| HeldDuty {
            duty,
            holder: Some(holder.id),
            token: 1,
            since: at(0),
        };
        let duties = [
            held(Duty::Prune, &one),
            held(Duty::Sweep(tenant), &one),
            held(Duty::Subscriptions(tenant), &third),
        ];
        let name = |_| "contoso".to_owned();
        let entries = roll(&[one, other, third], &duties, name, at(20));
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "b/00000002", "b/00000003"]);
        let states: Vec<_> = entries.iter().map(|entry| entry.state).collect();
        assert_eq!(states, [State::Alive, State::Draining, State::Gone]);
        assert_eq!(entries.iter().map(Entry::duties).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(entries[0].sweeps, ["contoso"]);
        let shares: Vec<_> = entries.iter().map(|entry| entry.share_percent.to_string()).collect();
        assert_eq!(shares, ["50", "50", "0"]);
        assert_eq!(entries[0].used_percent.to_string(), "12.5");
        assert_eq!(state(&replica(1, "a"), at(21)), State::Silent);
    }
}
