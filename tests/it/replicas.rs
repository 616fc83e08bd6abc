//! Several whole processes on one database behind a load balancer: real `run`s, a real `PostgreSQL`,
//! the real `HAProxy` or nginx with the configuration that is shipped, and everything that can befall
//! them.
//!
//! Every run has a seed, which is said and can be given again in `M365_TEST_SEED`. Short by default;
//! `M365_TEST_REPLICAS=long` makes them as long as an operator would want to see it.

use std::time::Duration;

mod balancers;
mod books;
mod cost;
mod database;
mod fleet;
mod kills;
mod link;
mod partition;
mod rolling;
mod sharing;
mod versions;
mod watch;

/// One of two, the longer where it was asked for.
fn lasting(short: u64, long: u64) -> Duration {
    let is_long = std::env::var("M365_TEST_REPLICAS").is_ok_and(|text| text == "long");
    Duration::from_secs(if is_long { long } else { short })
}
