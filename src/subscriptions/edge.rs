//! What reached our webhook while a start was pending, for people who ask why the start failed.
//!
//! AF20021 says only that Microsoft did not get the answer it wants. Whether a request of its came as
//! far as here tells a closed door (a name, a firewall, a certificate in front of us) from a wrong
//! answer of ours. With several replicas the validation may have reached another one, so this speaks
//! of one process only.

use std::{fmt, sync::Arc};

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
    /// What the last validation came to, in the words of `m365_webhook_requests_total`.
    pub told: Option<&'static str>,
}

impl Calls {
    /// Those that came later.
    pub(super) fn since(self, before: Self) -> Self {
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
        let Self { requests, told, .. } = self;
        f.write_str("since the start call ")?;
        match requests {
            0 => return f.write_str("no request reached this process"),
            1 => f.write_str("1 request reached this process: ")?,
            _ => write!(f, "{requests} requests reached this process: ")?,
        }
        match told {
            None => f.write_str("a validation was not among them"),
            Some(told) => write!(f, "a validation was among them, and ended as {told}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_since_the_start_call_is_told() {
        let calls = |requests, validations, told| Calls { requests, validations, told };
        let before = calls(7, 1, Some("validated"));
        for (now, expected) in [
            (before, "no request reached this process"),
            (
                calls(8, 1, Some("validated")),
                "1 request reached this process: a validation was not among them",
            ),
            (
                calls(12, 3, Some("unauthorized")),
                "5 requests reached this process: a validation was among them, and ended as unauthorized",
            ),
        ] {
            assert_eq!(now.since(before).to_string(), format!("since the start call {expected}"));
        }
    }
}
