//! An API that fails in every way at once, for two tenants, while content is published.

use jiff::Timestamp;
use m365_collector::simulator::{
    Fault,
    microsoft::{IdForm, Request},
};

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
    let since = Instant::now();
    for round in 0..ROUNDS {
        for tenant in 0..2 {
            for _ in 0..FAULTS {
                let operation = lots.pick(&OPERATIONS);
                let fault = drawn(&mut lots, &operation, service.clock.now());
                // Each throttling is a pause, of which there are enough.
                let most = if throttles(&fault) { 1 } else { 2 };
                let times = u32::try_from(1 + lots.below(most)).expect("two is small");
                microsoft.fail_tenant(service.tenant(tenant), operation, fault, times);
            }
            for _ in 0..CONTENTS {
                publish(&mut service, &mut books, &mut lots, tenant);
            }
        }
        match round {
            0 => without_tokens(&service).await,
            2 | 4 => with_faulty_tokens(&service, &mut lots),
            _ => {}
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
    say(&format!(
        "{blobs} blobs, {given} downloads, {refused} refused; {failed} of {} requests failed; {:?}",
        requests.len(),
        since.elapsed(),
    ));
    assert!(
        refused > 0 && given >= blobs && failed >= 100,
        "seed {seed}: {given} downloads of {blobs} blobs, {refused} refused; {failed} of {} \
         requests failed",
        requests.len(),
    );
    microsoft.heal();
    books.agree(service, lots.seed).await;
}

/// Every token is worthless and Entra is away for minutes, in which every retry and every sweep
/// comes due again and again; then each tenant must come back.
async fn without_tokens(service: &Service) {
    let microsoft = service.simulator.microsoft();
    let count =
        |operation| [0, 1].map(|tenant| microsoft.count(Some(service.tenant(tenant)), &operation));
    let granted = || {
        let requests = microsoft.requests();
        [0, 1].map(|tenant| {
            let of = |request: &&Request| {
                request.tenant == Some(service.tenant(tenant))
                    && request.operation == Operation::Token
                    && request.status == Some(200)
            };
            requests.iter().filter(of).count()
        })
    };
    let had = granted();
    for tenant in 0..2 {
        let tenant = service.tenant(tenant);
        microsoft.fail_tenant(tenant, Operation::Token, Fault::Reset, 1);
        microsoft.fail_tenant(tenant, Operation::Token, Fault::Html(503), AWAY - 1);
    }
    let asked = count(Operation::Token);
    microsoft.forget_tokens();
    for times in 1..=u64::from(AWAY) {
        eventually("Entra is asked in vain", async || {
            count(Operation::Token).iter().zip(asked).all(|(now, asked)| *now >= asked + times)
        })
        .await;
        // Less than a lease, which nobody holds for long without a token.
        service.clock.advance(2 * MINUTE);
    }
    eventually("both tenants have a token again", async || {
        granted().iter().zip(had).all(|(now, had)| *now > had)
    })
    .await;
}

/// The next request for a token, which a 401 causes, fails as well. It is one, because every
/// failure in a row doubles the pause before the next request.
fn with_faulty_tokens(service: &Service, lots: &mut Lots) {
    for tenant in 0..2 {
        let fault = lots.pick(&[
            Fault::CutBody { after: 100 },
            Fault::Empty(408),
            Fault::Empty(429),
            Fault::Entra(90_033),
            Fault::Html(200),
            Fault::Html(502),
            Fault::Reset,
        ]);
        let tenant = service.tenant(tenant);
        service.simulator.microsoft().fail_tenant(tenant, Operation::Token, fault, 1);
    }
}

fn publish(service: &mut Service, books: &mut Books, lots: &mut Lots, tenant: usize) {
    let content_type = lots.pick(&ContentType::ALL);
    let copies = lots.pick(&[0, 1, 1, 2]);
    let form = lots.pick(&IdForm::ALL);
    let count = usize::try_from(1 + lots.below(30)).expect("thirty is small");
    // A blob that is no JSON again and again is dead, so this is met once by each.
    let page = lots.chance(10).then(|| lots.pick(&[Fault::Html(200), Fault::Empty(200)]));
    books.publish(service, (tenant, content_type), count, |publication| {
        publication.announcing = Some(Announcing { copies, form, first: false });
        publication.gzip = Some(copies == 1);
        publication.fault = page.map(|fault| (fault, 1));
    });
}

fn drawn(lots: &mut Lots, operation: &Operation, now: Timestamp) -> Fault {
    let after = usize::try_from(lots.below(20_000)).expect("a blob is small");
    let wait = Duration::from_secs(1);
    // A row of these makes the pause grow, so they are one of many.
    let untold = lots.pick(&[
        Fault::Throttled403,
        Fault::Throttled429 { retry_after: None },
        throttled_until("soon"),
    ]);
    let date = (now + wait).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut faults = vec![
        Fault::Af(50_000),
        Fault::AfSentence(50_005),
        Fault::AfSingleQuoted(50_006),
        Fault::Code429Text("0m 1s".to_owned()),
        Fault::CutBody { after },
        Fault::Drip { bytes: 2048, every: Duration::from_millis(20) },
        Fault::Empty(408),
        Fault::Empty(503),
        Fault::Hang,
        Fault::Html(500),
        Fault::Html(502),
        Fault::Reset,
        Fault::StallBody { after },
        Fault::Throttled429 { retry_after: Some(Duration::ZERO) },
        Fault::Throttled429 { retry_after: Some(wait) },
        throttled_until(&date),
        untold,
        Fault::Unauthorized,
        Fault::Unauthorized,
    ];
    if *operation != Operation::Blob {
        faults.extend([Fault::Html(200), Fault::Empty(200)]);
    }
    lots.pick(&faults)
}

const fn throttles(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Code429Text(_)
            | Fault::Status { .. }
            | Fault::Throttled403
            | Fault::Throttled429 { .. }
    )
}

/// 429 with this in its `Retry-After`.
fn throttled_until(retry_after: &str) -> Fault {
    let headers = vec![("retry-after".to_owned(), retry_after.to_owned())];
    Fault::Status { status: 429, headers, body: Vec::new() }
}

/// Blobs and listings more often than the rest, as in life.
const OPERATIONS: [Operation; 7] = [
    Operation::Blob,
    Operation::Blob,
    Operation::Blob,
    Operation::Content,
    Operation::Content,
    Operation::NextPage,
    Operation::List,
];

const ROUNDS: u64 = 5;

/// Requests for a token in vain, two minutes from each to the next.
const AWAY: u32 = 3;

/// Planned for each tenant in each round.
const FAULTS: u64 = 14;

/// Of each tenant in each round.
const CONTENTS: u64 = 30;
