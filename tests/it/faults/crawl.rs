//! A tenant that crawls, beside one that does not.

use m365_collector::simulator::Fault;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_tenant_leaves_the_other_its_time() {
    let told = Fault::Throttled429 { retry_after: Some(Duration::from_secs(1)) };
    beside(&[told, Fault::Code429Text("0m 1s".to_owned()), Fault::Throttled403]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_answers_are_slow_leaves_the_other_its_time() {
    let drip = Fault::Drip { bytes: usize::MAX, every: Duration::from_secs(2) };
    beside(&[drip]).await;
}

/// Measures one tenant alone and beside one with each of these troubles; of each, one pair of a few
/// has to hold, for others use the machine as well.
async fn beside(troubles: &[Fault]) {
    // Listing gives way to blobs when half of this is spent, and its end is waited for below.
    let mut service = restless().with("fetch.requests_per_minute", 20_000).tenants(2).start().await;
    let mut books = Books::default();
    for trouble in troubles {
        let mut pairs = Vec::new();
        while pairs.len() < TRIES && !pairs.last().is_some_and(holds) {
            pairs.push(pair(&mut service, &mut books, trouble).await);
        }
        assert!(pairs.last().is_some_and(holds), "{trouble:?}: alone and beside: {pairs:?}");
    }
    service.delivered().await;
    books.agree(service, 0).await;
}

fn holds((alone, beside): &(Duration, Duration)) -> bool {
    *beside <= alone.mul_f64(1.2) + NOISE
}

async fn pair(service: &mut Service, books: &mut Books, trouble: &Fault) -> (Duration, Duration) {
    let alone = finish(service, books).await;
    let crawling = service.tenant(1);
    let microsoft = service.simulator.microsoft().clone();
    for operation in &OPERATIONS {
        microsoft.fail_tenant(crawling, operation.clone(), trouble.clone(), u32::MAX);
    }
    let count = |operation| microsoft.count(Some(crawling), operation);
    let asked: u64 = OPERATIONS.iter().map(count).sum();
    for _ in 0..CRAWLING {
        books.publish(service, (1, FEED), 2, |_| {});
    }
    eventually("the other one crawls", async || OPERATIONS.iter().map(count).sum::<u64>() > asked)
        .await;
    let beside = finish(service, books).await;
    microsoft.heal();
    service.delivered().await;
    (alone, beside)
}

/// The time a healthy tenant needs, with blobs that take theirs so that the machine matters little.
async fn finish(service: &mut Service, books: &mut Books) -> Duration {
    let since = Instant::now();
    let mut expected = Vec::new();
    for _ in 0..HEALTHY {
        let fault = Fault::Drip { bytes: usize::MAX, every: Duration::from_millis(80) };
        let (_, records) = books.publish(service, (0, FEED), 3, |publication| {
            publication.fault = Some((fault, 1));
        });
        expected.extend(records);
    }
    arrive(service, since, &expected).await
}

/// What a throttled tenant is refused; whichever comes first pauses the rest.
const OPERATIONS: [Operation; 3] = [Operation::Blob, Operation::Content, Operation::List];

const FEED: ContentType = ContentType::Exchange;

/// Contents of the tenant that is measured, each time: ten for every place it may have.
const HEALTHY: usize = 160;

/// Contents of the one that crawls: more than it has places.
const CRAWLING: usize = 40;

/// Pairs measured of one trouble at most.
const TRIES: usize = 3;

/// What two runs of the same differ by on a busy machine.
const NOISE: Duration = Duration::from_millis(200);
