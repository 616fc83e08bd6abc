//! How free places are shared among tenants with due content. Pure.
//!
//! The tenant with the fewest running steps gets the next place, so a backlog of one tenant never
//! makes another wait, and a tenant that only crawls cannot hold every place.

use crate::content::TenantId;

/// A tenant with claimable content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) tenant: TenantId,
    /// Steps of this tenant in flight.
    pub(super) running: usize,
    /// How many requests its budget at Microsoft admits now.
    pub(super) room: usize,
}

/// The most places one tenant may hold.
///
/// Among several tenants half of the places stay open to the others, because content of theirs
/// that arrives in a moment must not wait for this tenant's slow downloads.
pub(super) fn most(places: usize, tenants: usize) -> usize {
    if tenants > 1 { places.div_ceil(2) } else { places }
}

/// Places kept for tenants that run nothing, so that slow downloads of the others, however many,
/// do not make their first content wait.
pub(super) fn reserve(places: usize, idle: usize) -> usize {
    idle.min(places / 4)
}

/// How many leases to claim for each tenant: at most `free` in total, never more than a tenant's
/// room, and never so many that a tenant runs more than `most`. The last `reserve` places go only
/// to tenants that run nothing.
pub(super) fn shares(
    free: usize,
    most: usize,
    reserve: usize,
    due: &[Due],
) -> Vec<(TenantId, u32)> {
    let mut granted = vec![0_usize; due.len()];
    let mut reserve = reserve;
    for left in (1..=free).rev() {
        let next = (0..due.len())
            .filter(|&i| granted[i] < due[i].room && due[i].running + granted[i] < most)
            .min_by_key(|&i| due[i].running + granted[i]);
        let Some(next) = next else { break };
        if due[next].running + granted[next] == 0 {
            reserve = reserve.saturating_sub(1);
        } else if left <= reserve {
            break;
        }
        granted[next] += 1;
    }
    let shares = due.iter().zip(granted).filter(|(_, granted)| *granted > 0);
    shares.map(|(due, granted)| (due.tenant, u32::try_from(granted).unwrap_or(u32::MAX))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn due(n: u128, running: usize, room: usize) -> Due {
        Due { tenant: Uuid::from_u128(n).into(), running, room }
    }

    fn check(free: usize, most: usize, tenants: &[Due], expected: &[u32]) {
        let shares = shares(free, most, 0, tenants);
        let of = |due: &Due| shares.iter().find(|(id, _)| *id == due.tenant).map_or(0, |s| s.1);
        assert_eq!(tenants.iter().map(of).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn places_go_to_whoever_runs_least() {
        check(4, 16, &[due(1, 0, 100), due(2, 0, 100)], &[2, 2]);
        check(4, 16, &[due(1, 6, 100), due(2, 0, 100)], &[0, 4]);
        check(4, 16, &[due(1, 1, 100), due(2, 0, 100)], &[2, 2]);
        check(8, 4, &[due(1, 0, 100), due(2, 3, 100)], &[4, 1]);
        check(8, 16, &[due(1, 0, 0), due(2, 0, 3)], &[0, 3]);
        check(0, 16, &[due(1, 0, 100)], &[0]);
    }

    #[test]
    fn the_last_places_are_for_tenants_that_run_nothing() {
        // Two busy tenants and an idle one that has nothing due: its place stays free.
        let busy = [due(1, 16, 100), due(2, 15, 100)];
        assert!(shares(1, 16, reserve(32, 1), &busy).is_empty());
        // As soon as it has something, it gets it.
        let all = [due(1, 16, 100), due(2, 15, 100), due(3, 0, 100)];
        let granted = shares(1, 16, reserve(32, 1), &all);
        assert_eq!(granted, [(all[2].tenant, 1)]);
        assert_eq!(reserve(2, 5), 0, "few places are not kept empty");
    }

    #[test]
    fn one_tenant_alone_may_take_everything() {
        assert_eq!(most(32, 1), 32);
        assert_eq!(most(32, 2), 16);
        assert_eq!(most(1, 5), 1);
    }

    proptest! {
        #[test]
        fn bounds_hold(free in 0_usize..64, most in 1_usize..40, states in prop::collection::vec((0_usize..40, 0_usize..40), 0..8)) {
            let tenants: Vec<_> = states.iter().enumerate().map(|(i, &(running, room))| due(i as u128, running, room)).collect();
            let shares = shares(free, most, 0, &tenants);
            prop_assert!(shares.iter().map(|s| s.1 as usize).sum::<usize>() <= free);
            for (id, granted) in shares {
                let of = tenants.iter().find(|due| due.tenant == id).unwrap();
                prop_assert!(granted as usize <= of.room && of.running + granted as usize <= most);
            }
        }
    }
}
