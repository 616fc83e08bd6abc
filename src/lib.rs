//! m365-collector receives Microsoft 365 audit content announcements and delivers every audit
//! record to Devo.
//!
//! # The way of one announcement
//!
//! ```text
//! Microsoft ──POST──▶ webhook ─┐                     ┌─▶ fetch ─▶ split ─▶ route ─▶ frame ─▶ identity ─▶ session ──TLS──▶ Devo
//!                              ├─▶ ledger ──claim──▶ pipeline                                              │
//!      sweep, backfill ────────┘      ▲              └───────────── settle ◀────── confirmed ◀─────────────┘
//! ```
//!
//! 1. [`webhook`] authenticates the caller before it reads the body, judges each entry of the
//!    [`notification`], hands what is ours to the [`ledger`] and answers 200 after the commit.
//!    Recording the same [canonical](content::CanonicalId) content twice is a no-op. [`sweep`]
//!    lists what Microsoft has, again and again, and hands it to the same ledger: notifications are
//!    lost, and a site may have no public port at all. A backfill does the same for an operator's
//!    range.
//! 2. [`pipeline`] claims leases while it has room and Devo is there, and runs one step per lease.
//!    The step **streams**: a chunk of the blob comes in from [`microsoft`], [`split`] cuts it into
//!    records, [`route`] reads the few fields that tell them apart and choose their table,
//!    [`frame`] makes each a syslog line in a batch, [`identity`] says of a full batch which
//!    records were delivered before, and what is left goes to a session of [`deliver`]. A slow Devo
//!    slows the download; nothing piles up.
//! 3. Sent is not done. A step that has sent everything gives its place free and waits for its
//!    sessions to be confirmed: our side ended the stream, and the receiver, having read all of
//!    it, ended its own. Only then are the identities of the records it carried kept, so that what
//!    comes again, here or in another content, is not sent again; and only with all of them is the
//!    lease settled.
//! 4. A lease that is not settled runs out and is claimed again. **Restart is the recovery path**,
//!    and there is no other.
//!
//! Several processes may share a ledger on a server. A content is leased by one of them, whoever it
//! is; what only one may do at a time, such as sweeping a tenant, is a duty of one ([`duties`]); and
//! what one has delivered the others learn from the ledger.
//!
//! [`subscriptions`] keeps Microsoft calling: it compares what is wanted with what Microsoft lists
//! and starts what differs. [`completeness`] compares what Microsoft lists with what the ledger
//! made of it, for who asks whether everything arrived. [`admin`] shows all of it. [`app`] builds
//! the process, runs it and drains it in order.
//!
//! The ledger holds announcements, never records, because Microsoft keeps content for days: an
//! outage of Devo costs rows of a few hundred bytes and no spool. What must be watched instead is
//! the time until content expires.
//!
//! # The map
//!
//! | part | owns | may use |
//! | --- | --- | --- |
//! | [`content`], [`moment`], [`reason`] | the vocabulary: tenants, content types and ids, announcements; moments before and after others; the closed reasons of failure | nothing |
//! | [`notification`], [`redirect`], [`split`], [`route`], [`frame`], [`identity`], [`backoff`] | decisions: pure, no clock, no I/O | the vocabulary |
//! | [`clock`], [`watched`], [`secret`], [`shutdown`], [`tls`], [`outcomes`], [`roster`] | what every activity needs: wall time, files that change, secrets, the request to stop, certificates, the counts of what was given up on, following tenants as they come and go | the vocabulary |
//! | [`ledger`] | durable truth: announcements, leases, outcomes, identities of delivered records, dead letters. All SQL | the rows above |
//! | [`microsoft`] | cloud roots, tokens, the typed API client and its error reading, pacing per tenant | the rows above but the ledger |
//! | [`deliver`] | batches, sessions, confirmation, reconnecting | the same |
//! | [`http`] | the listener behind both ports | the same |
//! | [`duties`] | which replica does what: sweeping, subscriptions, pruning; shares of the budget | [`ledger`], [`microsoft`] |
//! | [`webhook`], [`pipeline`], [`sweep`], [`subscriptions`], [`admin`], [`expiry`], [`stats`], [`logbook`] | one activity each | everything above, never each other |
//! | [`consent`] | an administrator's browser on loopback | [`http`] |
//! | [`completeness`] | the listing against the books; [`admin`] shows its word | [`ledger`], [`microsoft`], the reader of [`sweep`] |
//! | [`app`] | the composition root | everything above |
//! | [`doctor`] | every hop looked at once, from outside | everything above, nothing of which it starts |
//! | `simulator` (feature `demo`) | the Microsoft side and a Devo side on loopback | the vocabulary, [`tls`] |
//! | [`config`], [`cli`], `demo` | reading the outside, showing the inside | [`app`] |
//!
//! A test reads the `use` lines and keeps it so. Nothing below [`webhook`] and [`admin`] knows
//! HTTP servers; nothing but [`microsoft`] knows an API address or a token; nothing but [`deliver`]
//! knows a connection to Devo; nothing but [`config`] and the binary reads the environment, whose `OTEL_…` a library reads for
//! the binary with the feature `otel`.
//!
//! # Invariants
//!
//! - **I1** 200 is sent only after the commit.
//! - **I2** Recording known content is a no-op.
//! - **I3** Recorded content ends in exactly one of delivered, dead, expired, with a closed reason.
//!   An operator's replay gives what is dead another chance.
//! - **I4** A lease is settled at most once; unsettled, it becomes claimable.
//! - **I5** Delivered means confirmed by the receiver's end of stream.
//! - **I6** No request leaves for a host outside the configuration.
//! - **I7** Nothing the network sends can grow memory beyond configured caps; memory does not
//!   depend on the size of a blob.
//! - **I8** The bytes of a record are forwarded unchanged, but for white space between tokens and
//!   raw control characters in strings, which are escaped.
//! - **I9** Secrets and record bodies reach no log, metric, error text or status page.
//! - **I10** Whatever is given up on is counted in `m365_messages_unsuccessfully_processed_total`,
//!   and content or records of it can be replayed while Microsoft has them.
//!
//! What these are worth against whom is said in [`security`], the threat model.
//!
//! # What is deliberately absent
//!
//! No spool of records, no queue in memory behind the webhook, no recovery procedure beside the
//! lease, no retry inside a step, no parsing of records into maps, no process-wide state.

pub mod aadsts;
pub mod admin;
pub mod app;
pub mod backoff;
pub mod cli;
pub mod clock;
pub mod completeness;
pub mod config;
pub mod consent;
pub mod content;
pub mod deliver;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod duties;
pub mod expiry;
pub mod frame;
pub mod http;
pub mod identity;
pub mod ledger;
pub mod logbook;
pub mod microsoft;
pub mod moment;
pub mod notification;
pub mod outcomes;
pub mod pipeline;
pub mod printable;
pub mod reason;
pub mod redirect;
pub mod roster;
pub mod route;
pub mod secret;
pub mod security;
pub mod shutdown;
#[cfg(feature = "demo")]
pub mod simulator;
pub mod split;
pub mod stats;
pub mod subscriptions;
pub mod sweep;
pub mod tls;
pub mod watched;
pub mod webhook;
