//! The tenants and their feeds.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::{
    View,
    words::{ago, counted, number, span},
};
use crate::admin::status::{DayStatus, FeedStatus, Light, Status, TenantStatus, Verdict};

/// The section around the tenants, which come in place of [`PLACE`].
pub(super) fn frame(status: &Status, view: &View) -> Markup {
    let shown = order(status, view);
    let troubled = shown.iter().filter(|tenant| trouble(tenant) > 0).count();
    let ids: Vec<_> = shown.iter().map(|tenant| format!("t-{}", tenant.id)).collect();
    html! {
        section #tenants aria-label="Tenants" tabindex="-1" hidden[shown.is_empty()] data-order=(ids.join(" ")) {
            @if *view == View::All && !shown.is_empty() {
                h2 {
                    (counted(u64::try_from(shown.len()).unwrap_or(0), "tenant", "tenants"))
                    @if troubled > 0 { span.muted { ", " (troubled) " to look at" } }
                }
            }
            div.heads aria-hidden="true" hidden[shown.len() <= FEW || *view != View::All] {
                span { "Tenant" } span {} span.n { "Waiting" } span.n { "Lag" } span.n { "Dead" }
                span { "12 hours" } span { "7 days" }
            }
            (maud::PreEscaped(PLACE))
        }
    }
}

/// Where the tenants come.
pub(super) const PLACE: &str = "<!--tenants-->";

/// Every tenant with the id of its element, those to look at first.
pub(super) fn each(status: &Status, view: &View) -> Vec<(String, Markup)> {
    let shown = order(status, view);
    let few = shown.len() <= FEW;
    let tenants = shown.iter().enumerate().map(|(index, tenant)| {
        let content = if index < DETAILED {
            let open = few || *view != View::All || (trouble(tenant) > 0 && index < OPEN);
            detailed(tenant, status.at, open, *view != View::All)
        } else {
            compact(tenant)
        };
        (format!("t-{}", tenant.id), content)
    });
    tenants.collect()
}

fn order<'a>(status: &'a Status, view: &View) -> Vec<&'a TenantStatus> {
    let is_shown = |tenant: &&TenantStatus| match view {
        View::All => true,
        View::Tenant(id) => tenant.id == *id,
    };
    let mut shown: Vec<_> = status.tenants.iter().filter(is_shown).collect();
    // They come by name.
    shown.sort_by_key(|tenant| std::cmp::Reverse(trouble(tenant)));
    shown
}

/// How much there is to look at.
fn trouble(tenant: &TenantStatus) -> u8 {
    let feeds = &tenant.feeds;
    if tenant.advice.is_some() || feeds.iter().any(|feed| feed.problem.is_some()) {
        3
    } else if tenant.problem.is_some() || is_late(tenant) {
        2
    } else {
        u8::from(feeds.iter().any(|feed| feed.dead.is_some_and(|dead| dead > 0)))
    }
}

fn is_late(tenant: &TenantStatus) -> bool {
    tenant.waiting != Some(0) && tenant.oldest_seconds.is_some_and(|age| age > LATE)
}

fn word(tenant: &TenantStatus) -> (&'static str, &'static str) {
    if tenant.advice.is_some() {
        ("act", "refused")
    } else if tenant.problem.is_some() {
        ("look", "no answer")
    } else if tenant.feeds.iter().any(|feed| feed.problem.is_some()) {
        ("look", "subscriptions")
    } else if is_late(tenant) {
        ("look", "late")
    } else if trouble(tenant) > 0 {
        ("look", "dead letters")
    } else if tenant.checked.is_none() {
        ("calm", "starting")
    } else {
        ("well", "well")
    }
}

fn detailed(tenant: &TenantStatus, now: Timestamp, open: bool, alone: bool) -> Markup {
    html! {
        details.tenant id=(format!("t-{}", tenant.id)) open[open] {
            summary { (line(tenant, &html! { (tenant.name) })) }
            @if let Some(problem) = &tenant.problem {
                p.problem {
                    "The subscriptions cannot be read: " (problem.replace('_', " ")) ". "
                    // Beside others it is said once, above all of them.
                    @if alone { (tenant.advice.unwrap_or_default()) }
                }
            }
            table.feeds {
                caption.vh { "Feeds of " (tenant.name) }
                thead {
                    tr {
                        th scope="col" { "Feed" }
                        th scope="col" { "Subscription" }
                        th scope="col" { "Webhook" }
                        th scope="col" { "Notified" }
                        th scope="col" { "Delivered" }
                        th.n scope="col" { "Waiting" }
                        th.n scope="col" { "Lag" }
                        th.n scope="col" { "Dead" }
                        th scope="col" { "12 hours" }
                        th scope="col" { "7 days" }
                    }
                }
                tbody { @for feed in &tenant.feeds { (row(feed, now, tenant.problem.is_some())) } }
            }
        }
    }
}

/// One line, whose feeds are a page of their own.
fn compact(tenant: &TenantStatus) -> Markup {
    let name = html! { a href=(format!("?tenant={}", tenant.id)) { (tenant.name) } };
    html! { div.tenant.compact id=(format!("t-{}", tenant.id)) { (line(tenant, &name)) } }
}

fn line(tenant: &TenantStatus, name: &Markup) -> Markup {
    let (class, word) = word(tenant);
    let feeds = &tenant.feeds;
    let dead: Option<u64> = feeds.iter().map(|feed| feed.dead).sum();
    let lag = feeds.iter().filter_map(|feed| feed.lag_seconds).max();
    let steps = |of: fn(&FeedStatus) -> &Vec<u64>| {
        let mut total = vec![0; feeds.iter().map(|feed| of(feed).len()).max().unwrap_or(0)];
        for feed in feeds {
            total.iter_mut().zip(of(feed)).for_each(|(total, count)| *total += count);
        }
        total
    };
    let days = feeds.iter().map(|feed| feed.days.clone()).reduce(|all, more| {
        all.into_iter().zip(&more).map(|(one, other)| one.and(other)).collect()
    });
    html! {
        span.name { (name) }
        span class={ "word " (class) } { span.dot aria-hidden="true" {} (word) }
        span.n { span.label { "Waiting " } (amount(tenant.waiting, if is_late(tenant) { "warn" } else { "" })) }
        span.n { span.label { "Lag " } (lag.map_or("–".into(), span)) }
        span.n { span.label { "Dead " } (amount(dead, "bad")) }
        span { (spark(&steps(|feed| &feed.announced), &steps(|feed| &feed.delivered))) }
        span { (week(&days.unwrap_or_default())) }
    }
}

/// Whether it is `stale` that what Microsoft lists is not known any more.
fn row(feed: &FeedStatus, now: Timestamp, stale: bool) -> Markup {
    html! {
        tr {
            th scope="row" {
                (feed.content_type)
                @if let Some(problem) = &feed.problem { span.problem { (problem.replace('_', " ")) } }
            }
            td data-label="Subscription" { (light(feed.subscription, stale)) }
            td data-label="Webhook" { (light(feed.webhook, stale)) }
            td data-label="Notified" { (ago(feed.last_notified, now)) }
            td data-label="Delivered" { (ago(feed.last_delivered, now)) }
            td.n data-label="Waiting" { (amount(feed.waiting, "")) }
            td.n data-label="Lag" { (feed.lag_seconds.map_or("–".into(), span)) }
            td.n data-label="Dead" { (amount(feed.dead, "bad")) }
            td data-label="12 hours" { (spark(&feed.announced, &feed.delivered)) }
            td data-label="7 days" { (week(&feed.days)) }
        }
    }
}

fn amount(count: Option<u64>, class: &str) -> Markup {
    match count {
        None => html! { span.muted { "–" } },
        Some(0) => html! { span.zero { "0" } },
        Some(count) => html! { span class=(class) { (number(count)) } },
    }
}

fn light(light: Light, stale: bool) -> Markup {
    let (class, word) = match light {
        Light::On if stale => ("calm", "was on"),
        Light::On => ("well", "on"),
        Light::Off => ("act", "off"),
        Light::Missing => ("act", "missing"),
        Light::NotWanted => ("calm", "not used"),
        Light::Unknown => ("calm", "not yet"),
    };
    html! { span class={ "word " (class) } { span.dot aria-hidden="true" {} (word) } }
}

/// What was announced as a line, what was delivered as the area under it: where the line runs above
/// the area, something is not delivered.
fn spark(announced: &[u64], delivered: &[u64]) -> Markup {
    if announced.is_empty() {
        return html! { span.muted { "–" } };
    }
    let (found, arrived): (u64, u64) = (announced.iter().sum(), delivered.iter().sum());
    let most = announced.iter().chain(delivered).copied().max().unwrap_or(0).max(1);
    let height = |count: u64| HEIGHT - count.saturating_mul(HEIGHT - 2) / most;
    let path = |steps: &[u64]| {
        let mut path = String::with_capacity(steps.len() * 8);
        let mut last = None;
        for (index, count) in steps.iter().enumerate() {
            let (left, height) = (index * 4, height(*count));
            // Writing into a string cannot fail.
            let _infallible = match last {
                None => write!(path, "M0 {height}"),
                Some(last) if last != height => write!(path, "H{left}V{height}"),
                Some(_) => Ok(()),
            };
            last = Some(height);
        }
        let _infallible = write!(path, "H{}", steps.len() * 4);
        path
    };
    let width = announced.len() * 4;
    let area = format!("{}V{HEIGHT}H0Z", path(delivered));
    let label = if found == 0 && arrived == 0 {
        "Nothing in the last 12 hours".to_owned()
    } else {
        format!("Last 12 hours: {} announced, {} delivered", number(found), number(arrived))
    };
    html! {
        svg.spark role="img" aria-label=(label) viewBox=(format!("0 0 {width} {}", HEIGHT + 1)) preserveAspectRatio="none" {
            @if arrived > 0 { path.delivered d=(area) {} }
            path.announced d=(path(announced)) {}
        }
    }
}

fn week(days: &[DayStatus]) -> Markup {
    if days.is_empty() {
        return html! { span.muted { "–" } };
    }
    html! {
        span.week role="img" aria-label=(said(days)) title=(said(days)) {
            @for day in days { i class={ "d " (class(day.verdict)) } {} }
        }
    }
}

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Dead => "dead",
        Verdict::Empty => "empty",
        Verdict::Unknown => "unknown",
        Verdict::Waiting => "waiting",
        Verdict::Whole => "whole",
    }
}

/// The week in words: what arrived, and the days on which something did not.
fn said(days: &[DayStatus]) -> String {
    let (listed, delivered) =
        days.iter().fold((0, 0), |(l, d), day| (l + day.listed, d + day.delivered));
    let mut said = format!("Last 7 days: {} of {} delivered", number(delivered), number(listed));
    for day in days {
        // Writing into a string cannot fail.
        let _infallible = match day.verdict {
            Verdict::Empty | Verdict::Whole => Ok(()),
            Verdict::Unknown => write!(said, "; {}: not swept", day.day),
            Verdict::Waiting => write!(said, "; {}: {} waiting", day.day, number(day.waiting)),
            Verdict::Dead => {
                write!(said, "; {}: {} given up", day.day, number(day.dead + day.dead_records))
            }
        };
    }
    said
}

/// Up to so many tenants are all open.
const FEW: usize = 2;

/// Tenants whose feeds are on the page; the rest is a line each.
const DETAILED: usize = 40;

/// Tenants to look at that are open from the start.
const OPEN: usize = 5;

/// Content that waits longer than this is late.
const LATE: i64 = 3600;

const HEIGHT: u64 = 22;
