//! Certificates that are replaced while sessions run.

use super::*;

/// A receiver that never closes its connections, and ours that show a certificate from `files`.
async fn world(files: &Certificates) -> World {
    let certificates = Certificates::new("127.0.0.1");
    let receiver = Receiver::start(Some(certificates.server(false)), |_| Behaviour::Holding).await;
    let identity = (files.path("client.pem"), files.path("client.key"));
    World::new(receiver, Some(certificates), |config| {
        config.confirm = Confirm::Tcp;
        config.identity = Some(identity);
    })
    .await
}

async fn confirmed(world: &World, first: u64) {
    let receipt = world.parcel(first, 1).await;
    within(receipt.confirmed()).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_would_stay_for_ever_ends_with_its_certificates() {
    let (files, next) = (Certificates::new("a"), Certificates::new("b"));
    let mut world = world(&files).await;
    for first in 0..2 {
        confirmed(&world, first).await;
    }
    assert_eq!(world.receiver.received().len(), 1, "it stays");
    for name in ["client.pem", "client.key"] {
        std::fs::copy(next.path(name), files.path(name)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for first in 2..4 {
        confirmed(&world, first).await;
    }
    assert_eq!(world.receiver.received().len(), 2, "another one, once");
    assert_eq!(world.received().await, lines(0, 4), "nothing is lost, nothing comes again");
}

#[tokio::test]
async fn certificates_that_cannot_be_used_change_nothing() {
    let files = Certificates::new("a");
    let world = world(&files).await;
    confirmed(&world, 0).await;
    assert_eq!(world.outlet.certificate_expires().map(|end| end.as_second()), Some(NEVER));
    std::fs::write(files.path("client.pem"), "nothing of the kind").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for first in 1..3 {
        confirmed(&world, first).await;
    }
    assert_eq!(world.receiver.received().len(), 1);
    assert_eq!(world.outlet.certificate_expires().map(|end| end.as_second()), Some(NEVER));
}

/// The first day of 4096, when certificates of rcgen end unless told otherwise.
const NEVER: i64 = 67_090_118_400;
