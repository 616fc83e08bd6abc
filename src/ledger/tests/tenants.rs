//! Tenants that are stored beside the service, and consents that are waited for.

use super::*;
use crate::ledger::{Onboarding, StoreError, StoredTenant};

const OTHER: u128 = 9;
const STATE: &str = "state";

fn stored(id: u128, name: &str) -> StoredTenant {
    StoredTenant {
        id: tenant(id),
        name: name.to_owned(),
        client_id: Uuid::from_u128(OTHER).into(),
        content_types: vec![ContentType::Exchange, ContentType::Dlp],
        added: at(0),
    }
}

#[tokio::test]
async fn a_running_service_sees_what_a_command_stores_and_removes() {
    let running = Running::start().await;
    let mut command = Onboarding::open(&running.config).await.unwrap();
    let seen = async || running.ledger.stored_tenants().await.unwrap();
    assert_eq!(seen().await, []);
    in_time(command.store(stored(TENANT, "customer"))).await.unwrap();
    assert_eq!(seen().await, [stored(TENANT, "customer")]);
    assert_eq!(running.reader().await.tenants().await.unwrap(), seen().await);

    let taken = in_time(command.store(stored(OTHER, "customer"))).await;
    assert!(matches!(taken, Err(StoreError::NameTaken)), "{taken:?}");
    in_time(command.store(stored(TENANT, "renamed"))).await.unwrap();
    assert_eq!(seen().await, [stored(TENANT, "renamed")]);

    assert!(in_time(command.remove(tenant(TENANT))).await.unwrap());
    assert!(!in_time(command.remove(tenant(TENANT))).await.unwrap());
    assert_eq!(seen().await, []);
}

#[tokio::test]
async fn tenants_are_stored_without_a_service_and_last() {
    let (_directory, config) = Running::site().await;
    let mut command = Onboarding::open(&config).await.unwrap();
    command.store(stored(TENANT, "customer")).await.unwrap();
    drop(command);
    let (ledger, _writer) = Ledger::open(&config).await.unwrap();
    assert_eq!(ledger.stored_tenants().await.unwrap(), [stored(TENANT, "customer")]);
}

#[tokio::test]
async fn an_answer_is_taken_once_in_time_and_only_if_somebody_waits() {
    let running = Running::start().await;
    let mut command = Onboarding::open(&running.config).await.unwrap();
    let come = async |state: &str, seconds: i64| {
        let came = running.ledger.consented(state, "code=x".to_owned(), at(seconds));
        in_time(came).await.unwrap()
    };
    assert!(!come(STATE, 0).await, "nobody waits yet");
    command.expect(STATE, at(0), at(60)).await.unwrap();
    assert!(!come("another", 1).await);
    assert_eq!(command.answer(STATE).await.unwrap(), None);
    assert!(!come(STATE, 60).await, "too late");
    assert!(come(STATE, 59).await);
    assert!(!come(STATE, 59).await, "a second time");
    assert_eq!(command.answer(STATE).await.unwrap().as_deref(), Some("code=x"));
    command.forget(STATE).await.unwrap();
    assert_eq!(command.answer(STATE).await.unwrap(), None);
    assert!(!come(STATE, 1).await, "nobody waits any more");
}

#[tokio::test]
async fn consents_are_bounded_in_number_and_go_in_time() {
    let running = Running::start().await;
    let mut command = Onboarding::open(&running.config).await.unwrap();
    for serial in 0..32 {
        command.expect(&serial.to_string(), at(0), at(60)).await.unwrap();
    }
    let more = command.expect(STATE, at(59), at(100)).await;
    assert!(matches!(more, Err(StoreError::TooMany)), "{more:?}");
    command.expect(STATE, at(60), at(100)).await.unwrap();
    let left = "SELECT COUNT(*) FROM consent";
    assert_eq!(number(&mut running.tool().await, left).await, 1);
}
