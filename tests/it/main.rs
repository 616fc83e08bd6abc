//! The one integration binary: the production composition root against the simulated world, and
//! the real binary against real receivers.

#![expect(unreachable_pub, reason = "nobody uses this crate; pub marks what other files use")]

mod admin;
mod commands;
mod crash;
mod pipeline;
mod rsyslog;
mod secrets;
mod simulate;
mod stages;
mod support;
mod tidy;
