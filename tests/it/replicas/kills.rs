//! One replica after the other is killed without notice, under load.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use rand::RngExt as _;
use tokio::time::{Instant, sleep};

use super::{
    books::{Load, only_cut_came_again, say},
    fleet::Fleet,
    lasting,
    watch::{Ledger, Watch},
};
use crate::{outages::seeded, support::postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_repeat_only_what_they_cut() {
    let (_, mut random) = seeded();
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::new(&database, 3, 3, |_| ()).await;
    fleet.site.set("sweep.interval", "2s");
    fleet.site.set("fetch.requests_per_minute", &BUDGET);
    fleet.start().await;
    let mut ledger = Ledger::new(&database);
    let watch = Watch::start(&database);
    let load = Load::start(&fleet, 6);

    let mut cut = HashMap::new();
    let end = Instant::now() + lasting(25, 60);
    while Instant::now() < end {
        sleep(Duration::from_millis(random.random_range(2000..5000))).await;
        let place = random.random_range(0..3);
        fleet.kill(place);
        let name = fleet.life(place).name.clone();
        // What it committed last is seen after the death of its connections.
        sleep(Duration::from_millis(200)).await;
        let unsettled = ledger.contents("state = 'waiting'").await.expect("the database is there");
        cut.insert(name, unsettled.into_iter().collect::<HashSet<_>>());
        fleet.begin(place);
        fleet.is_up(place).await;
    }
    let book = load.stop().await;
    let arrivals = book.delivered(&fleet, &mut ledger).await;
    only_cut_came_again(&arrivals, &book, &cut);
    fleet.is_shared_out().await;
    let (listings, changes) = watch.stop().await.one_at_a_time(&fleet);
    assert!(listings > 0 && changes > 0, "{listings} listings, {changes} changes");
    let most = most_in_a_minute(&fleet);
    say(&format!(
        "{} kills; {listings} listings, {changes} times another replica swept; at most {most:?} \
         requests of a tenant in a minute, of {BUDGET}",
        cut.len(),
    ));
    assert!(most.iter().all(|most| *most <= BUDGET), "{most:?}");
    fleet.finish().await;
}

/// The most requests in any minute, of each tenant.
pub fn most_in_a_minute(fleet: &Fleet) -> Vec<usize> {
    let microsoft = fleet.site.simulator.microsoft();
    let tenants = fleet.site.tenants.iter().map(|(_, tenant)| tenant.id);
    tenants.map(|id| microsoft.most_requests_within(id, Duration::from_secs(60))).collect()
}

/// Less than the load and the sweeps would take.
const BUDGET: usize = 150;
