//! `ledger completeness`: did everything arrive, feed by feed and day by day.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use jiff::{Timestamp, civil::Date};
use serde::Serialize;

use super::{
    CommandError, Exit, Outside, Select, asking,
    ledger::{json, name, tenant},
    table,
};
use crate::{
    clock::Clock,
    completeness::{Completeness, Day, Report, Silent, Source},
    config::Config,
    content::{ContentType, TenantId, Tenants},
    ledger::{Reader, Tally},
    sweep::Lister,
};

/// What is asked.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) select: Select,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) offline: bool,
}

/// Shows the books. Fails when something is missing, dead or not known.
pub(super) async fn answer(
    config: Config,
    question: Question,
    outside: &Outside,
) -> Result<Exit, CommandError> {
    let Question { select, from, to, offline } = question;
    let feeds = feeds(&select, &config.tenants)?;
    let reader = Reader::open(&config.ledger).await?;
    let clock = Clock::system();
    if from.is_some_and(|from| from >= to.unwrap_or_else(|| clock.now())) {
        return Err(CommandError::EmptyRange);
    }
    let lister = if offline { None } else { Some(lister(&config, &clock)?) };
    let completeness = Completeness::new(reader, lister, config.sweep, clock);
    let report = completeness.report(&feeds, from, to).await?;
    for Silent { tenant, content_type, day, error } in &report.silent {
        writeln!(
            io::stderr(),
            "{} {content_type} {day}: Microsoft does not list it ({error}); what is shown was \
             listed at the last sweeps",
            name(*tenant, &config.tenants)
        )?;
    }
    let mut output = io::stdout().lock();
    if select.json {
        let rows: Vec<_> = report.days.iter().map(|day| Row::new(day, &config.tenants)).collect();
        json(&mut output, &rows)?;
        unknown(&report).iter().try_for_each(|line| writeln!(io::stderr(), "{line}"))?;
    } else {
        show(&mut output, &report, &config.tenants, outside.coloured_results)?;
    }
    Ok(if report.is_sound() { Exit::Success } else { Exit::Failed })
}

/// The configured feeds that are selected, in a steady order.
fn feeds(select: &Select, tenants: &Tenants) -> Result<Vec<(TenantId, ContentType)>, CommandError> {
    let wanted = tenant(select, tenants)?;
    let mut selected: Vec<_> =
        tenants.iter().filter(|tenant| wanted.is_none_or(|id| id == tenant.id)).collect();
    selected.sort_by(|a, b| a.name.cmp(&b.name));
    let feeds = selected.iter().flat_map(|tenant| {
        let mut types = tenant.content_types.clone();
        types.sort_unstable();
        types.into_iter().map(|kind| (tenant.id, kind))
    });
    let feeds: Vec<_> = feeds
        .filter(|(_, kind)| select.content_type.is_none_or(|wanted| wanted == *kind))
        .collect();
    // Of nothing everything arrived; nobody means to ask that.
    if feeds.is_empty() { Err(CommandError::NoFeed) } else { Ok(feeds) }
}

fn lister(config: &Config, clock: &Clock) -> Result<Lister, CommandError> {
    let tenants = config.tenants.clone();
    let lister =
        Lister::new(asking::client(config, clock)?, clock.clone(), std::num::NonZeroUsize::MIN);
    Ok(lister.telling(move |id, wait| {
        // Whoever closed standard error does not want to know.
        writeln!(io::stderr(), "{}", asking::throttled(id, wait, &tenants)).unwrap_or_default();
    }))
}

#[derive(Debug, Serialize)]
struct Row {
    tenant: String,
    content_type: &'static str,
    day: Date,
    listed: u64,
    delivered: u64,
    waiting: u64,
    dead: u64,
    missing: u64,
    /// Single records given up on, in delivered contents.
    dead_records: u64,
    /// Who says what there is: `microsoft` now, or the last `sweep`; else it is `unknown`.
    source: &'static str,
}

impl Row {
    fn new(day: &Day, tenants: &Tenants) -> Self {
        let Tally { listed, delivered, waiting, dead, missing, dead_records } = day.tally;
        Self {
            tenant: name(day.tenant, tenants),
            content_type: day.content_type.as_str(),
            day: day.day,
            listed,
            delivered,
            waiting,
            dead,
            missing,
            dead_records,
            source: day.source.as_str(),
        }
    }
}

/// A table for each tenant, a line for each day, and one line that says it all; then what to do
/// about days that are not known.
fn show(
    output: &mut impl Write,
    report: &Report,
    tenants: &Tenants,
    colour: bool,
) -> io::Result<()> {
    let mut names: Vec<TenantId> = report.days.iter().map(|day| day.tenant).collect();
    names.dedup();
    for id in names {
        let of_tenant: Vec<_> = report.days.iter().filter(|day| day.tenant == id).collect();
        let mut types: Vec<_> = of_tenant.iter().map(|day| day.content_type).collect();
        types.dedup();
        let mut days: BTreeMap<Date, Vec<String>> = BTreeMap::new();
        for day in &of_tenant {
            days.entry(day.day).or_default().push(cell(day));
        }
        let head: Vec<_> = std::iter::once(name(id, tenants))
            .chain(types.iter().map(ToString::to_string))
            .collect();
        let rows: Vec<_> = days
            .into_iter()
            .map(|(day, cells)| std::iter::once(day.to_string()).chain(cells).collect())
            .collect();
        let mut text = Vec::new();
        table::write_rows(&mut text, &head, &[], &rows)?;
        let text = String::from_utf8_lossy(&text);
        writeln!(output, "{}", if colour { coloured(&text) } else { text.into_owned() })?;
    }
    for line in std::iter::once(summary(report)).chain(unknown(report)) {
        writeln!(output, "{}", if colour { coloured(&line) } else { line })?;
    }
    Ok(())
}

/// A mark, how much Microsoft lists, and what is not well with it.
fn cell(day: &Day) -> String {
    let Day { tally, source, .. } = day;
    let mark = if *source == Source::Unknown { UNKNOWN } else { mark(tally) };
    let counts = troubles(tally);
    match (tally.listed, counts.is_empty()) {
        (0, true) if mark == UNKNOWN => mark.to_string(),
        (0, true) => "-".to_owned(),
        (listed, true) => format!("{mark} {listed}"),
        (listed, false) => format!("{mark} {listed} ({counts})"),
    }
}

fn summary(report: &Report) -> String {
    let total = report.total();
    let Tally { listed, delivered, .. } = total;
    if report.is_whole() {
        return format!("{WHOLE} whole: {listed} contents listed, all delivered");
    }
    let (mark, word) = match (total.is_sound(), report.is_sound()) {
        (false, _) => (BROKEN, "not whole"),
        (true, false) => (UNKNOWN, "not known whether whole"),
        (true, true) => (UNDER_WAY, "nothing lost"),
    };
    let mut line = format!("{mark} {word}: {listed} contents listed, {delivered} delivered");
    let counts = troubles(&total);
    if !counts.is_empty() {
        line = format!("{line}, {counts}");
    }
    line
}

/// How many days are not known, each of a tenant and type, for each reason, and what to do.
fn unknown(report: &Report) -> Vec<String> {
    let (mut silent, mut past) = (0, 0);
    for day in report.unknown() {
        let is_silent = report.silent.iter().any(|silent| silent.holds(day));
        *(if is_silent || !report.asked { &mut silent } else { &mut past }) += 1;
    }
    let answer = if report.asked {
        "did not answer; ask again when it does"
    } else {
        "was not asked; ask it, without --offline"
    };
    [(silent, answer), (past, "no longer lists them whole; begin later, with --from")]
        .into_iter()
        .filter(|(days, _)| *days > 0)
        .map(|(days, why)| {
            format!(
                "{UNKNOWN} {days} days (of one tenant and type each) not known: no sweep has \
                 covered them and Microsoft {why}"
            )
        })
        .collect()
}

fn troubles(tally: &Tally) -> String {
    let counts = [
        (tally.missing, "missing"),
        (tally.dead, "dead"),
        (tally.dead_records, "dead records"),
        (tally.waiting, "waiting"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    counts.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

const fn mark(tally: &Tally) -> char {
    match (tally.is_whole(), tally.is_sound()) {
        (true, _) => WHOLE,
        (false, true) => UNDER_WAY,
        (false, false) => BROKEN,
    }
}

/// Colours the marks; they occur nowhere else.
fn coloured(text: &str) -> String {
    [(WHOLE, 32), (UNDER_WAY, 33), (UNKNOWN, 33), (BROKEN, 31)]
        .iter()
        .fold(text.to_owned(), |text, (mark, code)| {
            text.replace(*mark, &format!("\u{1b}[{code}m{mark}\u{1b}[0m"))
        })
}

const WHOLE: char = '✓';
const UNDER_WAY: char = '…';
const UNKNOWN: char = '?';
const BROKEN: char = '✗';

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use uuid::Uuid;

    use super::*;
    use crate::content::{ClientId, Tenant};

    fn day(content_type: ContentType, day: &str, tally: Tally) -> Day {
        let tenant = Uuid::from_u128(1).into();
        Day { tenant, content_type, day: day.parse().unwrap(), tally, source: Source::Microsoft }
    }

    fn said(days: Vec<Day>, colour: bool) -> String {
        let tenants = Tenants::from_iter([Tenant {
            id: Uuid::from_u128(1).into(),
            client_id: ClientId::from(Uuid::from_u128(2)),
            name: "contoso".into(),
            content_types: vec![ContentType::Exchange, ContentType::General],
        }]);
        let mut text = Vec::new();
        let report = Report { days, silent: Vec::new(), asked: false };
        show(&mut text, &report, &tenants, colour).unwrap();
        String::from_utf8(text).unwrap()
    }

    const DELIVERED: Tally =
        Tally { listed: 120, delivered: 120, waiting: 0, dead: 0, missing: 0, dead_records: 0 };

    #[test]
    fn one_sees_at_a_glance_what_is_not_whole() {
        let waiting = Tally { delivered: 117, waiting: 3, ..DELIVERED };
        let broken =
            Tally { delivered: 110, missing: 2, dead: 5, waiting: 3, dead_records: 1, ..DELIVERED };
        let days = vec![
            day(ContentType::Exchange, "2026-01-30", DELIVERED),
            day(ContentType::Exchange, "2026-01-31", waiting),
            day(ContentType::General, "2026-01-30", broken),
            day(ContentType::General, "2026-01-31", Tally::default()),
        ];
        expect![[r"
            contoso     Audit.Exchange     Audit.General
            2026-01-30  ✓ 120              ✗ 120 (2 missing, 5 dead, 1 dead records, 3 waiting)
            2026-01-31  … 120 (3 waiting)  -

            ✗ not whole: 360 contents listed, 347 delivered, 2 missing, 5 dead, 1 dead records, 6 waiting
        "]]
        .assert_eq(&said(days, false));
    }

    #[test]
    fn a_whole_range_is_one_green_line() {
        let text = said(vec![day(ContentType::Exchange, "2026-01-30", DELIVERED)], true);
        assert!(text.ends_with("\u{1b}[32m✓\u{1b}[0m whole: 120 contents listed, all delivered\n"));
    }

    #[test]
    fn what_is_not_known_is_not_whole() {
        let not_known = |of, tally| Day { source: Source::Unknown, ..day(of, "2026-01-30", tally) };
        let days = vec![
            not_known(ContentType::Exchange, Tally::default()),
            day(ContentType::Exchange, "2026-01-31", DELIVERED),
            not_known(ContentType::General, DELIVERED),
            day(ContentType::General, "2026-01-31", DELIVERED),
        ];
        expect![[r"
            contoso     Audit.Exchange  Audit.General
            2026-01-30  ?               ? 120
            2026-01-31  ✓ 120           ✓ 120

            ? not known whether whole: 360 contents listed, 360 delivered
            ? 2 days (of one tenant and type each) not known: no sweep has covered them and Microsoft was not asked; ask it, without --offline
        "]]
        .assert_eq(&said(days, false));
    }
}
