//! Which duties a replica takes and gives back. Pure.
//!
//! Everybody has the same number of duties, or one more: the remainder goes to the first replicas in
//! the order of their ids. All see the same rows, so all come to the same numbers without speaking
//! to each other; a replica that has too many gives some back, and one that has too few takes what
//! is free. Each begins to take at another place, so that they seldom reach for the same.
//!
//! A duty that stays free for long is one that others do not know, because their configuration is
//! another: it is taken by whoever knows it, beyond its part, and kept as long as the replicas are
//! the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::{Duty, ReplicaId};

/// What a replica sees.
#[derive(Clone, Copy, Debug)]
pub struct Board<'a> {
    /// Who looks.
    pub me: ReplicaId,
    /// Everybody who is alive and takes duties, in their order; without `me`, all is given back.
    pub replicas: &'a BTreeSet<ReplicaId>,
    /// The duties there are, as far as `me` knows.
    pub wanted: &'a BTreeSet<Duty>,
    /// Those of the ledger that somebody alive holds.
    pub held: &'a BTreeMap<Duty, ReplicaId>,
    /// Those that have been free for long.
    pub left: &'a BTreeSet<Duty>,
    /// Those that were taken because they had been, and are kept.
    pub extra: &'a BTreeSet<Duty>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is given back.
    pub give: Vec<Duty>,
    /// What is taken.
    pub take: Vec<Duty>,
}

/// Decides.
pub fn plan(board: &Board<'_>) -> Plan {
    let Board { me, replicas, wanted, held, left, extra } = *board;
    let mine = held.iter().filter(|(_, holder)| **holder == me).map(|(duty, _)| *duty);
    let Some(rank) = replicas.iter().position(|replica| *replica == me) else {
        return Plan { give: mine.collect(), take: Vec::new() };
    };
    let (mut mine, unwanted): (Vec<_>, Vec<_>) = mine.partition(|duty| wanted.contains(duty));
    mine.retain(|duty| !extra.contains(duty));
    let shared = wanted.iter().filter(|duty| !extra.contains(*duty)).count();
    let part = shared / replicas.len() + usize::from(rank < shared % replicas.len());
    let mut give = unwanted;
    give.extend(mine.split_off(part.min(mine.len())));
    let free: Vec<_> = wanted.iter().filter(|duty| !held.contains_key(*duty)).copied().collect();
    let begin = if replicas.len() > 1 { rank * free.len() / replicas.len() } else { 0 };
    let room = part.saturating_sub(mine.len());
    let mut take: Vec<_> = free[begin..].iter().chain(&free[..begin]).take(room).copied().collect();
    let forgotten = free.iter().filter(|duty| left.contains(*duty) && !take.contains(*duty));
    let forgotten: Vec<_> = forgotten.copied().collect();
    take.extend(forgotten);
    Plan { give, take }
}

#[cfg(test)]
mod tests;
