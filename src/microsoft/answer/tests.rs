use proptest::prelude::*;

use super::*;

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn check(status: u16, body: &str, action: Action) {
    assert_eq!(read(status, None, now(), body.as_bytes()), action, "{status} {body}");
}

fn throttled(seconds: u64) -> Action {
    Action::Throttled { wait: Some(Duration::from_secs(seconds)) }
}

const UNTOLD: Action = Action::Throttled { wait: None };

#[test]
fn throttling_comes_with_three_faces() {
    check(429, "", UNTOLD);
    check(429, "<html>Too many</html>", UNTOLD);
    check(
        403,
        r#"{"error":{"code":"AF429","message":"Too many requests. Method=GetBlob"}}"#,
        UNTOLD,
    );
    check(403, "{'error':{'code':'AF429 Too many requests','message':''}}", UNTOLD);
    check(403, r#"{ "error" : { "code" : "429", "message": "later" } }"#, UNTOLD);
    check(403, r#"{"error":{"code":429}}"#, UNTOLD);
    check(403, r#"{"error":{"code":"4290"}}"#, Action::Retry(Reason::BadAnswer));
    check(403, r#"{"error":{"code":"AF4290"}}"#, Action::Retry(Reason::BadAnswer));
    check(
        403,
        r#"{"error":{"code":"429","message":"Subscription was started. Please retry again after 8m 46s."}}"#,
        throttled(526),
    );
}

#[test]
fn waits_are_read_from_header_and_text() {
    let wait = |header: Option<&str>, body: &str| read(429, header, now(), body.as_bytes());
    assert_eq!(wait(Some("17"), "retry again after 30s"), throttled(17), "the header wins");
    assert_eq!(wait(Some("Fri, 02 Jan 2026 03:05:05 GMT"), ""), throttled(60));
    assert_eq!(wait(Some("Fri, 02 Jan 2026 03:00:00 GMT"), ""), throttled(0));
    assert_eq!(wait(Some("soon"), "retry after 30 seconds"), throttled(30));
    assert_eq!(wait(Some("999999999"), ""), throttled(3600), "capped");
    assert_eq!(wait(None, "Please retry again after 1h 2m 3s"), throttled(3600), "capped");
    assert_eq!(wait(None, "Try again in 2 minutes, 5 seconds."), throttled(125));
    assert_eq!(wait(None, "RETRY AGAIN AFTER 30s"), throttled(30));
    assert_eq!(wait(None, "2000 requests per 1m exceeded, retry later"), UNTOLD);
    assert_eq!(wait(None, "retry after 20 apples"), UNTOLD);
    assert_eq!(wait(None, "retry after 99999999999999999999 s"), UNTOLD);
    assert_eq!(wait(None, "retry after 9999999999999999999 h"), throttled(3600));
}

#[test]
fn every_other_row_of_the_error_table() {
    check(
        401,
        r#"{"Message":"Authorization has been denied for this request."}"#,
        Action::Unauthorized,
    );
    check(401, "", Action::Unauthorized);
    for status in [400, 401, 403] {
        check(
            status,
            r#"{"error":{"code":"AF10001","message":"The permission set () sent in the request did not include the expected permission ActivityFeed.Read."}}"#,
            Action::RoleMissing,
        );
    }
    check(
        400,
        r#"{"error":{"code":"StartSubscription [CorrId=9AF20050-0000-1111-2222-333333333333]","message":"Microsoft.Office.DataServiceException: Tenant 11111111-2222-3333-4444-555555555555 does not exist.\r\n at Foo"}}"#,
        Action::AuditingOff,
    );
    check(400, r#"{"error":{"code":"AF20011","message":"…"}}"#, Action::AuditingOff);
    for code in ["AF20022", "AF20023"] {
        check(400, &format!(r#"{{"error":{{"code":"{code}"}}}}"#), Action::NotSubscribed);
    }
    check(400, "{'error':{'code':'AF20024'}}", Action::AlreadyEnabled);
    check(400, r#"{"error":{"code":"AF20021: webhook"}}"#, Action::WebhookRefused);
    check(400, "AF20030", Action::WindowRefused);
    check(400, "AF20055", Action::WindowRefused);
    check(400, "AF20031", Action::StalePage);
    check(400, "AF20050", Action::Final(Reason::ContentGone));
    check(404, "AF20050", Action::Final(Reason::ContentGone));
    check(400, "AF20051", Action::Final(Reason::ContentExpired));
    check(400, "AF20052", Action::Final(Reason::ContentIdInvalid));
    for code in ["AF50000", "AF50005", "AF50006"] {
        check(400, code, Action::Retry(Reason::ServerError));
    }
    for status in [408, 500, 502, 503, 504, 599] {
        check(status, "<html>AF20050</html>", Action::Retry(Reason::ServerError));
    }
}

#[test]
fn what_the_table_does_not_know_is_tried_again() {
    for status in [301, 302, 400, 403, 404, 405, 410] {
        check(status, "<html>nothing to see</html>", Action::Retry(Reason::BadAnswer));
    }
    check(404, "AF99999", Action::Retry(Reason::BadAnswer));
}

proptest! {
    #[test]
    fn any_body_has_a_meaning(status in 300_u16..600, header: Option<String>, body: Vec<u8>) {
        if let Action::Throttled { wait: Some(wait) } = read(status, header.as_deref(), now(), &body) {
            prop_assert!(wait <= MAX_WAIT);
        }
    }

    #[test]
    fn any_sentence_about_waiting_is_read(text in "(again|retry)[ 0-9a-zé,.]{0,30}") {
        let _: Action = read(429, None, now(), text.as_bytes());
    }
}
