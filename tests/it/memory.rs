//! I7: memory does not depend on the size of a blob. Measured on the real binary, alone in its
//! process.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{Blob, DevoMode, Feed, generator::Records},
};

use tokio::{task, time::sleep};

use crate::support::{binary::Binary, eventually, get, metrics, patience};

const TYPE: ContentType = ContentType::SharePoint;

const MIB: u64 = 1024 * 1024;

/// The peak after a first small blob and one of this size, in KiB. While the second is fetched,
/// the receiver reads nothing for a moment, so that whatever can pile up does.
async fn peak_after(total_bytes: u64) -> u64 {
    let binary = Binary::start(&[]).await;
    let devo = binary.simulator.devo();
    let feed = Feed { tenant: binary.tenant, content_type: TYPE };
    let confirmed = format!(
        "m365_messages_successfully_processed_total{{content_type=\"{TYPE}\",tenant=\"tenant-0\"}}"
    );
    let mut expected = 0;
    for (seed, total_bytes) in [(1, MIB), (2, total_bytes)] {
        let blob = Blob::Generated { total_bytes, seed };
        binary.simulator.microsoft().publish_raw(binary.tenant, TYPE, blob);
        let count = move || Records::new(seed, feed, total_bytes).count() as u64;
        let count = task::spawn_blocking(count);
        if seed == 2 {
            devo.behave(DevoMode::Stall);
            sleep(Duration::from_secs(1)).await;
            devo.behave(DevoMode::Normal);
        }
        expected += count.await.expect("records can be made");
        devo.wait_for(expected, 4 * patience()).await.expect("every record arrives");
        eventually("every record is confirmed", async || {
            let (_, page) = get(binary.admin, "/metrics").await;
            metrics::value(&page, &confirmed) == Some(expected as f64)
        })
        .await;
    }
    let received = devo.received();
    assert_eq!((received.lines, received.distinct), (expected, expected));
    assert_eq!(received.malformed, 0);
    binary.peak_kib()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_of_half_a_gigabyte_needs_no_more_memory_than_a_small_one() {
    let small = peak_after(5 * MIB).await;
    let large = peak_after(512 * MIB).await;
    assert!(large < 64 * 1024, "{large} KiB for a large blob");
    assert!(large <= small + small / 10, "{large} KiB for a large blob, {small} for a small one");
}
