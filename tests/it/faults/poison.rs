//! Entries that cannot be what they say, and what they cost the content around them.

use bytes::Bytes;
use m365_collector::simulator::{
    Fault,
    microsoft::{Entry, IdForm},
};
use uuid::Uuid;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poison {
    Expired,
    ForeignHost,
    Hanging,
    OtherTenant,
    OtherTenantsUri,
    Stalling,
    Undecodable,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_entry_delays_nothing_by_more_than_its_own_timeout() {
    let mut service = restless()
        .with("fetch.timeout", format!("{}s", TIMEOUT.as_secs()))
        .tenants(2)
        .start()
        .await;
    let mut books = Books::default();
    for poison in [
        Poison::ForeignHost,
        Poison::OtherTenant,
        Poison::OtherTenantsUri,
        Poison::Expired,
        Poison::Undecodable,
        Poison::Hanging,
        Poison::Stalling,
    ] {
        // One of a few has to hold, for others use the machine as well.
        let mut tries = Vec::new();
        while tries.len() < TRIES && !tries.last().is_some_and(Times::hold) {
            tries.push(measured(&mut service, &mut books, poison).await);
        }
        assert!(tries.last().is_some_and(Times::hold), "{poison:?}: {tries:#?}");
    }
    // What was refused as notified is found by the sweep, when the listing is stable.
    service.clock.advance(Duration::from_secs(10));
    service.delivered().await;
    books.agree(service, 0).await;
}

/// How long good content takes.
#[derive(Debug)]
struct Times {
    alone: Duration,
    /// Of the same tenant, beside the poison.
    beside: Duration,
    /// Of another tenant, at the same time.
    other: Duration,
    /// What the poison may take itself.
    own: Duration,
}

impl Times {
    fn hold(&self) -> bool {
        self.beside <= self.alone + self.own + NOISE && self.other <= self.alone + NOISE
    }
}

async fn measured(service: &mut Service, books: &mut Books, poison: Poison) -> Times {
    let alone = good(service, books, 0).await;
    for _ in 0..POISONED {
        publish(service, books, poison);
    }
    let beside = good(service, books, 0).await;
    let other = good(service, books, 1).await;
    service.simulator.microsoft().heal();
    service.settled().await;
    let own = match poison {
        Poison::Hanging | Poison::Stalling => TIMEOUT,
        _ => Duration::ZERO,
    };
    Times { alone, beside, other, own }
}

/// Publishes good content and says how long it takes to arrive.
async fn good(service: &mut Service, books: &mut Books, tenant: usize) -> Duration {
    let since = Instant::now();
    let mut expected = Vec::new();
    for _ in 0..GOOD {
        expected.extend(books.publish(service, (tenant, FEED), 3, |_| {}).1);
    }
    arrive(service, since, &expected).await
}

fn publish(service: &mut Service, books: &mut Books, poison: Poison) {
    let tenant = service.tenant(0);
    let feed = Feed { tenant, content_type: FEED };
    let microsoft = service.simulator.microsoft().clone();
    match poison {
        Poison::Expired => {
            let blob = Blob::Bytes(Bytes::from_static(b"[]"));
            let id = microsoft.publish_raw(tenant, FEED, blob);
            microsoft.expire(tenant, &id);
            books.doomed.content(&id);
            books.ends(feed).expired += 1;
        }
        Poison::Undecodable => {
            let blob = Blob::Bytes(Bytes::from_static(b"<html>Our services are down</html>"));
            let id = microsoft.publish_raw(tenant, FEED, blob);
            books.doomed.content(&id);
            books.ends(feed).dead += 1;
        }
        Poison::Hanging | Poison::Stalling => {
            let fault = match poison {
                Poison::Hanging => Fault::Hang,
                _ => Fault::StallBody { after: 1000 },
            };
            books.publish(service, (0, FEED), 2, |publication| {
                publication.fault = Some((fault, u32::MAX));
            });
        }
        Poison::ForeignHost | Poison::OtherTenant | Poison::OtherTenantsUri => {
            let (id, _) = books.publish(service, (0, FEED), 2, |publication| {
                publication.announcing = Some(Announcing::LOST);
            });
            let entry = microsoft.entry(tenant, &id, IdForm::Listed).expect("it was published");
            let other = service.tenant(1).to_string();
            let uri = &entry.content_uri;
            let entry = match poison {
                Poison::ForeignHost => {
                    Entry { content_uri: "https://192.0.2.1/audit".to_owned(), ..entry }
                }
                Poison::OtherTenant => Entry { tenant_id: Uuid::new_v4().to_string(), ..entry },
                _ => {
                    Entry { content_uri: uri.replace(&tenant.to_string(), &other), ..entry.clone() }
                }
            };
            microsoft.notify(tenant, FEED, &entry);
        }
    }
}

const FEED: ContentType = ContentType::General;

/// More than one tenant has places.
const POISONED: usize = 20;

/// Good contents in each measurement.
const GOOD: usize = 10;

const TIMEOUT: Duration = Duration::from_secs(2);

/// Measurements of one poison at most.
const TRIES: usize = 3;

/// What two runs of the same differ by on a busy machine.
const NOISE: Duration = Duration::from_millis(750);
