//! The status page: one look says whether all is well, and if not, what to do.
//!
//! The page is complete as it is served. A script, where there is one, replaces the parts that
//! changed as [`events`](super::events) tell; without it the page renews itself. It is one answer:
//! style and script are in it and named by their hashes in its policy, so nothing else can be
//! loaded, run or sent anywhere. Every text is escaped by the template.
//!
//! Troubled tenants come first. Of those that are well only the first few have their feeds on the
//! page; each other one is a line and a link, which keeps the page small for hundreds of them.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::status::{self, Attention, PartState, Readiness, Severity, Status};

mod lists;
mod tenants;
mod words;

use words::{number, stamp};

/// The page as parts that can be replaced one by one.
#[derive(Clone, Debug)]
pub(super) struct Page {
    title: String,
    /// In the order of the page.
    parts: Vec<Part>,
}

/// One part, whose element has the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) html: Arc<str>,
}

/// What is to be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Everything.
    All,
    /// One tenant, by its id.
    Tenant(String),
}

impl Page {
    pub(super) fn new(status: &Status, view: &View) -> Self {
        let mood = Mood::of(status);
        let part = |id: &str, content: Markup| Part { id: id.to_owned(), html: content.0.into() };
        let mut parts = vec![part("state", state(status, &mood, view))];
        if *view == View::All {
            parts.push(part("attention", attention(&status.attention)));
            parts.push(part("first", lists::first(&status.first_steps)));
            parts.push(part("services", services(status)));
            parts.push(part("replicas", lists::replicas(status.replicas.as_deref(), status.at)));
        }
        parts.push(part("tenants", tenants::frame(status, view)));
        for (id, tenant) in tenants::each(status, view) {
            parts.push(part(&id, tenant));
        }
        if *view == View::All {
            parts.push(part("dead", lists::dead_letters(status.dead_letters.as_deref())));
            parts.push(part("certificates", lists::certificates(&status.certificates)));
        }
        Self { title: format!("{} · m365-collector", mood.headline), parts }
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The whole document.
    pub(super) fn document(&self, view: &View) -> String {
        let of = |id: &str| {
            let part = self.parts.iter().find(|part| part.id == id);
            PreEscaped(part.map_or("", |part| &part.html))
        };
        let events = match view {
            View::All => "api/events".to_owned(),
            View::Tenant(id) => format!("api/events?tenant={id}"),
        };
        let tenants = self.parts.iter().filter(|part| part.id.starts_with("t-"));
        let frame = of("tenants").0;
        let (before, after) = frame.split_once(tenants::PLACE).unwrap_or((frame, ""));
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="robots" content="noindex";
                    title { (self.title) }
                    link rel="icon" href="data:,";
                    noscript { meta http-equiv="refresh" content="15"; }
                    style { (PreEscaped(STYLE)) }
                }
                body data-events=(events) {
                    a.skip href="#tenants" { "Skip to the tenants" }
                    main {
                        (of("state")) (of("attention")) (of("first")) (of("services")) (of("replicas"))
                        (PreEscaped(before))
                        @for part in tenants { (PreEscaped(&part.html)) }
                        (PreEscaped(after))
                        (of("dead")) (of("certificates"))
                    }
                    (footer())
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }
}

/// What a browser may do with the page: show it, run its script, and listen to us.
pub(super) fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash =
            |text: &str| BASE64_STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
        format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src \
             'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        )
    });
    &POLICY
}

/// How all of it is, in a word.
#[derive(Clone, Debug)]
struct Mood {
    class: &'static str,
    headline: String,
}

impl Mood {
    fn of(status: &Status) -> Self {
        let of =
            |severity| status.attention.iter().filter(|entry| entry.severity == severity).count();
        let (act, look) = (of(Severity::Act), of(Severity::Look));
        let draining = status
            .parts
            .iter()
            .any(|part| part.name == "webhook" && part.state == PartState::Failed);
        let (class, headline) = match status.readiness {
            Readiness::NotReady if draining => ("look", "Stopping".to_owned()),
            Readiness::NotReady => ("act", "Not ready".to_owned()),
            _ if act == 1 => ("act", "1 thing needs you".to_owned()),
            _ if act > 1 => ("act", format!("{act} things need you")),
            _ if look > 0 => ("look", "Working, with something to look at".to_owned()),
            _ if !status.first_steps.is_empty() => ("calm", "Waiting for the first records".into()),
            Readiness::Degraded => ("calm", "Connecting".to_owned()),
            Readiness::Ready => ("well", "All is well".to_owned()),
        };
        Self { class, headline }
    }
}

fn state(status: &Status, mood: &Mood, view: &View) -> Markup {
    let feeds = || status.tenants.iter().flat_map(|tenant| &tenant.feeds);
    let contents: u64 = feeds().flat_map(|feed| &feed.delivered).sum();
    let records: u64 = feeds().map(|feed| feed.records).sum();
    let waiting: Option<u64> = status.tenants.iter().map(|tenant| tenant.waiting).sum();
    let dead: Option<u64> =
        status.dead_letters.as_ref().map(|all| all.iter().map(|group| group.letters).sum());
    let lag = feeds().filter_map(|feed| feed.lag_seconds).max();
    let title = format!("{} · m365-collector", mood.headline);
    html! {
        header #state class=(mood.class) data-title=(title) {
            div.line {
                p.product { b { "m365-collector" } " " span.muted { (env!("CARGO_PKG_VERSION")) } }
                p.live.muted {
                    span #connection { "as of" } " "
                    time datetime=(status.at.to_string()) { (stamp(status.at)) } " UTC"
                }
            }
            h1 { span.dot aria-hidden="true" {} (mood.headline) }
            @if *view != View::All { p { a href="./" { "← All tenants" } } }
            dl.figures {
                div { dt { "Records delivered" } dd { (number(records)) } dd.note { "12 hours" } }
                div { dt { "Contents delivered" } dd { (number(contents)) } dd.note { "12 hours" } }
                div {
                    dt { "Waiting" }
                    dd { @match waiting { Some(n) => (number(n)), None => "?" } }
                    dd.note { (oldest(status)) }
                }
                div {
                    dt { "Lag" }
                    dd { @match lag { Some(s) => (words::span(s)), None => "–" } }
                    dd.note { "slowest feed" }
                }
                div {
                    dt { "Dead letters" }
                    dd class=[dead.filter(|n| *n > 0).map(|_| "bad")] {
                        @match dead { Some(n) => (number(n)), None => "–" }
                    }
                    dd.note { @if dead.is_some_and(|n| n > 0) { a href="#dead" { "reasons" } } @else { "none given up" } }
                }
            }
        }
    }
}

fn oldest(status: &Status) -> String {
    match status.tenants.iter().filter_map(|tenant| tenant.oldest_seconds).max() {
        Some(seconds) => format!("oldest {}", words::span(seconds)),
        None => "nothing is late".into(),
    }
}

fn attention(all: &[Attention]) -> Markup {
    html! {
        section #attention aria-label="What needs attention" hidden[all.is_empty()] {
            @if !all.is_empty() { h2 { "What to do" } }
            @for entry in all {
                article class=(match entry.severity { Severity::Act => "act", Severity::Look => "look" }) {
                    h3 {
                        span.tag { (match entry.severity { Severity::Act => "Act", Severity::Look => "Look" }) }
                        (entry.title)
                    }
                    p { (entry.detail) }
                    @if let Some(remedy) = &entry.remedy { p { (remedy) } }
                    @if let Some(command) = &entry.command { (words::command(command)) }
                    @if !entry.tenants.is_empty() { p.who.muted { "Concerns " (words::some(&entry.tenants)) } }
                }
            }
        }
    }
}

fn services(status: &Status) -> Markup {
    html! {
        section #services aria-label="Parts of the service" {
            ul.parts {
                @for part in &status.parts {
                    li class=(match part.state { PartState::Ok => "well", PartState::Degraded => "look", PartState::Failed => "act" }) {
                        span.dot aria-hidden="true" {}
                        b { (match part.name { "webhook" => "Webhook", "ledger" => "Ledger", "devo" => "Devo", _ => "Microsoft" }) }
                        " " span.muted { (told(part, status)) }
                    }
                }
            }
        }
    }
}

/// What a part says of itself; of Microsoft, how many tenants it is that it does not answer.
fn told(part: &status::Part, status: &Status) -> String {
    if part.name != "microsoft" || part.state == PartState::Ok {
        return part.detail.clone();
    }
    let failing = status.tenants.iter().filter(|tenant| tenant.problem.is_some()).count();
    format!("fails for {failing} of {} tenants", status.tenants.len())
}

fn footer() -> Markup {
    html! {
        footer.muted {
            p.legend {
                span { span.sample.announced aria-hidden="true" {} "announced" }
                span { span.sample.delivered aria-hidden="true" {} "delivered" }
                span { i.d.whole aria-hidden="true" {} "all arrived" }
                span { i.d.empty aria-hidden="true" {} "nothing listed" }
                span { i.d.waiting aria-hidden="true" {} "some waits" }
                span { i.d.dead aria-hidden="true" {} "some given up" }
                span { i.d.unknown aria-hidden="true" {} "not swept" }
            }
            p {
                "Days are of UTC and by the ledger's books, as sweeps found them listed; "
                code { "m365-collector ledger completeness" } " asks Microsoft as well."
            }
            nav aria-label="Other forms" {
                a href="api/status" { "JSON" } " · " a href="metrics" { "metrics" } " · "
                a href="readyz" { "readiness" }
            }
        }
    }
}

const STYLE: &str = include_str!("page/style.css");

const SCRIPT: &str = include_str!("page/script.js");

#[cfg(test)]
mod tests;
