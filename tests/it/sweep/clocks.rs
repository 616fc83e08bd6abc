//! Clocks that are wrong, and clocks that jump.

use m365_collector::{clock::Clock, ledger::SweepDepth};

use super::*;
use crate::support::books::Doomed;

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_ahead_misses_nothing() {
    let ours = Clock::system();
    ours.advance(HOUR);
    collects_with(ours, Clock::system()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_behind_misses_nothing() {
    let theirs = Clock::system();
    theirs.advance(HOUR);
    collects_with(Clock::system(), theirs).await;
}

async fn collects_with(ours: Clock, theirs: Clock) {
    let mut service = sweeping()
        .with("sweep.settle", "0s")
        .with("sweep.startup_lookback", "167h55m")
        .clock(ours)
        .world(|world| world.clock = theirs)
        .start()
        .await;
    for (seed, created_ago) in (0..).zip([10, 600, 3000, 3700, 6000]) {
        unannounced(&mut service, seed, Duration::from_secs(created_ago));
    }
    service.delivered().await;
    assert_eq!(windows(&service, "failed").await, 0.0);
    completed_until_what_microsoft_has(&service).await;
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_of_our_clock_is_noticed() {
    let (ours, theirs) = (Clock::system(), Clock::system());
    let mut service = sweeping()
        .without_webhook()
        .clock(ours.clone())
        .world(|world| world.clock = theirs.clone())
        .start()
        .await;
    unannounced(&mut service, 1, MINUTE);
    service.delivered().await;
    ours.advance(HOUR);
    unannounced(&mut service, 2, MINUTE);
    service.delivered().await;
    completed_until_what_microsoft_has(&service).await;
    // Ours is an hour behind now.
    theirs.advance(2 * HOUR);
    unannounced(&mut service, 3, MINUTE);
    service.delivered().await;
    completed_until_what_microsoft_has(&service).await;
    assert_eq!(windows(&service, "failed").await, 0.0);
    service.agrees(&Doomed::default()).await;
    service.finish().await;
}

/// No sweep may be noted as complete beyond what Microsoft could list.
async fn completed_until_what_microsoft_has(service: &Service) {
    swept_again(service).await;
    let mut sweeps = service.sweeps(0).await;
    sweeps.retain(|swept| swept.depth == SweepDepth::Recent);
    assert_eq!(sweeps.len(), ContentType::ALL.len());
    let now = service.simulator.clock().now();
    for swept in sweeps {
        let behind = now.duration_since(swept.until).as_secs();
        assert!((3..=90).contains(&behind), "complete until {behind} s ago: {swept:?}");
    }
}
