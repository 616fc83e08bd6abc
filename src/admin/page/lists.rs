//! The lists beside the tenants: first steps, replicas, dead letters, certificates.

use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{self, counted, number, stamp};
use crate::{
    admin::status::{CertificateStatus, DeadGroup, FirstStep},
    duties,
    expiry::Kind,
};

/// What comes next after a first start.
pub(super) fn first(steps: &[FirstStep]) -> Markup {
    let next = steps.iter().position(|step| !step.done);
    html! {
        section #first aria-label="First steps" hidden[steps.is_empty()] {
            @if !steps.is_empty() {
                h2 { "What comes next" }
                ol.steps {
                    @for (index, step) in steps.iter().enumerate() {
                        li class=(if step.done { "done" } else if next == Some(index) { "next" } else { "later" }) {
                            h3 { (step.title) span.vh { (if step.done { ": done" } else { ": to do" }) } }
                            p { (step.detail) }
                            @if let Some(command) = &step.command { (words::command(command)) }
                        }
                    }
                }
            }
        }
    }
}

/// Who shares the ledger, where that is more than one.
pub(super) fn replicas(all: Option<&[duties::Entry]>, now: Timestamp) -> Markup {
    let all = all.filter(|all| all.len() > 1).unwrap_or_default();
    html! {
        section #replicas aria-label="Replicas" hidden[all.is_empty()] {
            @if !all.is_empty() {
                h2 { "Replicas" }
                table.plain.replicas {
                    thead {
                        tr {
                            th scope="col" { "Host" }
                            th scope="col" { "State" }
                            th scope="col" { "Heard of" }
                            th.n scope="col" { "Share of requests" }
                            th scope="col" { "Sweeps" }
                            th scope="col" { "Subscriptions" }
                        }
                    }
                    tbody { @for replica in all.iter().take(REPLICAS) { (row(replica, now)) } }
                }
                @if all.len() > REPLICAS {
                    p.muted { (all.len() - REPLICAS) " more: " code { "m365-collector ledger status" } }
                }
            }
        }
    }
}

fn row(replica: &duties::Entry, now: Timestamp) -> Markup {
    use duties::State;
    let class = match replica.state {
        State::Alive => "well",
        State::Draining => "look",
        State::Gone => "calm",
        State::Silent => "act",
    };
    let of = |tenants: &[String]| {
        if tenants.is_empty() {
            html! { span.muted { "–" } }
        } else {
            html! { (words::some(tenants)) }
        }
    };
    html! {
        tr {
            th scope="row" {
                (replica.name) " " span.muted { (replica.version) }
                @if replica.prunes { " " span.muted { "(prunes)" } }
            }
            td data-label="State" {
                span class={ "word " (class) } { span.dot aria-hidden="true" {} (replica.state.as_str()) }
            }
            td data-label="Heard of" { (words::ago(Some(replica.seen), now)) }
            td.n data-label="Share of requests" { (format!("{:.1} %", replica.share_percent)) }
            td data-label="Sweeps" { (of(&replica.sweeps)) }
            td data-label="Subscriptions" { (of(&replica.subscriptions)) }
        }
    }
}

/// What was given up on, and how to have another try.
pub(super) fn dead_letters(groups: Option<&[DeadGroup]>) -> Markup {
    let groups = groups.unwrap_or_default();
    html! {
        section #dead aria-label="Dead letters" hidden[groups.is_empty()] {
            @if !groups.is_empty() {
                h2 { "Dead letters" }
                ul.letters {
                    @for group in groups.iter().take(GROUPS) {
                        li {
                            h3 {
                                (group.tenant) " " span.muted { (group.content_type) }
                            }
                            p {
                                b.bad { (counted(group.letters, "message", "messages")) }
                                ": " (group.reason.replace('_', " ")) ", last at "
                                time datetime=(group.last.to_string()) { (stamp(group.last)) } ". "
                                @if group.replayable == 0 { "Microsoft has deleted the content." }
                                @else if group.replayable < group.letters { "Microsoft still has " (number(group.replayable)) "." }
                            }
                            @if let Some(command) = &group.command { (words::command(command)) }
                        }
                    }
                }
                @if groups.len() > GROUPS {
                    p.muted { (groups.len() - GROUPS) " more kinds: " code { "m365-collector ledger dead" } }
                }
            }
        }
    }
}

/// What proves who we are, and for how long.
pub(super) fn certificates(all: &[CertificateStatus]) -> Markup {
    html! {
        section #certificates aria-label="Certificates" hidden[all.is_empty()] {
            @if !all.is_empty() {
                h2 { "Certificates" }
                table.plain {
                    thead { tr { th scope="col" { "For" } th scope="col" { "Ends" } th.n scope="col" { "Days left" } } }
                    tbody {
                        @for certificate in all.iter().take(CERTIFICATES) {
                            tr {
                                th scope="row" {
                                    (match certificate.kind { Kind::Client => "Microsoft", Kind::Devo => "Devo", Kind::Tls => "Webhook" })
                                    @if !certificate.tenant.is_empty() { " " span.muted { (certificate.tenant) } }
                                }
                                td { time datetime=(certificate.expires.to_string()) { (certificate.expires.strftime("%Y-%m-%d").to_string()) } }
                                td.n class=[(match certificate.days { ..7 => Some("bad"), 7..30 => Some("warn"), _ => None })] {
                                    (u64::try_from(certificate.days).map_or("over".into(), number))
                                }
                            }
                        }
                    }
                }
                @if all.len() > CERTIFICATES {
                    p.note { "Those that end first; " (all.len() - CERTIFICATES) " more have longer." }
                }
                p.note {
                    "Client secrets do not tell when they end."
                    @if all.iter().any(|certificate| certificate.kind == Kind::Client) {
                        " A tenant's certificate is also that of those who consented to the same application."
                    }
                }
            }
        }
    }
}

/// Kinds of dead letters a person reads through.
const GROUPS: usize = 20;

/// Replicas that a person looks through.
const REPLICAS: usize = 20;

/// Certificates that are worth a line each.
const CERTIFICATES: usize = 12;
