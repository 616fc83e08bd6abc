//! Nothing depends on a notification: what Microsoft lists is found, and fetched once.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, Operation,
        microsoft::{Announcing, Publication},
    },
};

use crate::support::{Builder, Service, eventually, records};

mod backfill;
mod clocks;
mod lost;
mod pages;
mod refused;
mod restarts;

/// A service that sweeps all the time.
fn sweeping() -> Builder {
    Service::builder().with("sweep.interval", "1s")
}

/// Content created some time ago that nobody is told about.
fn unannounced(service: &mut Service, seed: u64, created_ago: Duration) -> ContentId {
    publish(service, seed, created_ago, Announcing::LOST)
}

/// Content of a few records, created some time ago.
fn publish(
    service: &mut Service,
    seed: u64,
    created_ago: Duration,
    announcing: Announcing,
) -> ContentId {
    let records = records(seed, service.tenant(0), KIND, 3);
    service.expect(&records);
    let publication = Publication {
        created: Some(ago(service, created_ago)),
        announcing: Some(announcing),
        ..Publication::of(Blob::array(&records))
    };
    service.simulator.microsoft().publish_as(service.tenant(0), KIND, publication)
}

/// A moment of Microsoft's.
fn ago(service: &Service, by: Duration) -> Timestamp {
    service.simulator.clock().now()
        - SignedDuration::try_from(by).expect("a test has small numbers")
}

/// Windows of the first tenant so far, by what became of them.
async fn windows(service: &Service, outcome: &str) -> f64 {
    let labels = format!("{{outcome=\"{outcome}\",tenant=\"tenant-0\"}}");
    service.metric(&format!("m365_sweep_windows_total{labels}")).await
}

/// Waits until everything was listed once more.
async fn swept_again(service: &Service) {
    // Each feed of the tenant has a window at every sweep, and one may be under way.
    let enough = windows(service, "complete").await + 2.0 * FEEDS;
    eventually("another sweep", async || windows(service, "complete").await >= enough).await;
}

async fn announced(service: &Service, via: &str) -> f64 {
    let labels = format!("{{content_type=\"{KIND}\",tenant=\"tenant-0\",via=\"{via}\"}}");
    service.metric(&format!("m365_content_announced_total{labels}")).await
}

fn times(duration: Duration, times: u64) -> Duration {
    duration * u32::try_from(times).expect("a test has small numbers")
}

fn downloads(service: &Service) -> u64 {
    service.simulator.microsoft().count(None, &Operation::Blob)
}

fn listings(service: &Service) -> u64 {
    service.simulator.microsoft().count(None, &Operation::Content)
}

const KIND: ContentType = ContentType::SharePoint;

const FEEDS: f64 = 5.0;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
