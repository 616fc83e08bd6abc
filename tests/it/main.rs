//! The one integration binary: the production composition root against the simulated world, and
//! the real binary against real receivers.

#![expect(unreachable_pub, reason = "nobody uses this crate; pub marks what other files use")]

mod faults;
mod identity;
mod pipeline;
mod support;
mod sweep;
mod tidy;
