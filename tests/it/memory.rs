//! I7: memory does not depend on the size of a blob. Measured on the real binary, alone in its
//! process.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use m365_collector::{
    content::ContentType,
    simulator::{Blob, DevoMode, Feed, generator::Records},
};
use tokio::{task, time::sleep};

use crate::support::{
    collector::Site,
    eventually, get,
    memory::{of_files_kib, peak_kib},
    metrics, patience,
};

const TYPE: ContentType = ContentType::SharePoint;

const MIB: u64 = 1024 * 1024;

/// Of our own, for one blob at a time and the third of a million records that half a gigabyte has.
const MOST_KIB: u64 = 40 * 1024;

/// The peak in KiB after one small blob and then these, one fetched after the other, with this
/// bound of remembered records. While the first of them is fetched, the receiver reads nothing for
/// a moment, so that whatever can pile up does.
async fn peak_after(blobs: usize, total_bytes: u64, remember_max: Option<u64>) -> Peak {
    let mut site = Site::start(1, None, |_| {}).await;
    site.set("fetch.concurrency", &1);
    if let Some(most) = remember_max {
        site.set("records.remember_max", &most);
    }
    let collector = site.run().await;
    site.registered(ContentType::ALL.len()).await;
    let devo = site.simulator.devo();
    let feed = Feed { tenant: site.tenant(0), content_type: TYPE };
    let confirmed = format!(
        "m365_messages_successfully_processed_total{{content_type=\"{TYPE}\",tenant=\"tenant-0\"}}"
    );
    let mut expected = 0;
    for (first_seed, blobs, total_bytes) in [(1, 1, MIB), (2, blobs, total_bytes)] {
        let seeds = (first_seed..).take(blobs);
        for seed in seeds.clone() {
            let blob = Blob::Generated { total_bytes, seed };
            site.simulator.microsoft().publish_raw(feed.tenant, TYPE, blob);
        }
        let count = move || {
            seeds.map(|seed| Records::new(seed, feed, total_bytes).count() as u64).sum::<u64>()
        };
        let count = task::spawn_blocking(count);
        if first_seed > 1 {
            devo.behave(DevoMode::Stall);
            sleep(Duration::from_secs(1)).await;
            devo.behave(DevoMode::Normal);
        }
        expected += count.await.expect("records can be made");
        devo.wait_for(expected, 4 * patience()).await.expect("every record arrives");
        eventually("every record is confirmed", async || {
            let (_, page) = get(site.admin, "/metrics").await;
            metrics::value(&page, &confirmed) == Some(expected as f64)
        })
        .await;
    }
    let received = devo.received();
    assert_eq!((received.lines, received.distinct), (expected, expected));
    assert_eq!(received.malformed, 0);
    let process = collector.process.id();
    Peak { kib: peak_kib(process), of_files_kib: of_files_kib(process) }
}

/// The most memory a process had resident.
struct Peak {
    kib: u64,
    /// Of it, pages of the program itself and its libraries, which a build for tests has many of.
    of_files_kib: u64,
}

impl Peak {
    /// What the process asked for.
    fn own_kib(&self) -> u64 {
        self.kib - self.of_files_kib
    }
}

impl Display for Peak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kib, of_files_kib } = self;
        write!(f, "{kib} KiB ({of_files_kib} KiB of them its program)")
    }
}

/// What is remembered costs memory by the number of records, whatever blobs they came in: so the
/// large blob is compared with as many records in small ones.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
async fn half_a_gigabyte_in_one_blob_needs_no_more_memory_than_in_many() {
    let many = peak_after(103, 5 * MIB, None).await;
    let one = peak_after(1, 512 * MIB, None).await;
    eprintln!("half a gigabyte: {one} in one blob, {many} in blobs of 5 MiB");
    assert!(one.own_kib() < MOST_KIB, "{one} for a large blob");
    assert!(one.kib <= many.kib + many.kib / 10, "{one} for one blob, {many} for many");
}

/// And where little is remembered, with one small blob alone.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stderr, reason = "the figures are of interest")]
async fn a_blob_of_half_a_gigabyte_needs_no_more_memory_than_a_small_one() {
    let small = peak_after(1, 5 * MIB, Some(10_000)).await;
    let large = peak_after(1, 512 * MIB, Some(10_000)).await;
    eprintln!("{large} for a blob of 512 MiB, {small} for one of 5 MiB");
    assert!(large.own_kib() < MOST_KIB, "{large} for a large blob");
    assert!(
        large.kib <= small.kib + small.kib / 10,
        "{large} for a large, {small} for a small one"
    );
}
