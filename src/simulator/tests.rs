//! The simulator looked at from outside: through its sockets, as a collector sees it.

use std::time::Duration;

use super::{Config, Fault, Operation, SimulatedTenant, Simulator};
use crate::content::{ClientId, TenantId};

mod client;
mod contents;
mod devo;
mod entra;
mod faults;
mod subscriptions;

/// Every wait ends by then; far above what loopback needs on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

fn tenant() -> SimulatedTenant {
    SimulatedTenant {
        id: "11111111-2222-4333-8444-555555555555".parse().unwrap(),
        client_id: "99999999-8888-4777-a666-555555555555".parse().unwrap(),
        client_secret: "correct horse battery staple".to_owned(),
    }
}

fn id() -> TenantId {
    tenant().id
}

fn application() -> ClientId {
    tenant().client_id
}

fn config() -> Config {
    Config {
        notification_retries: [5, 10].map(Duration::from_millis).to_vec(),
        ..Config::new(vec![tenant()])
    }
}

/// Looks again and again until it finds something.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

#[tokio::test]
async fn certificates_of_a_directory_are_used_again() {
    let directory = tempfile::tempdir().unwrap();
    let with_directory = || Config { material: Some(directory.path().to_owned()), ..config() };
    let first = Simulator::start(with_directory()).await.unwrap();
    let authority = std::fs::read(first.ca_path()).unwrap();
    let key = std::fs::read(first.devo_key_path()).unwrap();
    first.shutdown().await;
    let second = Simulator::start(with_directory()).await.unwrap();
    assert_eq!(std::fs::read(second.ca_path()).unwrap(), authority);
    assert_eq!(std::fs::read(second.devo_key_path()).unwrap(), key);
}

/// A freed port may belong to somebody else a moment later, so open connections are the witness.
#[tokio::test]
async fn shutting_down_ends_every_connection() {
    let simulator = Simulator::start(config()).await.unwrap();
    let client = client::Client::new(&simulator).await;
    let microsoft = simulator.microsoft().clone();
    microsoft.fail(Operation::List, Fault::Hang, 1);
    let hanging = client.feed_or_break("subscriptions/list?");
    let ending = async {
        eventually("the request hangs", || {
            (microsoft.count(None, &Operation::List) == 1).then_some(())
        })
        .await;
        simulator.shutdown().await;
    };
    let (broken, ()) = tokio::join!(hanging, ending);
    assert!(broken.is_err());
}
