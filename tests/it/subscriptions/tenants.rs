//! One tenant's trouble is nobody else's.

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Operation},
};

use super::MINUTE;
use crate::support::{Service, eventually};

async fn three_tenants() -> Service {
    Service::builder()
        .tenants(3)
        .with("subscriptions.check_interval", "1s")
        .with("fetch.timeout", "3s")
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_hangs_or_is_refused_delays_no_other() {
    let service = three_tenants().await;
    let microsoft = service.simulator.microsoft().clone();
    microsoft.fail_tenant(service.tenant(0), Operation::List, Fault::Hang, u32::MAX);
    let refused = Fault::Af(10_001);
    microsoft.fail_tenant(service.tenant(1), Operation::List, refused, u32::MAX);
    for tenant in 0..3 {
        service.change(tenant, ContentType::Exchange, |subscription| subscription.webhook = None);
    }
    service.clock.advance(16 * MINUTE);
    let feed = ContentType::Exchange;
    eventually("the third is mended", async || service.is_as_wanted(2, feed)).await;
    assert_eq!((service.starts(0), service.starts(1), service.starts(2)), (5, 5, 6));
    eventually("the others are shown with their reason", async || {
        let (_, ready) = service.admin("/readyz").await;
        ready.contains("tenant-0: timeout")
            && ready.contains("tenant-1: role_missing")
            && !ready.contains("tenant-2")
    })
    .await;
    let (code, ready) = service.admin("/readyz").await;
    assert_eq!(code, 200, "Microsoft being away is no reason to be taken out: {ready}");
    assert!(ready.contains("degraded"), "{ready}");

    microsoft.heal();
    eventually("all are mended", async || (0..3).all(|tenant| service.is_as_wanted(tenant, feed)))
        .await;
    assert_eq!(microsoft.without_publisher(), 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_stays_pending_delays_neither_its_siblings_nor_other_tenants() {
    let service = three_tenants().await;
    let microsoft = service.simulator.microsoft().clone();
    // One of the first tenant's five starts is never answered.
    microsoft.fail_tenant(service.tenant(0), Operation::Start, Fault::Hang, 1);
    for feed in ContentType::ALL {
        service.change(0, feed, |subscription| subscription.webhook = None);
        service.change(1, feed, |subscription| subscription.webhook = None);
    }
    service.clock.advance(16 * MINUTE);
    let mended = |tenant: usize| {
        let feeds = ContentType::ALL.into_iter();
        feeds.filter(|feed| service.is_as_wanted(tenant, *feed)).count()
    };
    eventually("all the others are mended", async || (mended(0), mended(1)) == (4, 5)).await;
    service.finish().await;
}
