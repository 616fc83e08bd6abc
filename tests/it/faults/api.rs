//! An API that fails in every way at once, for two tenants, while content is published.

use m365_collector::simulator::{Fault, microsoft::IdForm};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_by_a_failing_api() {
    failing(11).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_by_an_api_that_fails_otherwise() {
    failing(12).await;
}

async fn failing(seed: u64) {
    let mut lots = Lots::new(seed);
    let mut service = restless()
        .with("fetch.timeout", "1s")
        .with("subscriptions.check_interval", "1s")
        .world(|world| world.page_size = 5)
        .tenants(2)
        .start()
        .await;
    let microsoft = service.simulator.microsoft().clone();
    let mut books = Books::default();
    for round in 0..ROUNDS {
        for tenant in 0..2 {
            for _ in 0..FAULTS {
                let operation = lots.pick(&OPERATIONS);
                let fault = drawn(&mut lots, &operation);
                let times = u32::try_from(1 + lots.below(2)).expect("two is small");
                microsoft.fail_tenant(service.tenant(tenant), operation, fault, times);
            }
            for _ in 0..CONTENTS {
                publish(&mut service, &mut books, &mut lots, tenant);
            }
        }
        if round == 0 {
            without_tokens(&service).await;
        }
        let before = service.simulator.devo().received().distinct;
        eventually("something arrives", async || {
            service.simulator.devo().received().distinct > before
        })
        .await;
    }
    service.clock.advance(Duration::from_secs(10));
    service.delivered().await;
    let blobs = books.published();
    let (given, refused) = downloads(&service);
    let requests = microsoft.requests();
    let failed = requests.iter().filter(|request| request.status != Some(200)).count();
    assert!(
        refused > 0 && given >= blobs && failed >= 40,
        "seed {seed}: {given} downloads of {blobs} blobs, {refused} refused; {failed} of {} \
         requests failed",
        requests.len(),
    );
    microsoft.heal();
    books.agree(service, lots.seed).await;
}

/// Every token is worthless and Entra is away, until it was asked in vain a few times.
async fn without_tokens(service: &Service) {
    let microsoft = service.simulator.microsoft();
    let asked = microsoft.count(None, &Operation::Token);
    for tenant in 0..2 {
        let tenant = service.tenant(tenant);
        microsoft.fail_tenant(tenant, Operation::Token, Fault::Reset, 1);
        microsoft.fail_tenant(tenant, Operation::Token, Fault::Html(503), u32::MAX);
    }
    microsoft.forget_tokens();
    eventually("Entra is asked in vain", async || {
        microsoft.count(None, &Operation::Token) >= asked + 6
    })
    .await;
    microsoft.heal();
}

fn publish(service: &mut Service, books: &mut Books, lots: &mut Lots, tenant: usize) {
    let content_type = lots.pick(&ContentType::ALL);
    let copies = lots.pick(&[0, 1, 1, 2]);
    let form = lots.pick(&IdForm::ALL);
    let count = usize::try_from(1 + lots.below(30)).expect("thirty is small");
    books.publish(service, (tenant, content_type), count, |publication| {
        publication.announcing = Some(Announcing { copies, form, first: false });
        publication.gzip = Some(copies == 1);
    });
}

fn drawn(lots: &mut Lots, operation: &Operation) -> Fault {
    let after = usize::try_from(lots.below(20_000)).expect("a blob is small");
    let mut faults = vec![
        Fault::Af(50_000),
        Fault::AfSentence(50_005),
        Fault::CutBody { after },
        Fault::Drip { bytes: 2048, every: Duration::from_millis(20) },
        Fault::Empty(408),
        Fault::Empty(503),
        Fault::Html(500),
        Fault::Html(502),
        Fault::Reset,
        Fault::StallBody { after },
    ];
    if *operation != Operation::Token {
        faults.extend([
            Fault::AfSingleQuoted(50_006),
            Fault::Code429Text("0m 1s".to_owned()),
            Fault::Throttled403,
            Fault::Throttled429 { retry_after: None },
            Fault::Throttled429 { retry_after: Some(Duration::from_secs(1)) },
            Fault::Unauthorized,
            Fault::Unauthorized,
        ]);
    }
    lots.pick(&faults)
}

/// Blobs and listings more often than the rest, as in life.
const OPERATIONS: [Operation; 8] = [
    Operation::Blob,
    Operation::Blob,
    Operation::Blob,
    Operation::Content,
    Operation::Content,
    Operation::NextPage,
    Operation::List,
    Operation::Token,
];

const ROUNDS: u64 = 5;

/// Planned for each tenant in each round.
const FAULTS: u64 = 14;

/// Of each tenant in each round.
const CONTENTS: u64 = 30;
