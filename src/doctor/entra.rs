//! Whether the login host answers as Entra does, and our clock against Microsoft's.

use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use url::Url;

use super::{
    finding::{Check, Finding, Outcome},
    hop::{self, Stream},
};
use crate::clock::Clock;

/// Asks it something that needs no credentials. No word about the clock where no time was told.
pub(super) async fn look(stream: Stream, login: &Url, clock: &Clock) -> (Finding, Option<Finding>) {
    // What Entra tells anybody, which is enough to see that it is Entra.
    let request = get(login, "common/.well-known/openid-configuration");
    let (answered, date) = ask(stream, &request, login, clock).await;
    (answers(answered.as_ref()), date)
}

/// Our clock against that of any host, whatever it answers; none where it tells no time.
pub(super) async fn date(stream: Stream, host: &Url, clock: &Clock) -> Option<Finding> {
    ask(stream, &get(host, "api/v1.0"), host, clock).await.1
}

/// The one that says the worse of our clock.
pub(super) fn worse(one: Finding, other: Option<Finding>) -> Finding {
    let badness = |finding: &Finding| match finding.outcome {
        Outcome::Skipped => 0,
        Outcome::Ok => 1,
        Outcome::Warning => 2,
        Outcome::Failed => 3,
    };
    match other {
        Some(other) if badness(&other) > badness(&one) => other,
        _ => one,
    }
}

async fn ask(
    stream: Stream,
    request: &str,
    host: &Url,
    clock: &Clock,
) -> (Option<hop::Answer>, Option<Finding>) {
    let before = clock.now();
    let answered = hop::ask(stream, request.as_bytes()).await.ok();
    let after = clock.now();
    let date = answered.as_ref().and_then(|answer| {
        rfc2822::DateTimeParser::new().parse_timestamp(answer.header("date")?).ok()
    });
    let host = host.host_str().unwrap_or_default();
    (answered, date.map(|date| judge(date, before, after, host)))
}

fn get(root: &Url, path: &str) -> String {
    let base = root.path().trim_end_matches('/');
    let host = root.host_str().unwrap_or_default();
    let port = root.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!(
        "GET {base}/{path} HTTP/1.1\r\nHost: {host}{port}\r\n\
         User-Agent: m365-collector\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
    )
}

fn answers(answer: Option<&hop::Answer>) -> Finding {
    let check = Check::LoginAnswer;
    let remedy = "network team: a proxy or firewall answers in the place of the login host; let \
                  this machine reach it untouched. If there is none, wait a minute and check again";
    let Some(answer) = answer else {
        let cause = "the login host takes the request and does not answer";
        return Finding::failed(check, cause, remedy);
    };
    let html = answer.header("content-type").is_some_and(|kind| kind.contains("html"));
    // A host that only grants tokens has no such document, and pages of HTML that say so.
    let elsewhere = html && answer.status != 404;
    if elsewhere || answer.status >= 500 || answer.status == 407 {
        let kind = if html { "a page of HTML" } else { "an error" };
        let cause = format!("something that is not Entra answers, with {kind} ({})", answer.status);
        return Finding::failed(check, cause, remedy).seen(answer.shown());
    }
    if answer.status == 200 {
        return Finding::ok(check, "answers as Entra does");
    }
    Finding::ok(check, "not told; the token shows whether it is Entra").seen(answer.shown())
}

/// Judges our clock by a `Date` header that was written between two moments of ours.
fn judge(date: Timestamp, before: Timestamp, after: Timestamp, host: &str) -> Finding {
    let check = Check::Clock;
    // The header has whole seconds.
    let latest = date.saturating_add(SignedDuration::from_secs(1)).unwrap_or(date);
    let (off, side) = if after < date {
        (date.duration_since(after), "behind")
    } else if before > latest {
        (before.duration_since(latest), "ahead of")
    } else {
        (SignedDuration::ZERO, "")
    };
    let seen = format!("{before:.0} here, {date:.0} at {host}");
    let remedy = "administrator of this machine: set the clock by NTP (`timedatectl` tells how it \
                  is set)";
    let cause = format!("this machine's clock is {} {side} Microsoft's", rounded(off));
    if off > MOST_SKEW {
        Finding::failed(check, cause, remedy).seen(seen)
    } else if off > SOME_SKEW {
        Finding::warning(check, cause, remedy).seen(seen)
    } else {
        Finding::ok(check, "agrees with Microsoft's").seen(seen)
    }
}

fn rounded(off: SignedDuration) -> String {
    match off.as_secs() {
        seconds @ ..120 => format!("{seconds} seconds"),
        seconds => format!("{} minutes", (seconds + 30) / 60),
    }
}

/// Entra refuses assertions, and Microsoft windows, that are off by about this much.
const MOST_SKEW: SignedDuration = SignedDuration::from_mins(4);

/// A clock that is kept by NTP is never off by this much.
const SOME_SKEW: SignedDuration = SignedDuration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_host_may_have_no_document_and_must_not_be_a_proxy() {
        let answered = |status, kind: &str| {
            let headers = vec![("content-type".to_owned(), kind.to_owned())];
            let found = answers(Some(&hop::Answer { status, headers, body: Vec::new() }));
            (found.outcome, found.cause.contains("not told"))
        };
        let (html, json) = ("text/html; charset=utf-8", "application/json");
        assert_eq!(answered(200, json), (Outcome::Ok, false));
        for (status, kind) in [(404, html), (404, json), (400, json), (403, "text/plain")] {
            assert_eq!(answered(status, kind), (Outcome::Ok, true), "{status} {kind}");
        }
        for (status, kind) in [(200, html), (403, html), (302, html), (407, json), (502, json)] {
            assert_eq!(answered(status, kind), (Outcome::Failed, false), "{status} {kind}");
        }
        assert_eq!(answers(None).outcome, Outcome::Failed);
    }

    #[test]
    fn clocks_are_judged_by_the_whole_seconds_of_a_header() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let judged = |date: &str| {
            let (before, after) = (at("2026-01-01T12:00:00.9Z"), at("2026-01-01T12:00:01.1Z"));
            let found = judge(at(date), before, after, "host");
            (found.outcome, found.cause)
        };
        assert_eq!(judged("2026-01-01T12:00:00Z").0, Outcome::Ok);
        assert_eq!(judged("2026-01-01T12:00:20Z").0, Outcome::Ok);
        let (outcome, cause) = judged("2026-01-01T12:01:00Z");
        assert_eq!((outcome, cause.contains("58 seconds behind")), (Outcome::Warning, true));
        let (outcome, cause) = judged("2026-01-01T11:50:00Z");
        assert_eq!((outcome, cause.contains("10 minutes ahead of")), (Outcome::Failed, true));
    }
    #[test]
    fn the_worse_of_two_clocks_counts() {
        let ok = || Finding::ok(Check::Clock, "agrees");
        let off = || Finding::failed(Check::Clock, "off", "NTP");
        let skipped = || Finding::skipped(Check::Clock, Check::LoginDns);
        for (one, other, counts) in [
            (ok(), Some(off()), Outcome::Failed),
            (off(), Some(ok()), Outcome::Failed),
            (skipped(), Some(ok()), Outcome::Ok),
            (skipped(), None, Outcome::Skipped),
        ] {
            assert_eq!(worse(one, other).outcome, counts);
        }
    }
}
