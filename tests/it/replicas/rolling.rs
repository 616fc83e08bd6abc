//! Every replica is replaced in its turn, under load.

use super::{
    books::{Load, again, all_taken, say},
    fleet::{Fleet, balanced},
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
        fleet.join(place).await;
    }
    let book = load.stop().await;
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    assert_eq!(again(&arrivals).count(), 0, "nothing comes twice");
    let taken = all_taken(&fleet);
    let (listings, changes) = watch.stop().await.one_at_a_time(&fleet);
    say(&format!(
        "{taken} notifications, all answered with 200; {listings} listings, {changes} times another \
         replica swept"
    ));
    fleet.finish().await;
}
