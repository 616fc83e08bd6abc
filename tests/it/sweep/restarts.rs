//! How far the sweep came is not forgotten, and what happened meanwhile is found.

use super::*;
use crate::support::books::Doomed;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_does_not_begin_anew() {
    let feeds = u64::try_from(ContentType::ALL.len()).unwrap();
    let mut service = Service::builder().start().await;
    // Seven days are seven windows; nothing is known of this file.
    let complete = async || windows(&service, "complete").await >= 7.0 * feeds as f64;
    eventually("the week is swept", complete).await;
    service.stop().await;
    let before = listings(&service);
    service.run().await;
    let complete = async || windows(&service, "complete").await >= feeds as f64;
    eventually("the last day is swept", complete).await;
    assert_eq!(listings(&service), before + feeds);
    let (_, metrics) = service.admin("/metrics").await;
    let complete = metrics
        .lines()
        .filter(|line| line.starts_with("m365_sweep_last_complete_timestamp_seconds{"))
        .filter(|line| !line.ends_with(" 0"));
    assert_eq!(complete.count(), ContentType::ALL.len());
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_while_nobody_listened_is_found_at_the_start() {
    let mut service = sweeping().start().await;
    swept_again(&service).await;
    service.stop().await;
    for (seed, hours) in (0..).zip([1, 5, 23]) {
        unannounced(&mut service, seed, hours * HOUR);
    }
    service.run().await;
    service.delivered().await;

    // Longer than the start looks back: the week is due by then.
    service.stop().await;
    unannounced(&mut service, 9, HOUR);
    service.clock.advance(3 * DAY);
    service.run().await;
    service.delivered().await;
    assert_eq!(downloads(&service), 4);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_cut_off_by_a_kill_is_due_again() {
    let mut service = sweeping().without_webhook().world(|world| world.page_size = 2).start().await;
    for seed in 0..40 {
        unannounced(&mut service, seed, MINUTE);
    }
    eventually("the sweep is under way", async || announced(&service, "sweep").await >= 4.0).await;
    service.kill().await;
    service.run().await;
    // What was sent and not settled is sent again; nothing is missing.
    eventually("every content is settled", async || {
        service.status().await.iter().map(|row| row.delivered).sum::<u64>() == 40
    })
    .await;
    assert_eq!(service.simulator.devo().received().distinct, 120);
    swept_again(&service).await;
    service.agrees(&Doomed::default()).await;
    service.stop().await;
    assert_eq!(service.sweeps(0).await.len(), 3 * ContentType::ALL.len());
}
