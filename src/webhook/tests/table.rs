//! The rows of the public port's table, each on both protocols.

use super::*;

#[tokio::test]
async fn validations_are_acknowledged_by_header_and_by_body() {
    for protocol in PROTOCOLS {
        // A validation needs no ledger.
        let port = Port::without_ledger().await;
        let code = "webhook-validationcode";
        let requests = [
            with(post(r#"{"validationCode":"abc"}"#), code, "abc"),
            with(post(""), code, "abc"),
            with(post("[]"), code, "abc"),
            with(post("<html>"), code, "abc"),
            post(r#"{"validationCode":"abc"}"#),
            post("\u{feff}{\"validationCode\":null}"),
        ];
        let count = requests.len();
        for request in requests {
            assert_eq!(status(&port, protocol, request).await, 200);
        }
        assert_eq!(port.requests("validated"), count as f64);
        assert_eq!(port.edge.seen().validations, count as u64);
        let forged = with(post("{}"), "webhook-authid", "0123456789abcdef-nothing");
        let forged = with(forged, code, "abc");
        assert_eq!(status(&port, protocol, forged).await, 401);
        let unauthorized = Outcome::Rejected(Reject::Unauthorized);
        let seen = port.edge.seen();
        assert_eq!(seen.last_validation.unwrap().outcome, unauthorized);
        assert_eq!(seen.last_rejection, seen.last_request);
    }
}

#[tokio::test]
async fn a_validation_header_does_not_hide_a_notification() {
    let port = Port::open().await;
    let request = with(post(format!("[{}]", entry("a"))), "webhook-validationcode", "abc");
    assert_eq!(status(&port, Protocol::Http1, request).await, 200);
    assert_eq!(port.recorded().await, 1);
    assert_eq!(port.requests("accepted"), 1.0);
}

#[tokio::test]
async fn a_wrong_or_missing_or_repeated_auth_id_is_unauthorized() {
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        let body = || post(format!("[{}]", entry("a")));
        let mut repeated = body();
        let again = AUTH_ID.parse().unwrap();
        repeated.headers_mut().append("webhook-authid", again);
        let requests = [
            without(body(), "webhook-authid"),
            with(body(), "webhook-authid", ""),
            with(body(), "webhook-authid", "0123456789abcdef-curren"),
            with(body(), "webhook-authid", "0123456789abcdef-current1"),
            with(body(), "webhook-authid", "0123456789ABCDEF-current"),
            with(body(), "webhook-authid", &"x".repeat(8 * 1024)),
            repeated,
        ];
        let count = requests.len();
        for request in requests {
            assert_eq!(status(&port, protocol, request).await, 401);
        }
        assert_eq!(port.requests("unauthorized"), count as f64);
        assert_eq!(port.recorded().await, 0);
    }
}

#[tokio::test]
async fn while_rotating_both_auth_ids_are_right_and_files_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("auth-id");
    let secret = Secret::file(file.clone());
    let previous = "fedcba9876543210-previous";
    let port = Port::open_with(|config| {
        config.auth_id = secret;
        config.previous_auth_id = Some(Secret::fixed(previous));
    })
    .await;
    let current = || post("[]");
    let old = || with(post("[]"), "webhook-authid", previous);
    // What cannot be compared is our failure, unless it does not matter.
    let answer = ask(&port, Protocol::Http1, current()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(status(&port, Protocol::Http1, old()).await, 200);
    std::fs::write(&file, AUTH_ID).unwrap();
    assert_eq!(status(&port, Protocol::Http1, current()).await, 200);
    assert_eq!(status(&port, Protocol::Http2, old()).await, 200);
    assert_eq!(port.requests("secret_unreadable"), 1.0);
}

#[tokio::test]
async fn bodies_that_are_no_notification_are_malformed() {
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        let bodies = ["", "null", "{}", "[1]", "[{}", "<html>", "a=b", "{\"a\":[]}"];
        for body in bodies {
            assert_eq!(status(&port, protocol, post(body)).await, 400, "{body}");
        }
        assert_eq!(port.requests("malformed"), bodies.len() as f64);
    }
}

#[tokio::test]
async fn only_post_to_the_registered_path_is_served() {
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        for path in ["/", "/webhook/", "/Webhook", "/webhook/x", "//webhook", "/%77ebhook"] {
            let mut request = post("[]");
            *request.uri_mut() = format!("http://x{path}").parse().unwrap();
            assert_eq!(status(&port, protocol, request).await, 404, "{path}");
        }
        let mut request = post("[]");
        *request.uri_mut() = "http://x/webhook?a=b".parse().unwrap();
        assert_eq!(status(&port, protocol, request).await, 200);
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
            let mut request = post("[]");
            *request.method_mut() = method.parse().unwrap();
            let answer = ask(&port, protocol, request).await;
            assert_eq!(answer.status, 405, "{method}");
            assert_eq!(answer.headers["allow"], "POST", "{method}");
            assert_eq!(answer.headers[CONTENT_LENGTH], "0", "{method}");
        }
        // Which path it is matters before anything else does.
        let mut request = without(post("[]"), "webhook-authid");
        *request.uri_mut() = "http://x/".parse().unwrap();
        *request.method_mut() = Method::GET;
        assert_eq!(status(&port, protocol, request).await, 404);
    }
}

#[tokio::test]
async fn the_root_is_the_path_of_an_address_without_one() {
    let port = Port::open_with(|config| {
        config.address = "https://m365.example.com".parse().unwrap();
    })
    .await;
    let mut request = post("[]");
    *request.uri_mut() = "http://x/".parse().unwrap();
    assert_eq!(status(&port, Protocol::Http1, request).await, 200);
    assert_eq!(status(&port, Protocol::Http1, post("[]")).await, 404);
}

#[tokio::test]
async fn sources_outside_the_list_are_forbidden() {
    let foreign = Port::open_with(|config| {
        config.allowed_sources = vec!["203.0.113.0/24".parse().unwrap()];
    })
    .await;
    let own = Port::open_with(|config| {
        config.allowed_sources = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let proxied = Port::open_with(|config| {
        config.allowed_sources = vec!["203.0.113.0/24".parse().unwrap()];
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for protocol in PROTOCOLS {
        let from = |source| with(post("[]"), "x-forwarded-for", source);
        assert_eq!(status(&own, protocol, post("[]")).await, 200);
        assert_eq!(status(&own, protocol, from("198.51.100.1")).await, 200);
        assert_eq!(status(&foreign, protocol, post("[]")).await, 403);
        // Nobody vouches for the header here.
        assert_eq!(status(&foreign, protocol, from("203.0.113.9")).await, 403);
        assert_eq!(status(&proxied, protocol, from("203.0.113.9")).await, 200);
        assert_eq!(status(&proxied, protocol, from("198.51.100.1")).await, 403);
        assert_eq!(status(&proxied, protocol, from("203.0.113.9, 198.51.100.1")).await, 403);
        assert_eq!(status(&proxied, protocol, from("198.51.100.1, 203.0.113.9")).await, 200);
        assert_eq!(status(&proxied, protocol, from("unknown")).await, 403);
        assert_eq!(status(&proxied, protocol, post("[]")).await, 403);
    }
    assert_eq!(foreign.requests("forbidden"), 4.0);
}

#[tokio::test]
async fn every_series_is_there_from_the_start() {
    let port = Port::open().await;
    for outcome in Outcome::ALL {
        assert_eq!(port.requests(outcome.as_str()), 0.0, "{outcome:?}");
    }
    for content_type in ["Audit.Exchange", "Audit.General"] {
        for via in ["webhook", "sweep", "backfill"] {
            let labels = [("tenant", "contoso"), ("content_type", content_type), ("via", via)];
            assert_eq!(port.value("m365_content_announced_total", &labels), 0.0);
        }
    }
    assert_eq!(port.edge.seen(), Events::default());
}
