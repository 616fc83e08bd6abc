//! Random histories on a real ledger and on a model that says the same in few words.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{ledger::LeaseKey, reason::Reason};

/// Content as the model sees it: `due` while it waits, none once it is settled.
#[derive(Clone, Debug, Default)]
struct Row {
    announced: i64,
    due: Option<i64>,
    holder: Option<usize>,
    attempts: u32,
    reason: Option<Reason>,
}

/// What a lease says: the id, attempts, the last reason, whether the lease before was lost.
type Told = (String, u32, Option<Reason>, bool);

/// All content by id; leases are numbered in the order they were granted.
#[derive(Default)]
struct Model {
    rows: Vec<(String, Row)>,
    leases: usize,
}

impl Model {
    fn announce(&mut self, id: &str, now: i64) -> Recorded {
        if self.rows.iter().any(|(known, _)| known == id) {
            return Recorded::Known;
        }
        let row = Row { announced: now, due: Some(now), ..Row::default() };
        self.rows.push((id.to_owned(), row));
        Recorded::New
    }

    fn claim(&mut self, limit: usize, now: i64) -> Vec<Told> {
        let mut due: Vec<_> =
            self.rows.iter_mut().filter(|(_, row)| row.due <= Some(now)).collect();
        due.retain(|(_, row)| row.due.is_some());
        due.sort_by_key(|(_, row)| row.due);
        due.truncate(limit);
        let mut claimed = Vec::new();
        for (id, row) in due {
            let lost = row.holder.is_some();
            if lost {
                row.attempts += 1;
                row.reason = Some(Reason::LeaseLost);
            }
            row.due = Some(now + LEASE);
            row.holder = Some(self.leases);
            self.leases += 1;
            claimed.push((id.clone(), row.attempts, row.reason, lost));
        }
        claimed
    }

    fn settle(&mut self, lease: usize, settlement: &Settling, now: i64) -> Settled {
        let mut rows = self.rows.iter_mut();
        let Some((_, row)) = rows.find(|(_, row)| row.holder == Some(lease)) else {
            return Settled::Stale;
        };
        row.holder = None;
        match *settlement {
            Settling::Delivered | Settling::Dead | Settling::Expired => row.due = None,
            Settling::Postpone(wait) => row.due = Some(now + wait),
            Settling::Release => row.due = Some(now),
            Settling::Retry(wait) => {
                row.due = Some(now + wait);
                row.attempts += 1;
                row.reason = Some(REASON);
            }
        }
        Settled::Applied
    }

    fn renew(&mut self, lease: usize, now: i64) -> bool {
        let mut rows = self.rows.iter_mut();
        let row = rows.find(|(_, row)| row.holder == Some(lease));
        row.map(|(_, row)| row.due = Some(now + LEASE)).is_some()
    }

    /// Who held a lease is gone.
    fn reopen(&mut self) {
        for (_, row) in &mut self.rows {
            if row.holder.is_some() {
                row.due = Some(row.announced);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Announce(Vec<u8>),
    Claim(u32),
    Pass(i64),
    Renew(prop::sample::Index),
    Reopen,
    Settle(prop::sample::Index, Settling),
}

#[derive(Clone, Debug)]
enum Settling {
    Dead,
    Delivered,
    Expired,
    Postpone(i64),
    Release,
    Retry(i64),
}

impl Settling {
    fn at(&self, now: i64) -> Settlement {
        match *self {
            Self::Dead => Settlement::Dead(REASON),
            Self::Delivered => delivered(1),
            Self::Expired => Settlement::Expired(REASON),
            Self::Postpone(wait) => Settlement::Postpone { until: at(now + wait) },
            Self::Release => Settlement::Release,
            Self::Retry(wait) => Settlement::Retry { at: at(now + wait), reason: REASON },
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let settling = prop_oneof![
        Just(Settling::Dead),
        Just(Settling::Delivered),
        Just(Settling::Expired),
        (0..400_i64).prop_map(Settling::Postpone),
        Just(Settling::Release),
        (0..400_i64).prop_map(Settling::Retry),
    ];
    let step = prop_oneof![
        4 => vec(0..12_u8, 1..4).prop_map(Step::Announce),
        4 => (1..4_u32).prop_map(Step::Claim),
        4 => (0..400_i64).prop_map(Step::Pass),
        1 => any::<prop::sample::Index>().prop_map(Step::Renew),
        1 => Just(Step::Reopen),
        6 => (any::<prop::sample::Index>(), settling).prop_map(|(lease, s)| Step::Settle(lease, s)),
    ];
    vec(step, 1..40)
}

async fn check(steps: Vec<Step>) {
    let mut running = Running::start().await;
    let mut model = Model::default();
    let mut leases: Vec<Lease> = Vec::new();
    let mut seen: HashMap<LeaseKey, ()> = HashMap::new();
    let mut now = 0;
    for step in steps {
        match step {
            Step::Announce(ids) => {
                let ids: Vec<String> = ids.iter().map(|id| format!("c{id}")).collect();
                let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                let expected: Vec<Recorded> =
                    ids.iter().map(|id| model.announce(id, now)).collect();
                assert_eq!(running.announce(&ids, now).await, expected);
            }
            Step::Claim(limit) => {
                let claimed = running.claim(limit, now).await;
                let said: Vec<_> = claimed
                    .iter()
                    .map(|l| (l.announcement.id.to_string(), l.attempts, l.last_reason, l.lost))
                    .collect();
                assert_eq!(said, model.claim(limit as usize, now));
                for lease in &claimed {
                    assert!(seen.insert(lease.key, ()).is_none(), "a key is never used twice");
                }
                leases.extend(claimed);
            }
            Step::Pass(seconds) => now += seconds,
            Step::Renew(which) if !leases.is_empty() => {
                let which = which.index(leases.len());
                let ours = running.ledger.renew(vec![leases[which].key], at(now)).await;
                assert_eq!(ours.unwrap().len() == 1, model.renew(which, now));
            }
            Step::Settle(which, settling) if !leases.is_empty() => {
                let which = which.index(leases.len());
                let settled = running.settle(&leases[which], settling.at(now), now).await;
                assert_eq!(settled, model.settle(which, &settling, now));
            }
            Step::Reopen => {
                let (directory, config) = running.kill().await;
                let (ledger, writer) = Ledger::open(&config).await.unwrap();
                running = Running::with(directory, config, ledger, writer);
                if Running::TAKES_BACK {
                    model.reopen();
                }
            }
            Step::Renew(_) | Step::Settle(..) => {}
        }
    }
    let waiting = model.rows.iter().filter(|(_, row)| row.due.is_some()).count();
    let depth = running.ledger.depth().await.unwrap();
    assert_eq!(depth.first().map_or(0, |depth| depth.waiting), waiting as u64);
}

proptest! {
    // Every step is a commit that reaches the disk.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn the_ledger_does_what_the_model_does(steps in steps()) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(check(steps));
    }
}

const REASON: Reason = Reason::ServerError;
