//! Who gets a place among the connections when there are more callers than places.
//!
//! Strangers come first and stay strangers until one of their requests was authentic. Over the
//! limit the newest stranger is refused; who is authentic is never cut, and a caller from where
//! authentic requests came lately, or from where they are expected, takes the place of the newest
//! stranger. A single source holds only so many places as a stranger: one more takes the place of
//! its own oldest, so somebody who connects and waits only ever harms connections like that one.
//!
//! Nothing here waits, and what is remembered is bounded: places by the limit, sources by
//! [`MAX_KNOWN`], and only an authentic request is remembered at all (I7).

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::shutdown::Shutdown;

/// The places of one listener. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Door(Arc<Mutex<Places>>);

impl Door {
    pub(super) fn new(max: usize, max_per_source: usize) -> Self {
        Self(Arc::new(Mutex::new(Places { max, max_per_source, ..Places::default() })))
    }

    /// A place for a connection whose source is still to be learnt from its proxy. Some are given
    /// beyond the limit, for it may be a caller who takes the place of another.
    pub(super) fn arrive(&self) -> Option<Guest> {
        let mut places = self.places();
        let room = places.taken.len() < places.max || places.arriving.len() < MAX_ARRIVING;
        if !room {
            return None;
        }
        let (id, leave) = (places.next(), Shutdown::new());
        places.arriving.insert(id);
        Some(Guest { door: self.clone(), id, leave, authentic: AtomicBool::new(false) })
    }

    /// A place for a connection from this source.
    pub(super) fn enter(&self, caller: Caller) -> Option<Guest> {
        let guest = {
            let mut places = self.places();
            let (id, leave) = (places.next(), Shutdown::new());
            places.arriving.insert(id);
            Guest { door: self.clone(), id, leave, authentic: AtomicBool::new(false) }
        };
        guest.settle(caller).then_some(guest)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().expect("no holder of this lock panics")
    }
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    source: Source,
    /// Whether its connections are limited by source: those of a proxy belong to many callers.
    pub(super) alone: bool,
    /// Whether authentic requests are expected from there.
    pub(super) expected: bool,
}

impl Caller {
    pub(super) fn new(address: IpAddr, alone: bool, expected: bool) -> Self {
        Self { source: Source::of(address), alone, expected }
    }
}

/// A connection's place. Dropping it gives the place free.
#[derive(Debug)]
pub(super) struct Guest {
    door: Door,
    id: u64,
    leave: Shutdown,
    /// So that not every request takes the lock.
    authentic: AtomicBool,
}

impl Guest {
    /// Takes a place under the source's name; false when there is none.
    pub(super) fn settle(&self, caller: Caller) -> bool {
        let mut places = self.door.places();
        places.arriving.remove(&self.id);
        let of_source = places.strangers_of.get(&caller.source);
        let crowd = of_source.filter(|ids| caller.alone && ids.len() >= places.max_per_source);
        if let Some(oldest) = crowd.and_then(|ids| ids.first().copied()) {
            places.displace(oldest);
        } else if places.taken.len() >= places.max {
            let favoured = caller.expected || places.is_known(caller.source);
            let Some(stranger) = places.least_welcome().filter(|_| favoured) else {
                return false;
            };
            places.displace(stranger);
        }
        places.take(self.id, caller, self.leave.clone());
        true
    }

    /// Notes that a request on this connection was authentic.
    pub(super) fn authenticated(&self) {
        if self.authentic.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut places = self.door.places();
        let source = places.taken.get(&self.id).map(|place| place.caller.source);
        if let Some(source) = source {
            places.no_stranger(self.id);
            places.remember(source);
        }
    }

    /// Resolves when the place is given to somebody else. Cancel safe.
    pub(super) async fn displaced(&self) {
        self.leave.requested().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut places = self.door.places();
        places.arriving.remove(&self.id);
        places.leave(self.id);
    }
}

#[derive(Debug, Default)]
struct Places {
    max: usize,
    max_per_source: usize,
    last: u64,
    /// Connections whose source is not known yet.
    arriving: BTreeSet<u64>,
    taken: HashMap<u64, Place>,
    /// Those that were never authentic; ids grow, so the last is the newest.
    strangers: BTreeSet<u64>,
    strangers_of: HashMap<Source, BTreeSet<u64>>,
    /// Where authentic requests came from, and when the last connection with one was made.
    known: HashMap<Source, Instant>,
}

#[derive(Debug)]
struct Place {
    caller: Caller,
    leave: Shutdown,
}

impl Places {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn take(&mut self, id: u64, caller: Caller, leave: Shutdown) {
        self.taken.insert(id, Place { caller, leave });
        self.strangers.insert(id);
        if caller.alone {
            self.strangers_of.entry(caller.source).or_default().insert(id);
        }
    }

    fn no_stranger(&mut self, id: u64) {
        self.strangers.remove(&id);
        if let Some(Place { caller, .. }) = self.taken.get(&id)
            && let Some(ids) = self.strangers_of.get_mut(&caller.source)
        {
            ids.remove(&id);
            if ids.is_empty() {
                self.strangers_of.remove(&caller.source);
            }
        }
    }

    fn leave(&mut self, id: u64) {
        self.no_stranger(id);
        self.taken.remove(&id);
    }

    fn displace(&mut self, id: u64) {
        if let Some(Place { leave, .. }) = self.taken.get(&id) {
            leave.request();
        }
        self.leave(id);
    }

    /// The newest stranger; of those who only share the address of somebody known, the oldest,
    /// because the newest of them may be that somebody.
    fn least_welcome(&self) -> Option<u64> {
        let unknown =
            |id: &&u64| self.taken.get(id).is_some_and(|place| !self.is_known(place.caller.source));
        self.strangers.iter().rev().find(unknown).or(self.strangers.first()).copied()
    }

    fn is_known(&self, source: Source) -> bool {
        self.known.get(&source).is_some_and(|seen| seen.elapsed() < KNOWN_FOR)
    }

    fn remember(&mut self, source: Source) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&source) {
            let oldest = self.known.iter().min_by_key(|(_, seen)| **seen).map(|(known, _)| *known);
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(source, Instant::now());
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one IPv6 subscriber is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = u128::from(address) >> 64 << 64;
                Self(IpAddr::V6(network.into()))
            }
            address @ IpAddr::V4(_) => Self(address),
        }
    }
}

/// A proxy writes its header at once; this many may be about to.
const MAX_ARRIVING: usize = 64;

/// Microsoft calls several times a day where anything happens.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Microsoft's addresses are some dozens.
const MAX_KNOWN: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        Caller::new(address.parse().unwrap(), true, false)
    }

    fn is_in(guest: &Guest) -> bool {
        !guest.leave.is_requested()
    }

    #[tokio::test]
    async fn over_the_limit_the_newest_stranger_is_refused() {
        let door = Door::new(2, 10);
        let first = door.enter(caller("192.0.2.1")).unwrap();
        let second = door.enter(caller("192.0.2.2")).unwrap();
        assert!(door.enter(caller("192.0.2.3")).is_none());
        assert!(is_in(&first) && is_in(&second));
        drop(first);
        assert!(door.enter(caller("192.0.2.3")).is_some());
    }

    #[tokio::test]
    async fn who_was_authentic_takes_the_place_of_the_newest_stranger() {
        let door = Door::new(3, 10);
        let honest = door.enter(caller("192.0.2.1")).unwrap();
        honest.authenticated();
        let old = door.enter(caller("192.0.2.2")).unwrap();
        let new = door.enter(caller("192.0.2.3")).unwrap();
        let again = door.enter(caller("192.0.2.1")).unwrap();
        assert!(is_in(&honest) && is_in(&old) && !is_in(&new) && is_in(&again));
        again.authenticated();
        // The place of `new` was given away: leaving it gives none free.
        drop(new);
        assert!(door.enter(caller("192.0.2.4")).is_none());
        // Expected without ever having been authentic.
        let expected = Caller { expected: true, ..caller("192.0.2.5") };
        let expected = door.enter(expected).unwrap();
        assert!(!is_in(&old));
        expected.authenticated();
        // Nobody left to be displaced: an authentic connection never is.
        assert!(door.enter(caller("192.0.2.1")).is_none());
    }

    #[tokio::test]
    async fn whose_address_is_shared_is_not_displaced_by_those_who_share_it() {
        let door = Door::new(3, 10);
        door.enter(caller("192.0.2.1")).unwrap().authenticated();
        let slow = door.enter(caller("192.0.2.2")).unwrap();
        let junk = door.enter(caller("192.0.2.1")).unwrap();
        let honest = door.enter(caller("192.0.2.1")).unwrap();
        let more = door.enter(caller("192.0.2.1")).unwrap();
        assert!(!is_in(&slow) && is_in(&junk) && is_in(&honest));
        let most = door.enter(caller("192.0.2.1")).unwrap();
        assert!(!is_in(&junk) && is_in(&honest) && is_in(&more) && is_in(&most));
    }

    #[tokio::test]
    async fn one_source_displaces_only_its_own_strangers_the_oldest_first() {
        let door = Door::new(10, 2);
        let other = door.enter(caller("192.0.2.9")).unwrap();
        let authentic = door.enter(caller("2001:db8::1")).unwrap();
        authentic.authenticated();
        let first = door.enter(caller("2001:db8::2")).unwrap();
        let second = door.enter(caller("2001:db8::3")).unwrap();
        let third = door.enter(caller("2001:db8::ffff:4")).unwrap();
        assert!(!is_in(&first));
        assert!([&other, &authentic, &second, &third].iter().all(|guest| is_in(guest)));
        // A proxy stands for many.
        let proxy = Caller { alone: false, ..caller("192.0.2.9") };
        let proxied: Vec<_> = (0..5).map(|_| door.enter(proxy).unwrap()).collect();
        assert!(proxied.iter().all(is_in));
    }

    #[tokio::test]
    async fn who_comes_through_a_proxy_is_known_by_his_own_name() {
        let door = Door::new(1, 10);
        let honest = door.enter(caller("192.0.2.1")).unwrap();
        honest.authenticated();
        drop(honest);
        let stranger = door.enter(caller("192.0.2.2")).unwrap();
        let (one, two) = (door.arrive().unwrap(), door.arrive().unwrap());
        assert!(!one.settle(caller("192.0.2.3")));
        assert!(two.settle(caller("192.0.2.1")));
        assert!(!is_in(&stranger) && is_in(&two));
        drop((one, two, stranger));
        let places = door.places();
        assert!(places.taken.is_empty() && places.strangers.is_empty());
        assert!(places.strangers_of.is_empty() && places.arriving.is_empty());
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let door = Door::new(10, 10);
        for n in 0..MAX_KNOWN + 10 {
            let address = u32::try_from(n).unwrap() + 0x0A00_0000;
            let address = IpAddr::from(address.to_be_bytes());
            door.enter(Caller::new(address, true, false)).unwrap().authenticated();
        }
        assert_eq!(door.places().known.len(), MAX_KNOWN);
    }
}
