use proptest::prelude::*;

use super::*;

const GENERAL: ContentType = ContentType::General;
const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn wanted(webhook: bool, expiry: Option<Duration>) -> Wanted<'static> {
    Wanted {
        content_types: &ContentType::ALL,
        webhook: webhook.then(|| WantedWebhook {
            address: "https://x.example/w".parse().unwrap(),
            auth_id: "right auth id".into(),
            expiry,
        }),
    }
}

fn good() -> Subscription {
    Subscription {
        content_type: GENERAL,
        state: State::Enabled,
        webhook: Some(ListedWebhook {
            state: State::Enabled,
            address: Some("https://X.example:443/w".into()),
            auth_id: Some("right auth id".into()),
            expiration: None,
        }),
    }
}

/// What is wrong with a good subscription after a change to it.
fn why_of(wanted: &Wanted<'_>, change: impl FnOnce(&mut Subscription)) -> Option<Why> {
    let mut subscription = good();
    change(&mut subscription);
    plan(wanted, &[subscription], now(), &Starts::default())
        .into_iter()
        .find(|step| step.content_type() == GENERAL)
        .and_then(Step::why)
}

fn with_webhook(wanted: &Wanted<'_>, change: impl FnOnce(&mut ListedWebhook)) -> Option<Why> {
    why_of(wanted, |subscription| change(subscription.webhook.as_mut().unwrap()))
}

#[test]
fn every_fault_has_its_name() {
    let wanted = &wanted(true, None);
    assert_eq!(why_of(wanted, |_| ()), None);
    assert_eq!(why_of(wanted, |s| s.content_type = ContentType::Dlp), Some(Why::Missing));
    assert_eq!(why_of(wanted, |s| s.state = State::Disabled), Some(Why::Disabled));
    assert_eq!(why_of(wanted, |s| s.webhook = None), Some(Why::WebhookMissing));
    let other = Some("https://x.example/other".to_owned());
    assert_eq!(with_webhook(wanted, |w| w.address = other), Some(Why::OtherAddress));
    let other = Some("wrong auth id".into());
    assert_eq!(with_webhook(wanted, |w| w.auth_id = other), Some(Why::OtherAuthId));
    let state = State::Disabled;
    assert_eq!(with_webhook(wanted, |w| w.state = state), Some(Why::WebhookDisabled));
    let state = State::Expired;
    assert_eq!(with_webhook(wanted, |w| w.state = state), Some(Why::WebhookExpired));
    let past = Some(now() - Duration::from_secs(1));
    assert_eq!(with_webhook(wanted, |w| w.expiration = past), Some(Why::WebhookExpired));
    let soon = Some(now() + Duration::from_secs(60));
    assert_eq!(with_webhook(wanted, |w| w.expiration = soon), Some(Why::WebhookExpiring));
}

#[test]
fn what_is_not_said_is_kept() {
    let wanted = &wanted(true, Some(DAY));
    assert_eq!(why_of(wanted, |s| s.state = State::Unsaid), None);
    let silent =
        ListedWebhook { state: State::Unsaid, address: None, auth_id: None, expiration: None };
    assert_eq!(with_webhook(wanted, |w| *w = silent), None);
    for masked in ["*****", "ri***id", "xxxx"] {
        assert_eq!(with_webhook(wanted, |w| w.auth_id = Some(masked.into())), None);
    }
}

#[test]
fn without_a_webhook_of_ours_any_is_good_enough() {
    let wanted = &wanted(false, None);
    assert_eq!(why_of(wanted, |s| s.webhook = None), None);
    assert_eq!(with_webhook(wanted, |w| w.state = State::Disabled), None);
    assert_eq!(why_of(wanted, |s| s.state = State::Expired), Some(Why::Disabled));
}

#[test]
fn a_webhook_is_renewed_in_the_second_half_of_its_life() {
    let wanted = &wanted(true, Some(DAY));
    let left = |left: Duration| with_webhook(wanted, |w| w.expiration = Some(now() + left));
    assert_eq!(left(DAY), None);
    assert_eq!(left(DAY / 2), None);
    assert_eq!(left(DAY / 2 - Duration::from_secs(1)), Some(Why::WebhookExpiring));
}

#[test]
fn a_start_waits_for_its_own_subscription_only() {
    let wanted = wanted(true, None);
    let mut starts = Starts::default();
    let until = now() + Duration::from_secs(60);
    starts.started(GENERAL, now(), until);
    for step in plan(&wanted, &[], now(), &starts) {
        match step {
            Step::Wait { content_type: GENERAL, why: Why::Missing, until: told } => {
                assert_eq!(told, until);
            }
            Step::Start { content_type, why: Why::Missing } => assert_ne!(content_type, GENERAL),
            other => panic!("{other:?}"),
        }
    }
    let later = plan(&wanted, &[], until, &starts);
    assert!(later.iter().all(|step| matches!(step, Step::Start { .. })));
}

#[test]
fn of_two_starts_the_later_counts_and_one_of_the_future_does_not() {
    let mut starts = Starts::default();
    let at = |seconds| now() + jiff::SignedDuration::from_secs(seconds);
    starts.started(GENERAL, at(0), at(900));
    starts.learnt(GENERAL, at(0), at(10));
    assert_eq!(starts.until(GENERAL, at(899)), Some(at(900)), "its own word counts");
    assert_eq!(starts.until(GENERAL, at(900)), None);
    starts.learnt(GENERAL, at(60), at(960));
    assert_eq!(starts.until(GENERAL, at(900)), Some(at(960)));
    assert_eq!(starts.until(GENERAL, at(59)), None, "the clock was set back");
    starts.started(GENERAL, at(59), at(959));
    assert_eq!(starts.until(GENERAL, at(59)), Some(at(959)));
}

fn any_state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![State::Disabled, State::Enabled, State::Expired, State::Unsaid])
}

fn any_webhook() -> impl Strategy<Value = ListedWebhook> {
    let address = prop::option::of("https://(x|y)[.]example/w?");
    let auth_id = prop::option::of("(right auth id|other)");
    let left = prop::option::of(-100_000_i64..1_000_000);
    (any_state(), address, auth_id, left).prop_map(|(state, address, auth_id, left)| {
        ListedWebhook {
            state,
            address,
            auth_id: auth_id.map(SecretString::from),
            expiration: left.map(|left| now() + jiff::SignedDuration::from_secs(left)),
        }
    })
}

fn any_listing() -> impl Strategy<Value = Vec<Subscription>> {
    let subscription = (
        prop::sample::select(ContentType::ALL.to_vec()),
        any_state(),
        prop::option::of(any_webhook()),
    )
        .prop_map(|(content_type, state, webhook)| Subscription {
            content_type,
            state,
            webhook,
        });
    prop::collection::vec(subscription, 0..6)
}

/// What Microsoft lists after a start.
fn start(listed: &mut Vec<Subscription>, wanted: &Wanted<'_>, content_type: ContentType) {
    let old = find(listed, content_type).and_then(|old| old.webhook.clone());
    listed.retain(|subscription| subscription.content_type != content_type);
    let webhook = wanted.webhook.as_ref().map(|webhook| ListedWebhook {
        state: State::Enabled,
        address: Some(webhook.address.to_string()),
        auth_id: Some(webhook.auth_id.clone()),
        expiration: webhook.expiration(now()),
    });
    listed.push(Subscription { content_type, state: State::Enabled, webhook: webhook.or(old) });
}

proptest! {
    #[test]
    fn a_plan_applied_leaves_nothing_to_start(
        mut listed in any_listing(),
        webhook: bool,
        expiry in prop::option::of(60_u64..1_000_000),
    ) {
        let wanted = wanted(webhook, expiry.map(Duration::from_secs));
        let starts = Starts::default();
        for step in plan(&wanted, &listed, now(), &starts) {
            if let Step::Start { content_type, .. } = step {
                start(&mut listed, &wanted, content_type);
            }
        }
        let next = plan(&wanted, &listed, now(), &starts);
        prop_assert!(next.iter().all(|step| matches!(step, Step::Keep { .. })), "{next:?}");
    }

    #[test]
    fn nothing_is_started_before_its_time(listed in any_listing(), seconds in 1_i64..10_000) {
        let wanted = wanted(true, None);
        let mut starts = Starts::default();
        for content_type in ContentType::ALL {
            let allowed = now() + jiff::SignedDuration::from_secs(seconds);
            starts.started(content_type, now(), allowed);
        }
        let steps = plan(&wanted, &listed, now(), &starts);
        prop_assert_eq!(steps.len(), ContentType::ALL.len());
        let started = steps.iter().any(|step| matches!(step, Step::Start { .. }));
        prop_assert!(!started);
    }
}
