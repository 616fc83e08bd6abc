use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::content::TenantId;

fn replica(number: usize) -> ReplicaId {
    // Their order is not the order in which they came.
    let number = u128::try_from(number).unwrap();
    Uuid::from_u128(number * 7 % 11 + 1).to_string().parse().unwrap()
}

fn wanted(tenants: u128) -> BTreeSet<Duty> {
    let tenants = (1..=tenants).map(|tenant| TenantId::from(Uuid::from_u128(tenant)));
    let duties = tenants.flat_map(|tenant| [Duty::Sweep(tenant), Duty::Subscriptions(tenant)]);
    duties.chain([Duty::Prune]).collect()
}

/// Rows of a ledger, and who looks at them in turn.
#[derive(Default)]
struct World {
    replicas: BTreeSet<ReplicaId>,
    held: BTreeMap<Duty, ReplicaId>,
}

impl World {
    /// Everybody looks at the same moment and then does what it decided. Of two that take a duty
    /// the first has it, as the token decides. Returns whether anything changed.
    fn round(&mut self, wanted: &BTreeSet<Duty>) -> bool {
        let none = BTreeSet::new();
        let look = |me: &ReplicaId| {
            let board = Board {
                me: *me,
                replicas: &self.replicas,
                wanted,
                held: &self.held,
                left: &none,
                extra: &none,
            };
            (*me, plan(&board))
        };
        let plans: Vec<_> = self.replicas.iter().map(look).collect();
        let mut changed = false;
        for (me, plan) in plans {
            for duty in plan.give {
                assert_eq!(self.held.remove(&duty), Some(me), "only one's own is given");
                changed = true;
            }
            for duty in plan.take {
                self.held.entry(duty).or_insert(me);
                changed = true;
            }
        }
        changed
    }

    /// Until nobody does anything any more.
    fn settle(&mut self, wanted: &BTreeSet<Duty>) -> usize {
        (1..=20).find(|_| !self.round(wanted)).expect("it comes to rest")
    }

    fn is_balanced(&self, wanted: &BTreeSet<Duty>) -> bool {
        let most = wanted.len().div_ceil(self.replicas.len());
        let least = wanted.len() / self.replicas.len();
        let number = |of: &ReplicaId| self.held.values().filter(|holder| *holder == of).count();
        self.held.len() == wanted.len()
            && self.replicas.iter().all(|of| (least..=most).contains(&number(of)))
    }

    fn dies(&mut self, replica: ReplicaId) {
        self.replicas.remove(&replica);
        self.held.retain(|_, holder| *holder != replica);
    }
}

#[test]
fn one_alone_takes_everything_at_once() {
    let wanted = wanted(500);
    let mut world = World { replicas: [replica(0)].into(), ..World::default() };
    assert!(world.round(&wanted));
    assert_eq!(world.held.len(), 1001);
    assert!(!world.round(&wanted), "and rests");
}

#[test]
fn who_drains_gives_all_back_and_takes_nothing() {
    let (mine, wanted) = (replica(0), wanted(1));
    let held = BTreeMap::from([(Duty::Prune, mine)]);
    let (replicas, none) = ([replica(1)].into(), BTreeSet::new());
    let board = Board {
        me: mine,
        replicas: &replicas,
        wanted: &wanted,
        held: &held,
        left: &wanted,
        extra: &none,
    };
    assert_eq!(plan(&board), Plan { give: vec![Duty::Prune], take: vec![] });
}

#[test]
fn what_nobody_else_knows_is_taken_and_kept() {
    let (me, wanted, none) = (replica(0), wanted(2), BTreeSet::new());
    let replicas = [me, replica(1)].into();
    let look = |held: &BTreeMap<_, _>, left: &BTreeSet<_>, extra: &BTreeSet<_>| {
        plan(&Board { me, replicas: &replicas, wanted: &wanted, held, left, extra })
    };
    let mut held = BTreeMap::new();
    let part = look(&held, &none, &none).take;
    assert!(part.len() < wanted.len());
    let left: BTreeSet<_> = wanted.iter().copied().filter(|duty| !part.contains(duty)).collect();
    held.extend(part.into_iter().map(|duty| (duty, me)));
    let more = look(&held, &left, &none);
    assert_eq!(more.take.into_iter().collect::<BTreeSet<_>>(), left);
    assert_eq!(more.give, []);
    held.extend(left.iter().map(|duty| (*duty, me)));
    let surplus = look(&held, &none, &left);
    assert_eq!(surplus.take, []);
    assert!(surplus.give.iter().all(|duty| !left.contains(duty)), "{surplus:?}");
}

proptest! {
    /// Whatever the numbers, and whoever joins and dies: soon everything is held, by everybody
    /// alike, and then nobody moves anything.
    #[test]
    fn everything_is_held_and_balanced(
        tenants in 0..=50_u128,
        changes in proptest::collection::vec((any::<bool>(), 0..5_usize), 1..12),
    ) {
        let wanted = wanted(tenants);
        let mut world = World::default();
        for (joins, which) in changes {
            let which = replica(which);
            if joins {
                world.replicas.insert(which);
            } else {
                world.dies(which);
            }
            if world.replicas.is_empty() {
                continue;
            }
            let rounds = world.settle(&wanted);
            prop_assert!(world.is_balanced(&wanted), "{:?}", world.held);
            prop_assert!(rounds <= 12, "{rounds} rounds");
        }
    }

    /// A death moves nothing that the living held, but for the one more that some have.
    #[test]
    fn a_death_moves_little(tenants in 1..=50_u128, dead in 0..5_usize) {
        let wanted = wanted(tenants);
        let mut world = World { replicas: (0..5).map(replica).collect(), ..World::default() };
        world.settle(&wanted);
        world.dies(replica(dead));
        let before = world.held.clone();
        world.settle(&wanted);
        let moved = before.iter().filter(|(duty, holder)| world.held[*duty] != **holder).count();
        prop_assert!(moved <= 4, "{moved}");
    }
}
