//! Every replica is replaced in its turn, under load.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    books::{Load, again, say},
    fleet::Fleet,
    watch::{Ledger, Watch},
};
use crate::support::postgres::Postgres;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_refuses_nothing_and_repeats_nothing() {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::new(&database, 3, 3, |_| ()).await;
    fleet.site.set("sweep.interval", "2s");
    fleet.start().await;
    balanced().await;
    let mut ledger = Ledger::new(&database);
    let watch = Watch::start(&database);
    let load = Load::start(&fleet, 20);
    for place in 0..3 {
        fleet.stop(place).await;
        fleet.begin(place);
        fleet.is_up(place).await;
        fleet.is_shared_out().await;
        balanced().await;
    }
    let book = load.stop().await;
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    assert_eq!(again(&arrivals).count(), 0, "nothing comes twice");
    let attempts = fleet.site.simulator.microsoft().attempts();
    let other: Vec<_> = attempts.iter().filter(|attempt| attempt.status != Some(200)).collect();
    assert!(other.is_empty(), "of {} notifications: {other:?}", attempts.len());
    let (listings, changes) = watch.stop().await.one_at_a_time(&fleet);
    say(&format!(
        "{} notifications, all answered with 200; {listings} listings, {changes} times another \
         replica swept",
        attempts.len()
    ));
    fleet.finish().await;
}

/// Until the balancer, which looks every two seconds, has seen who is there.
async fn balanced() {
    sleep(Duration::from_secs(3)).await;
}
