//! Notifications that are lost, repeated, out of order and misdirected, with the sweep behind them.

use jiff::SignedDuration;
use m365_collector::simulator::microsoft::{IdForm, WebhookState};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_record_arrives_once_whatever_becomes_of_notifications() {
    for seed in [1, 2] {
        disturbed(seed).await;
    }
}

async fn disturbed(seed: u64) {
    let mut lots = Lots::new(seed);
    let mut service = restless()
        .with("subscriptions.check_interval", "1s")
        .world(|world| {
            world.notification_batch = 7;
            world.notification_retries = [100, 200].map(Duration::from_millis).to_vec();
        })
        .start()
        .await;
    let mut books = Books::default();
    let mut lost = 0;
    for round in 0..ROUNDS {
        if round == 2 {
            disturb(&service, &mut lots);
        }
        if round == 5 {
            // Microsoft allows a start in 15 minutes. No lease may run out by the jump: it would be
            // another fault than those looked at here.
            eventually("only the stopped feed waits", async || idle(&service).await).await;
            service.clock.advance(16 * MINUTE);
            eventually("every subscription is mended", async || mended(&service)).await;
        }
        for _ in 0..CONTENTS {
            lost += u64::from(publish(&mut service, &mut books, &mut lots) == 0);
        }
        // The next round meets this one under way.
        let half = books.published() / 2;
        eventually("half of it is asked for", async || downloads(&service).0 >= half).await;
    }
    service.clock.advance(Duration::from_secs(10));
    service.delivered().await;
    // Listed once more, with everything there is, by a week's sweep.
    let listings = service.simulator.microsoft().count(None, &Operation::Content);
    service.clock.advance(61 * MINUTE);
    eventually("everything is listed again", async || {
        service.simulator.microsoft().count(None, &Operation::Content) >= listings + 10
    })
    .await;
    service.settled().await;
    let blobs = books.published();
    let (given, refused) = downloads(&service);
    assert!((25..36).contains(&(lost * 100 / blobs)), "seed {seed}: {lost} of {blobs} lost");
    assert!(
        given >= blobs && given * 100 < blobs * 105,
        "seed {seed}: {given} downloads of {blobs} blobs, {refused} refused, {lost} lost",
    );
    books.agree(service, lots.seed).await;
}

/// Publishes one content, and says how often it is notified.
fn publish(service: &mut Service, books: &mut Books, lots: &mut Lots) -> usize {
    let content_type = lots.pick(&ContentType::ALL);
    let copies = if lots.chance(30) { 0 } else { lots.pick(&[1, 1, 1, 2, 3]) };
    let form = lots.pick(&IdForm::ALL);
    let first = lots.chance(40);
    // Nothing is so young that the sweep would not list it at the same moment.
    let age = i64::try_from(10 + lots.below(1800)).expect("half an hour is small");
    let created = service.simulator.clock().now() - SignedDuration::from_secs(age);
    let count = usize::try_from(1 + lots.below(6)).expect("six is small");
    books.publish(service, (0, content_type), count, |publication| {
        publication.created = Some(created);
        publication.announcing = Some(Announcing { copies, form, first });
    });
    copies
}

/// A webhook that Microsoft disables, one a second system overwrites, one that expires, and a
/// subscription that somebody stops.
fn disturb(service: &Service, lots: &mut Lots) {
    let microsoft = service.simulator.microsoft();
    let tenant = service.tenant(0);
    let mut feeds = ContentType::ALL.to_vec();
    let mut feed = || {
        let at = usize::try_from(lots.below(feeds.len() as u64)).expect("five is small");
        feeds.swap_remove(at)
    };
    for state in [WebhookState::Disabled, WebhookState::Expired] {
        microsoft.change_subscription(tenant, feed(), |it| it.set_webhook_state(state));
    }
    microsoft.change_subscription(tenant, feed(), |it| {
        let webhook = it.webhook.as_mut().expect("it was registered");
        webhook.address = "https://second.example.com/other".to_owned();
        webhook.auth_id = Some("the-auth-id-of-a-second-system".to_owned());
    });
    microsoft.change_subscription(tenant, feed(), |it| {
        it.enabled = false;
        it.webhook = None;
    });
}

/// Nothing is under way but what is refused.
async fn idle(service: &Service) -> bool {
    let microsoft = service.simulator.microsoft();
    service.status().await.iter().all(|row| {
        let stopped = microsoft.subscription(row.tenant, row.content_type);
        row.waiting + row.leased == 0 || stopped.is_some_and(|it| !it.enabled)
    })
}

fn mended(service: &Service) -> bool {
    let now = service.simulator.clock().now();
    let subscriptions = service.simulator.microsoft().subscriptions();
    subscriptions.iter().all(|(_, subscription)| {
        let webhook = subscription.webhook.as_ref();
        subscription.notifies(now) && webhook.is_some_and(|it| !it.address.contains("second"))
    })
}

const ROUNDS: u64 = 8;

/// In each round.
const CONTENTS: u64 = 60;
