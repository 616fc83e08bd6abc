//! The one integration binary: the production composition root against the simulated world, and
//! the real binary against real receivers.

#![expect(unreachable_pub, reason = "nobody uses this crate; pub marks what other files use")]
#![expect(clippy::needless_pass_by_value, reason = "builders read better without borrows")]
#![expect(clippy::string_slice, reason = "a test fails by panicking")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what it shares")]

mod admin;
mod alerts;
mod assertions;
mod bodies;
mod commands;
mod crash;
mod deadletters;
mod delivery;
mod deploy;
mod doctor;
mod edge;
mod errors;
mod faults;
mod identity;
mod logbook;
mod memory;
mod moving;
mod onboarding;
#[cfg(feature = "otel")]
mod otel;
mod outages;
mod page;
mod pipeline;
mod replicas;
mod rotation;
mod rsyslog;
mod secrets;
mod shutdown;
mod simulate;
mod stages;
mod stats;
mod subscriptions;
mod support;
mod sweep;
mod tidy;
mod webhook;
