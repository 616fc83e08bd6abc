//! Who is silent. Pure: time is an argument and must not go backwards.
//!
//! Nobody's wall clock is believed. An observer sees that a replica's count of signs of life changed
//! or did not, and measures by its own clock for how long it did not. The holder of a duty measures
//! by its own from before it gave the sign, so it always stops before somebody else may begin,
//! whatever the two clocks say, as long as they run at about the same speed.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::ledger::{Replica, ReplicaId};

/// What was seen of the others.
#[derive(Debug, Default)]
pub struct Sight {
    /// The last count, and since when it is known.
    seen: HashMap<ReplicaId, (i64, Instant)>,
    last: Option<Instant>,
}

impl Sight {
    /// Looks at replicas that are not gone, as they were read before `now`. Returns those that have
    /// been silent for their whole term.
    ///
    /// Who could not look for a while gives everybody another term: a database that was away for us
    /// may have been so for them.
    pub fn look<'a>(
        &mut self,
        replicas: impl Iterator<Item = &'a Replica>,
        blind_after: Duration,
        now: Instant,
    ) -> Vec<ReplicaId> {
        let last = self.last.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) > blind_after) {
            self.seen.clear();
        }
        let mut silent = Vec::new();
        let mut seen = HashMap::new();
        for replica in replicas {
            let known = self.seen.get(&replica.id).filter(|(beat, _)| *beat == replica.beat);
            let since = known.map_or(now, |(_, since)| *since);
            seen.insert(replica.id, (replica.beat, since));
            if now.saturating_duration_since(since) >= replica.term.min(LONGEST) {
                silent.push(replica.id);
            }
        }
        self.seen = seen;
        silent
    }
}

/// Whatever another version wrote.
const LONGEST: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    const BLIND: Duration = Duration::from_secs(6);

    fn replica(beat: i64) -> Replica {
        Replica {
            id: "aaaaaaaa-0000-4000-8000-000000000001".parse().unwrap(),
            name: String::new(),
            address: String::new(),
            version: String::new(),
            started: Timestamp::UNIX_EPOCH,
            seen: Timestamp::UNIX_EPOCH,
            beat,
            term: Duration::from_secs(10),
            taking: true,
            used: 0,
            gone: None,
        }
    }

    #[test]
    fn silence_is_measured_from_when_the_last_sign_was_seen() {
        let (mut sight, start) = (Sight::default(), Instant::now());
        let mut look = |beat, seconds: u64| {
            let replica = replica(beat);
            let now = start + Duration::from_secs(seconds);
            !sight.look([&replica].into_iter(), BLIND, now).is_empty()
        };
        // However old the row is, it is first seen now.
        for (beat, seconds, silent) in
            [(7, 0, false), (7, 5, false), (8, 9, false), (8, 14, false), (8, 18, false)]
        {
            assert_eq!(look(beat, seconds), silent, "{seconds}");
        }
        assert!(look(8, 19));
        assert!(!look(9, 20), "it was alive after all");
    }

    #[test]
    fn who_was_blind_begins_anew() {
        let (mut sight, start) = (Sight::default(), Instant::now());
        let mut look = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            !sight.look([&replica(1)].into_iter(), BLIND, now).is_empty()
        };
        assert!(!look(0));
        assert!(!look(30), "nobody could give a sign in an outage that all share");
        assert!(!look(36) && !look(39));
        assert!(look(40));
    }
}
