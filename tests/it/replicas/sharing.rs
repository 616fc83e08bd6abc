//! What one replica learns and the others have to know.

use std::time::Duration;

use m365_collector::{
    content::ContentType,
    simulator::{Fault, Generator, Operation},
};
use tokio::time::{Instant, sleep};

use super::{
    books::{Load, arrivals},
    fleet::Fleet,
    watch::Ledger,
};
use crate::support::{balancer::Kind, eventually, metrics::labelled, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_may_reach_another_than_the_one_that_started() {
    validated_by_others(Kind::Haproxy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_validation_through_nginx_may_reach_another_than_the_one_that_started() {
    validated_by_others(Kind::Nginx).await;
}

async fn validated_by_others(kind: Kind) {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::behind(kind, &database, 2, 3, |_| ()).await;
    let microsoft = fleet.site.simulator.microsoft().clone();
    // Nothing is started before everybody is there.
    microsoft.fail(Operation::List, Fault::Empty(503), u32::MAX);
    fleet.assemble().await;
    // Nor before the balancer, which looks every two seconds, has seen them.
    sleep(Duration::from_secs(3)).await;
    microsoft.heal_operation(None, &Operation::List);
    let wanted = 2 * ContentType::ALL.len();
    fleet.site.registered(wanted).await;
    let (mut without, mut all) = (0.0, 0.0);
    for place in 0..3 {
        let series = labelled("m365_webhook_requests_total", &[("outcome", "validated")]);
        let validated = fleet.metric(place, &series).await;
        let publisher = fleet.life(place).publisher.clone();
        let starts = microsoft.requests().into_iter().filter(|request| {
            request.operation == Operation::Start && request.publisher.as_ref() == Some(&publisher)
        });
        all += validated;
        if starts.count() == 0 {
            without += validated;
        }
    }
    assert_eq!(microsoft.count(None, &Operation::Start), wanted as u64, "each is started once");
    assert_eq!(all.to_string(), wanted.to_string(), "each is validated once");
    // Two tenants have two keepers at most, and the balancer asks all three in turn.
    assert!(without > 0.0, "somebody who started nothing is asked as well");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_one_delivered_is_known_to_the_others_within_seconds() {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::new(&database, 1, 3, |_| ()).await;
    fleet.start().await;
    let microsoft = fleet.site.simulator.microsoft().clone();
    let (tenant, mut ledger) = (fleet.site.tenant(0), Ledger::new(&database));
    let records = Generator::new(1).records(tenant, ContentType::Exchange, 50);
    microsoft.publish(tenant, ContentType::Exchange, &records);
    let delivered = async |ledger: &mut Ledger, contents| {
        eventually("everything is delivered", async || {
            ledger.count("state = 'delivered'").await == Some(contents)
        })
        .await;
    };
    delivered(&mut ledger, 1).await;
    sleep(KNOWN).await;
    // As often as it takes until each of them has had it.
    let mut contents = 1;
    loop {
        for _ in 0..6 {
            microsoft.publish(tenant, ContentType::Exchange, &records);
            contents += 1;
        }
        delivered(&mut ledger, contents).await;
        let mut recognised = 0;
        for place in 0..3 {
            let series = labelled("m365_records_duplicate_total", &[("tenant", "tenant-0")]);
            recognised += usize::from(fleet.metric(place, &series).await > 0.0);
        }
        if recognised == 3 {
            break;
        }
        assert!(contents < 600, "only {recognised} have had any of {contents} contents");
    }
    let arrivals = arrivals(&fleet);
    assert_eq!(arrivals.len(), records.len());
    assert!(arrivals.values().all(|by| by.len() == 1), "each arrived once");
    fleet.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_is_throttled_by_slows_all() {
    let database = Postgres::shared().database().await;
    let mut fleet = Fleet::new(&database, 1, 3, |_| ()).await;
    fleet.start().await;
    let microsoft = fleet.site.simulator.microsoft().clone();
    let tenant = fleet.site.tenant(0);
    let load = Load::start(&fleet, 15);
    let under_way = |least: usize| {
        let microsoft = microsoft.clone();
        let fetches = move || microsoft.count(Some(tenant), &Operation::Blob);
        let before = fetches();
        async move {
            eventually("content is fetched", async || fetches() >= before + least as u64).await;
        }
    };
    under_way(60).await;
    let retry_after = Some(PAUSE);
    microsoft.fail(Operation::Blob, Fault::Throttled429 { retry_after }, 1);
    let mut throttled = None;
    eventually("one is throttled", async || {
        let requests = microsoft.requests();
        throttled = requests.iter().rev().find(|it| it.status == Some(429)).map(|it| it.at);
        throttled.is_some()
    })
    .await;
    let from = throttled.expect("it was found") + KNOWN;
    let to = throttled.expect("it was found") + PAUSE - Duration::from_millis(200);
    under_way(60).await;
    assert!(Instant::now() > to, "a pause is a pause");
    let requests = microsoft.requests();
    let meanwhile =
        requests.iter().filter(|it| it.tenant == Some(tenant) && it.operation != Operation::Token);
    let meanwhile: Vec<_> = meanwhile.filter(|it| it.at > from && it.at < to).collect();
    assert!(meanwhile.is_empty(), "asked in the pause: {meanwhile:?}");
    let book = load.stop().await;
    book.delivered(&fleet, &mut Ledger::new(&database)).await;
    fleet.finish().await;
}

/// Others look every second.
const KNOWN: Duration = Duration::from_secs(3);

const PAUSE: Duration = Duration::from_secs(12);
