//! One replica is cut off from the database, and lives on.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use m365_collector::{
    content::ContentType,
    simulator::{
        Blob, Fault,
        microsoft::{Announcing, Publication},
    },
};
use tokio::time::{Instant, sleep};
use url::Url;

use super::{
    books::{Load, only_cut_came_again, say},
    fleet::Fleet,
    lasting,
    link::Link,
    watch::{Ledger, Watch},
};
use crate::support::{eventually, get, postgres::Postgres};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_up_on_the_way_comes_too_late() {
    cut_off(Link::mend, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_any_more_are_given_up() {
    cut_off(Link::replace, false).await;
}

/// A replica that is cut off until its duties are taken over, or until its leases are as well.
async fn cut_off(come_back: fn(&Link), for_long: bool) {
    let database = Postgres::shared().database().await;
    let mut url = Url::parse(&database).expect("it is one");
    let port = url.port().expect("it has one");
    let link = Link::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    url.set_port(Some(link.address.port())).expect("it has a host");
    let mut fleet = Fleet::new(&database, 3, 3, |_| ()).await;
    fleet.site.set("sweep.interval", "2s");
    fleet.places[0].database = Some(url.to_string());
    fleet.start().await;
    let mut ledger = Ledger::new(&database);
    let watch = Watch::start(&database);
    let load = Load::start(&fleet, 10);
    hold(&fleet, &mut ledger).await;

    let name = fleet.life(0).name.clone();
    let held = duties_of(&mut ledger, &name).await;
    assert!(held > 0, "it holds duties");
    link.cut();
    let since = Instant::now();
    let waiting = ledger.contents("state = 'waiting'").await.expect("the database is there");
    eventually("its duties are taken over", async || duties_of(&mut ledger, &name).await == 0)
        .await;
    let took = since.elapsed();
    assert!(took < TAKEN_OVER, "{took:?}");
    eventually("it is not ready", async || get(fleet.places[0].admin, "/readyz").await.0 == 503)
        .await;
    if for_long {
        let waiting: HashSet<_> = waiting.iter().cloned().collect();
        eventually("what it held is delivered by others", async || {
            let left = ledger.contents("state = 'waiting'").await.unwrap_or_default();
            left.iter().all(|content| !waiting.contains(content))
        })
        .await;
    }
    sleep(lasting(5, 40)).await;
    assert_eq!(get(fleet.places[0].admin, "/livez").await.0, 200);
    come_back(&link);
    let since = Instant::now();
    eventually("it is ready again", async || get(fleet.places[0].admin, "/readyz").await.0 == 200)
        .await;
    let ready = since.elapsed();
    fleet.is_shared_out().await;
    say(&format!(
        "taken over after {took:.1?}; ready again after {ready:.1?}, with its part of the duties \
         after {:.1?}",
        since.elapsed()
    ));
    sleep(Duration::from_secs(2)).await;
    let book = load.stop().await;
    let arrivals = book.delivered_beside(&fleet, &mut ledger, SLOW).await;
    let cut = HashMap::from([(name.clone(), waiting.into_iter().collect::<HashSet<_>>())]);
    only_cut_came_again(&arrivals, &book, &cut);
    let (listings, changes) = watch.stop().await.one_at_a_time(&fleet);
    assert!(listings > 0, "{listings} listings, {changes} changes");
    fleet.finish().await;
}

/// Makes everybody hold leases for long.
async fn hold(fleet: &Fleet, ledger: &mut Ledger) {
    let tenant = fleet.site.tenant(0);
    for nth in 0..SLOW {
        let blob = Blob::array(&[format!("{{\"Id\":\"slow-{nth}\"}}")]);
        let fault = Fault::Drip { bytes: 1, every: Duration::from_secs(1) };
        let publication = Publication {
            fault: Some((fault, 1)),
            announcing: Some(Announcing::default()),
            ..Publication::of(blob)
        };
        fleet.site.simulator.microsoft().publish_as(tenant, ContentType::General, publication);
    }
    eventually("slow contents are leased", async || {
        ledger.count("lease IS NOT NULL").await.is_some_and(|leased| leased >= SLOW)
    })
    .await;
}

async fn duties_of(ledger: &mut Ledger, name: &str) -> usize {
    let holders = ledger.holders().await.expect("the database is there");
    holders.iter().filter(|holder| *holder == name).count()
}

/// A term of ten seconds, signs of life every two, and a machine that is busy.
const TAKEN_OVER: Duration = Duration::from_secs(20);

/// Contents that take long.
const SLOW: usize = 12;
