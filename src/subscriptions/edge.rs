//! What reached our webhook while a start was pending, for people who ask why the start failed.
//!
//! AF20021 says only that Microsoft did not get the answer it wants. Whether a request of its came
//! as far as here tells a closed door (a name, a firewall, a certificate in front of us) from a
//! wrong answer of ours. With several replicas the validation may have reached another one, so this
//! speaks of one process only.
//!
//! A request does not tell which start it is for. What came is therefore said of all subscriptions
//! together, and how a validation ended only where no other start was pending meanwhile.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

/// A look at the public port, whoever serves it. Clones look at the same one.
#[derive(Clone)]
pub struct Edge(Arc<dyn Fn() -> Calls + Send + Sync>);

impl Edge {
    /// An edge that is looked at by calling `look`.
    pub fn new(look: impl Fn() -> Calls + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    pub(super) fn calls(&self) -> Calls {
        (self.0)()
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Edge").field(&self.calls()).finish()
    }
}

/// Requests on the public port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All of them.
    pub requests: u64,
    /// Those that meant to be a validation.
    pub validations: u64,
    /// What the last validation came to, in the words of `m365_webhook_requests_total`; none also
    /// where it may have been for another start.
    pub told: Option<&'static str>,
}

impl Calls {
    /// Those that came later.
    fn since(self, before: Self) -> Self {
        let validations = self.validations.saturating_sub(before.validations);
        Self {
            requests: self.requests.saturating_sub(before.requests),
            validations,
            told: self.told.filter(|_| validations > 0),
        }
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, validations, told } = self;
        f.write_str("since the start call ")?;
        match requests {
            0 => return f.write_str("no request for any subscription reached this process"),
            1 => f.write_str("1 request for any subscription reached this process: ")?,
            _ => write!(f, "{requests} requests for any subscription reached this process: ")?,
        }
        match (validations, told) {
            (0, _) => f.write_str("a validation was not among them"),
            (_, None) => f.write_str("a validation was among them"),
            (_, Some(told)) => write!(f, "a validation was among them, and ended as {told}"),
        }
    }
}

/// The starts of this process, so that each knows whether it was the only one.
#[derive(Debug, Default)]
pub(super) struct Starting(Mutex<Counts>);

impl Starting {
    /// A start begins, when so much had reached the webhook.
    pub(super) fn begin(&self, before: Calls) -> Pending<'_> {
        let mut counts = self.counts();
        let was_alone = counts.pending == 0;
        counts.begun += 1;
        counts.pending += 1;
        Pending { starting: self, number: counts.begun, was_alone, before }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no holder panics")
    }
}

/// A start that is pending until this is dropped.
#[derive(Debug)]
pub(super) struct Pending<'a> {
    starting: &'a Starting,
    number: u64,
    was_alone: bool,
    before: Calls,
}

impl Pending<'_> {
    /// What reached the webhook since this start began.
    pub(super) fn reached(&self, now: Calls) -> Calls {
        let calls = now.since(self.before);
        let is_alone = self.was_alone && self.starting.counts().begun == self.number;
        Calls { told: calls.told.filter(|_| is_alone), ..calls }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.starting.counts().pending -= 1;
    }
}

#[derive(Debug, Default)]
struct Counts {
    begun: u64,
    pending: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_the_start_call_is_told() {
        let calls = |requests, validations, told| Calls { requests, validations, told };
        let before = calls(7, 1, Some("validated"));
        for (now, expected) in [
            (before, "no request for any subscription reached this process"),
            (
                calls(8, 1, Some("validated")),
                "1 request for any subscription reached this process: a validation was not among them",
            ),
            (
                calls(12, 3, Some("unauthorized")),
                "5 requests for any subscription reached this process: a validation was among \
                 them, and ended as unauthorized",
            ),
            (
                calls(12, 3, None),
                "5 requests for any subscription reached this process: a validation was among them",
            ),
        ] {
            assert_eq!(now.since(before).to_string(), format!("since the start call {expected}"));
        }
    }

    #[test]
    fn how_a_validation_ended_is_told_to_the_only_start_there_was() {
        let starting = Starting::default();
        let now = Calls { requests: 1, validations: 1, told: Some("validated") };
        let unattributed = Calls { told: None, ..now };
        let begin = || starting.begin(Calls::default());

        let (first, second) = (begin(), begin());
        assert_eq!(first.reached(now), unattributed, "another one began");
        drop(first);
        assert_eq!(second.reached(now), unattributed, "another one was pending");
        let third = begin();
        drop((second, third));

        let alone = begin();
        assert_eq!(alone.reached(now), now);
        drop(begin());
        assert_eq!(alone.reached(now), unattributed, "another one began and ended");
    }
}
