//! The database goes away under load, and comes back.

use std::{collections::HashSet, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    books::{Load, again, say},
    fleet::Fleet,
    lasting,
    watch::Ledger,
};
use crate::support::{eventually, get, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_ended_for_seconds_loses_nothing() {
    through(Postgres::stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_loses_nothing() {
    through(Postgres::kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_loses_nothing() {
    through(Postgres::freeze).await;
}

async fn through(end: fn(&mut Postgres)) {
    let mut server = Postgres::start();
    let database = server.database().await;
    let mut fleet = Fleet::new(&database, 3, 3, |world| {
        // A silent database must not hold all that Microsoft tells at a time.
        world.webhook_timeout = Duration::from_secs(5);
        world.notification_retries = vec![Duration::from_secs(1); 10_000];
    })
    .await;
    fleet.start().await;
    let mut ledger = Ledger::new(&database);
    let load = Load::start(&fleet, 10);
    sleep(Duration::from_secs(3)).await;
    let settled = ledger.contents("state = 'delivered'").await.expect("the database is there");
    tokio::task::block_in_place(|| end(&mut server));
    let away = Instant::now();
    for place in fleet.running() {
        let admin = fleet.places[place].admin;
        eventually("nobody is ready", async || get(admin, "/readyz").await.0 == 503).await;
        assert_eq!(get(admin, "/livez").await.0, 200);
    }
    // Later what is remembered of attempts is full of those that nobody took.
    let acknowledged = acknowledged(&fleet);
    assert!(!acknowledged.is_empty());
    sleep(lasting(10, 30).saturating_sub(away.elapsed())).await;
    tokio::task::block_in_place(|| server.start_again());
    let back = Instant::now();
    eventually("what was acknowledged is stored", async || {
        let stored = ledger.contents("via = 'webhook'").await;
        let Some(stored) = stored.map(|ids| ids.into_iter().collect::<HashSet<_>>()) else {
            return false;
        };
        let missing = acknowledged.iter().filter(|id| !stored.contains(*id)).count();
        assert_eq!(missing, 0, "acknowledged and not stored");
        true
    })
    .await;
    for place in fleet.running() {
        let admin = fleet.places[place].admin;
        eventually("ready again", async || get(admin, "/readyz").await.0 == 200).await;
    }
    let ready = back.elapsed();
    sleep(Duration::from_secs(2)).await;
    let book = load.stop().await;
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    let settled: HashSet<_> = settled.into_iter().collect();
    let repeated = again(&arrivals).any(|(record, _)| settled.contains(&book.records[record]));
    assert!(!repeated, "what was settled never comes again");
    fleet.is_shared_out().await;
    let attempts = fleet.site.simulator.microsoft().attempts();
    let taken = attempts.iter().filter(|attempt| attempt.status == Some(200)).count();
    say(&format!(
        "{} acknowledged before it came back; {taken} of {} notifications taken in all; all ready \
         {ready:.1?} after it",
        acknowledged.len(),
        attempts.len()
    ));
    fleet.finish().await;
}

/// The ids of what was answered with 200.
fn acknowledged(fleet: &Fleet) -> HashSet<String> {
    let attempts = fleet.site.simulator.microsoft().attempts();
    let taken = attempts.iter().filter(|attempt| attempt.status == Some(200));
    let ids =
        taken.flat_map(|attempt| attempt.entries.iter().map(|entry| entry.content_id.clone()));
    ids.collect()
}
