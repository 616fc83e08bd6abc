use secrecy::SecretString;
use tokio::time::Instant;

use super::{blob::tests::read, *};
use crate::{
    microsoft::world::{A, B, Reply, World, tenant},
    reason::Reason,
};

fn id(text: &str) -> ContentId {
    ContentId::parse(text).unwrap()
}

fn day() -> Window {
    Window {
        start: "2026-01-02T00:00:00Z".parse().unwrap(),
        end: "2026-01-03T00:00:00Z".parse().unwrap(),
    }
}

fn feed(path: &str) -> String {
    format!("/api/v1.0/{A}/activity/feed/{path}")
}

#[tokio::test]
async fn every_request_says_who_publishes_and_carries_the_token() {
    let world = World::api(|asked| {
        let page = |of: &str| format!("/api/v1/{A}/activity/feed/{of}?page=2");
        let further = asked.query.contains("page=2");
        match asked.path.as_str() {
            path if path.ends_with("/content") && !further => {
                Reply::new(200, "[]").header("nextpageURI", page("subscriptions/content"))
            }
            path if path.ends_with("/audit/b$1") && !further => {
                Reply::new(200, "[1]").header("NextPageUrl", page("audit/b$1"))
            }
            _ => Reply::new(200, "[]"),
        }
    })
    .await;
    let client = world.client();
    let (tenant, kind) = (tenant(A), ContentType::Exchange);
    let webhook = WebhookSpec {
        address: "https://x.example/w".into(),
        auth_id: SecretString::from("auth"),
        expiration: None,
    };
    client.list_subscriptions(tenant).await.unwrap();
    client.start(tenant, kind, Some(&webhook)).await.unwrap();
    client.start(tenant, kind, None).await.unwrap();
    client.stop(tenant, kind).await.unwrap();
    let page = client.list_content(tenant, kind, day()).await.unwrap();
    let next = page.next.unwrap().unwrap();
    assert!(client.next_page(tenant, kind, next).await.unwrap().next.unwrap().is_none());
    let mut blob = client.blob(tenant, &id("b$1")).await.unwrap();
    assert_eq!(read(&mut blob).await.unwrap(), b"[1][]", "the next page follows");

    let asked = world.asked();
    let lines: Vec<_> =
        asked.iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect();
    let next = |of: &str| format!("GET /api/v1/{A}/activity/feed/{of}");
    assert_eq!(
        lines,
        [
            format!("GET {}", feed("subscriptions/list")),
            format!("POST {}", feed("subscriptions/start")),
            format!("POST {}", feed("subscriptions/start")),
            format!("POST {}", feed("subscriptions/stop")),
            format!("GET {}", feed("subscriptions/content")),
            next("subscriptions/content"),
            format!("GET {}", feed("audit/b$1")),
            next("audit/b$1"),
        ]
    );
    for asked in &asked {
        assert!(asked.query.contains(&format!("PublisherIdentifier={A}")), "{asked:?}");
        assert_eq!(asked.bearer(), "t1");
    }
    assert!(asked[1].body.contains(r#""authId":"auth""#));
    assert_eq!(asked[2].body, "");
    assert!(asked[4].query.contains("startTime=2026-01-02T00%3A00%3A00&endTime="));
    assert!(asked[6].headers["accept-encoding"].contains("gzip"));
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_the_call_made_once_more() {
    let world = World::api(|asked| match asked.bearer() {
        "t1" => Reply::new(401, r#"{"Message":"Authorization has been denied"}"#),
        _ => Reply::new(200, "[]"),
    })
    .await;
    let client = world.client();
    client.list_subscriptions(tenant(A)).await.unwrap();
    assert_eq!(world.asked().len(), 2);
    assert_eq!(world.tokens().len(), 2);
}

#[tokio::test]
async fn a_token_refused_twice_is_reported() {
    let world = World::api(|_| Reply::new(401, "")).await;
    let client = world.client();
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::Unauthorized));
    assert_eq!(world.asked().len(), 2);
    client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(world.tokens().len(), 2, "Entra is not asked by every refused call");
}

#[tokio::test]
async fn throttling_pauses_its_tenant_only_and_costs_no_further_request() {
    let world = World::api(|asked| {
        if asked.path.contains(A) {
            Reply::new(429, "").header("Retry-After", "600")
        } else {
            Reply::new(200, "[]")
        }
    })
    .await;
    let client = world.client();
    let error = client.blob(tenant(A), &id("x")).await.unwrap_err();
    let until = client.pacing().paused_until(tenant(A)).unwrap();
    assert_eq!(error.disposition(), Disposition::Throttled { until });
    assert!(until > Instant::now() + Duration::from_secs(500));
    let again = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(again.disposition(), Disposition::Throttled { until });
    assert_eq!(world.asked().len(), 1);
    let throttled = &client.0.metrics.throttled;
    assert_eq!(throttled.with_label_values(&["a"]).get(), 1);
    client.list_subscriptions(tenant(B)).await.unwrap();
}

#[tokio::test]
async fn a_start_too_soon_after_the_last_pauses_nobody() {
    let world = World::api(|_| {
        Reply::new(403, r#"{"error":{"code":"429","message":"Please retry again after 8m 46s"}}"#)
    })
    .await;
    let client = world.client();
    let before = Instant::now();
    let error = client.start(tenant(A), ContentType::General, None).await.unwrap_err();
    let Disposition::Throttled { until } = error.disposition() else {
        panic!("{error}");
    };
    assert!(until - before >= Duration::from_secs(526));
    assert_eq!(client.pacing().paused_until(tenant(A)), None);
}

#[tokio::test]
async fn a_subscription_that_is_already_enabled_is_started() {
    let world = World::api(|_| Reply::new(400, r#"{"error":{"code":"AF20024"}}"#)).await;
    let client = world.client();
    let started = client.start(tenant(A), ContentType::General, None).await.unwrap();
    assert_eq!(started, Started::Already);
    let error = client.stop(tenant(A), ContentType::General).await.unwrap_err();
    assert_eq!(error.action(), Some(Action::AlreadyEnabled));
}

#[tokio::test]
async fn failures_say_what_to_do_and_nothing_of_the_body() {
    for (status, body, expected) in [
        (400, "AF20050 canary", Disposition::Final(Reason::ContentGone)),
        (400, "AF20051 canary", Disposition::Final(Reason::ContentExpired)),
        (400, "AF20052 canary", Disposition::Final(Reason::ContentIdInvalid)),
        (400, "AF20022 canary", Disposition::Retry(Reason::NotSubscribed)),
        (400, "Tenant canary does not exist", Disposition::Retry(Reason::AuditingOff)),
        (403, "AF10001 canary", Disposition::Retry(Reason::RoleMissing)),
        (500, "canary", Disposition::Retry(Reason::ServerError)),
        (302, "canary", Disposition::Retry(Reason::BadAnswer)),
    ] {
        let world = World::api(move |_| {
            Reply::new(status, body).header("location", "http://127.0.0.1:9/elsewhere")
        })
        .await;
        let error = world.client().blob(tenant(A), &id("x")).await.unwrap_err();
        assert_eq!(error.disposition(), expected);
        assert!(!format!("{error} {error:?}").contains("canary"), "I9");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = World::api(|_| Reply::new(200, "[]")).await;
    let target = elsewhere.root.to_string();
    let world = World::api(move |_| Reply::new(307, "").header("location", target.clone())).await;
    let error = world.client().blob(tenant(A), &id("x")).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::BadAnswer));
    assert!(elsewhere.asked().is_empty(), "I6");
}

#[tokio::test]
async fn a_next_page_on_a_foreign_host_is_refused() {
    let foreign = World::api(|_| Reply::new(200, "[]")).await;
    let page = foreign.root.join(&feed("subscriptions/content")).unwrap();
    let world =
        World::api(move |_| Reply::new(200, "[]").header("NextPageUri", page.as_str())).await;
    let client = world.client();
    let page = client.list_content(tenant(A), ContentType::General, day()).await.unwrap();
    assert_eq!(page.next.unwrap_err(), ForeignPage);
    let mut blob = client.blob(tenant(A), &id("x")).await.unwrap();
    assert!(matches!(read(&mut blob).await, Err(ApiError::ForeignPage(_))));
    assert!(foreign.asked().is_empty(), "I6");
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    let world = World::api(|_| Reply::new(200, "[]").after(Duration::from_secs(60))).await;
    let client = world.client_with(|config| config.timeout = Duration::from_millis(100));
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::Timeout));
}

#[tokio::test]
async fn listings_are_capped_and_must_be_listings() {
    for (body, reason) in
        [(vec![b' '; MAX_LISTING + 1], "too large"), (b"<html>".to_vec(), "expected shape")]
    {
        let world = World::api(move |_| Reply::new(200, body.clone())).await;
        let error = world.client().list_subscriptions(tenant(A)).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(error.disposition(), Disposition::Retry(Reason::BadAnswer));
    }
}

#[tokio::test]
async fn a_microsoft_that_is_away_is_a_connection_to_retry() {
    let root = {
        let world = World::api(|_| Reply::new(200, "[]")).await;
        world.root.clone()
    };
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let client = world.client_with(|config| config.management_url = root);
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::Connection));
}

#[tokio::test]
async fn refused_credentials_and_unknown_tenants_spend_no_budget() {
    let world = World::new(|_| Reply::new(401, "AADSTS7000215")).await;
    let client = world.client();
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::CredentialsRefused));
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Unasked(Reason::CredentialsRefused));
    let stranger = tenant("cccccccc-0000-4000-8000-000000000003");
    let error = client.list_subscriptions(stranger).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::TokenUnavailable));
    assert_eq!(client.pacing().room(tenant(A)), 1000);
    assert_eq!(client.pacing().room(stranger), 0);
}

#[tokio::test]
async fn the_skew_of_clocks_is_known_after_an_answer() {
    let world =
        World::api(|_| Reply::new(200, "[]").header("Date", "Fri, 02 Jan 2099 03:05:05 GMT")).await;
    let client = world.client();
    assert_eq!(client.clock_skew(), None);
    client.list_subscriptions(tenant(A)).await.unwrap();
    assert!(client.clock_skew().unwrap() > SignedDuration::from_hours(24));
}

#[test]
fn roots_that_cannot_be_a_base_are_refused() {
    let root: Url = "mailto:x@example.com".parse().unwrap();
    assert!(matches!(Addresses::new(root, None), Err(ClientError::Root)));
}

#[tokio::test]
async fn an_authority_that_cannot_be_read_is_told_at_start() {
    let world = World::api(|_| Reply::new(200, "[]")).await;
    let config = world.config(|config| config.ca = Some("/nonexistent/ca.pem".into()));
    assert!(matches!(http::client(&config), Err(ClientError::Tls(_))));
}
