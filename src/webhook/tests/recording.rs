//! Notifications and the ledger: nothing is acknowledged that is not recorded.

use super::*;

#[tokio::test]
async fn good_entries_are_recorded_and_counted_once() {
    for protocol in PROTOCOLS {
        let port = Port::open().await;
        let body = format!("[{},{}]", entry("a"), entry_of("Audit.General", "b"));
        assert_eq!(status(&port, protocol, post(body.clone())).await, 200);
        assert_eq!(status(&port, protocol, post(body)).await, 200);
        let again = format!("[{}]", entry("a$IsFromNotification"));
        assert_eq!(status(&port, protocol, post(again)).await, 200);
        assert_eq!(port.recorded().await, 2);
        assert_eq!(port.announced("Audit.Exchange"), 1.0);
        assert_eq!(port.announced("Audit.General"), 1.0);
        assert_eq!(port.requests("accepted"), 3.0);
        let seen = port.edge.seen();
        assert_eq!(seen.last_notification.unwrap().outcome, Outcome::Accepted);
        assert_eq!(seen.last_validation, None);
    }
}

#[tokio::test]
async fn the_media_type_and_a_byte_order_mark_do_not_matter() {
    let port = Port::open().await;
    let body = format!("\u{feff}[{}]", entry("a"));
    let request = with(post(body.clone()), "content-type", "text/html; charset=none");
    assert_eq!(status(&port, Protocol::Http1, request).await, 200);
    let request = without(post(body), "content-type");
    assert_eq!(status(&port, Protocol::Http1, request).await, 200);
    assert_eq!(port.recorded().await, 1);
}

#[tokio::test]
async fn bad_entries_are_counted_and_do_not_hinder_good_ones() {
    for protocol in PROTOCOLS {
        let port = Port::on_full_disk().await;
        let other = "99999999-8812-40f4-890f-865bf6e35190";
        let bad = [
            (entry("a").replace(TENANT, other), "", Reason::UnknownTenant),
            (entry("b").replace(CLIENT, other), "contoso", Reason::OtherClient),
            (entry_of("DLP.All", "c"), "contoso", Reason::UnknownType),
            (
                entry("d").replace("manage.office.com", "evil.example"),
                "contoso",
                Reason::ForeignUri,
            ),
            (entry("e").replace("/feed/", "/food/"), "contoso", Reason::MalformedUri),
            (entry(""), "contoso", Reason::MalformedId),
            ("{}".into(), "", Reason::MalformedEntry),
        ];
        let entries: Vec<&str> = bad.iter().map(|(entry, ..)| &**entry).collect();
        let body = format!("{},{},{}", entry("good"), entries.join(","), entry("fine"));
        // As long as the rest is not recorded, the notification comes again and is judged again.
        let too_much = format!("[{}{body}]", many());
        assert_eq!(status(&port, protocol, post(too_much)).await, 503);
        assert_eq!(port.recorded().await, 0);
        for (entry, tenant, reason) in &bad {
            assert_eq!(port.refused(tenant, *reason), 0.0, "{entry}");
        }
        assert_eq!(status(&port, protocol, post(format!("[{body}]"))).await, 200);
        assert_eq!(port.recorded().await, 2);
        for (entry, tenant, reason) in &bad {
            assert_eq!(port.refused(tenant, *reason), 1.0, "{entry}");
        }
    }
}

#[tokio::test]
async fn a_notification_of_nothing_usable_needs_no_ledger() {
    let port = Port::without_ledger().await;
    assert_eq!(status(&port, Protocol::Http1, post("[]")).await, 200);
    assert_eq!(status(&port, Protocol::Http1, post("[{}]")).await, 200);
    assert_eq!(port.requests("accepted"), 2.0);
}

#[tokio::test]
async fn i1_the_answer_waits_for_the_commit() {
    for protocol in PROTOCOLS {
        let port = Port::waiting(|_| ()).await;
        let mut answer = Box::pin(status(&port, protocol, post(format!("[{}]", entry("a")))));
        let early = timeout(Duration::from_millis(100), &mut answer).await;
        assert!(early.is_err(), "answered {early:?} before the commit");
        assert_eq!(port.recorded().await, 0);
        port.commit();
        assert_eq!(answer.await, 200);
        assert_eq!(port.recorded().await, 1);
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_commit_is_unavailable_and_says_when_to_come_back() {
    for protocol in PROTOCOLS {
        let too_much = format!("[{}{}]", many(), entry("a"));
        let full = Port::on_full_disk().await;
        let closed = Port::without_ledger().await;
        for port in [&full, &closed] {
            let answer = ask(port, protocol, post(too_much.clone())).await;
            assert_eq!(answer.status, 503);
            assert_eq!(answer.headers[CONTENT_LENGTH], "0");
            let seconds = answer.headers["retry-after"].to_str().unwrap();
            assert!(seconds.parse::<u32>().unwrap() > 0, "{seconds}");
            assert_eq!(port.requests("unavailable"), 1.0);
            assert_eq!(port.announced("Audit.Exchange"), 0.0);
            assert_eq!(port.recorded().await, 0);
        }
        // The disk is to blame, not what was sent.
        let port = Port::open().await;
        assert_eq!(status(&port, protocol, post(too_much)).await, 200);
        assert_eq!(port.announced("Audit.Exchange"), (MANY + 1) as f64);
    }
}

#[tokio::test]
async fn a_ledger_that_takes_too_long_is_unavailable() {
    for protocol in PROTOCOLS {
        let port = Port::waiting(|config| {
            config.request_timeout = Duration::from_millis(200);
        })
        .await;
        let answer = ask(&port, protocol, post(format!("[{}]", entry("a")))).await;
        assert_eq!(answer.status, 503);
        assert!(answer.headers.contains_key("retry-after"));
        // What was handed over is the ledger's, whoever still waits for it.
        port.commit();
        in_time(async {
            while port.recorded().await == 0 {
                sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn what_a_client_sent_before_it_went_away_is_recorded_and_counted() {
    for protocol in PROTOCOLS {
        let port = Port::waiting(|_| ()).await;
        let mut client = Client::connect(port.address, protocol).await;
        let request = post(format!("[{},{{}}]", entry("a")));
        let asked = timeout(Duration::from_millis(100), client.ask(request)).await;
        assert!(asked.is_err(), "nothing to answer yet: {asked:?}");
        drop(client);
        if protocol == Protocol::Http2 {
            until(|| port.requests("aborted") == 1.0).await;
        }
        port.commit();
        until(|| port.refused("", Reason::MalformedEntry) == 1.0).await;
        assert_eq!(port.announced("Audit.Exchange"), 1.0);
        assert_eq!(port.recorded().await, 1);
        if protocol == Protocol::Http1 {
            until(|| port.requests("accepted") == 1.0).await;
        }
    }
}

#[tokio::test]
async fn a_content_uri_may_have_the_root_that_is_asked_or_microsofts_own() {
    let port = Port::open().await;
    let proxied = entry("b").replace("manage.office.com", "proxy.example.com");
    let other = entry("c").replace("manage.office.com", "manage-gcc.office.com");
    let body = format!("[{},{proxied},{other}]", entry("a"));
    assert_eq!(status(&port, Protocol::Http1, post(body)).await, 200);
    assert_eq!(port.recorded().await, 2);
    assert_eq!(port.refused("contoso", Reason::ForeignUri), 1.0);
}
