//! What somebody has to allow first.

use m365_collector::simulator::Fault;

use super::*;
use crate::support::books::Doomed;

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_listing_is_reported_and_goes_on_when_it_is_allowed() {
    for fault in [Fault::Af(20_023), Fault::AuditingOff, Fault::Af(10_001), Fault::Unauthorized] {
        let mut service = sweeping().without_webhook().start().await;
        service.simulator.microsoft().fail(Operation::Content, fault.clone(), u32::MAX);
        unannounced(&mut service, 1, MINUTE);
        let refused = async || windows(&service, "refused").await >= 2.0;
        eventually("the listing is refused", refused).await;
        assert_eq!(announced(&service, "sweep").await, 0.0, "{fault:?}");
        service.simulator.microsoft().heal();
        service.delivered().await;
        service.agrees(&Doomed::default()).await;
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenant_that_is_throttled_delays_no_other() {
    let mut service = sweeping().without_webhook().tenants(2).start().await;
    let throttled = Fault::Throttled429 { retry_after: Some(Duration::from_secs(3600)) };
    let crawling = service.tenant(1);
    service.simulator.microsoft().fail_tenant(crawling, Operation::Content, throttled, u32::MAX);
    for seed in 0..10 {
        unannounced(&mut service, seed, MINUTE);
    }
    service.delivered().await;
    service.finish().await;
}
