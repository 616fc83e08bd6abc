use super::*;
use crate::{
    admin::page::{Page, View},
    content::{ContentType, Tenant},
};

fn check(draining: bool, writable: bool, outlet: &State) -> Readiness {
    gather(&Seen {
        now: Timestamp::UNIX_EPOCH,
        draining,
        writable,
        depth: &[],
        outlet,
        observed: &[],
        is_called: true,
        tenants: &Tenants::default(),
        looks: &Looks::default(),
        file: None,
    })
    .readiness
}

#[test]
fn what_a_person_must_mend_is_said_in_words() {
    let id = "11111111-2222-3333-4444-555555555555";
    let tenants = Tenants::from_iter([Tenant {
        id: id.parse().unwrap(),
        client_id: id.parse().unwrap(),
        name: "contoso".into(),
        content_types: vec![ContentType::General],
    }]);
    let observed = subscriptions::Status {
        tenant: id.parse().unwrap(),
        name: "contoso".into(),
        checked: None,
        problem: Some(Reason::AuditingOff),
        subscriptions: vec![],
    };
    let status = gather(&Seen {
        now: Timestamp::UNIX_EPOCH,
        draining: false,
        writable: true,
        depth: &[],
        outlet: &State::Connected,
        observed: &[observed],
        is_called: true,
        tenants: &tenants,
        looks: &Looks::default(),
        file: None,
    });
    let advice = status.tenants[0].advice.unwrap();
    assert!(advice.contains("auditing is not turned on"), "{advice}");
    let page = Page::new(&status, &View::All).document(&View::All);
    // As a sentence, so without its first letter.
    assert!(page.contains(advice.trim_start_matches('a')), "{page}");
}

#[test]
fn only_what_hurts_acceptance_makes_it_not_ready() {
    assert_eq!(check(false, true, &State::Connected), Readiness::Ready);
    assert_eq!(check(false, true, &State::Connecting), Readiness::Degraded);
    let unconfirmed = State::Unconfirmed { consecutive: 3 };
    assert_eq!(check(false, true, &unconfirmed), Readiness::Degraded);
    assert_eq!(check(false, false, &State::Connected), Readiness::NotReady);
    assert_eq!(check(true, true, &State::Connected), Readiness::NotReady);
}
