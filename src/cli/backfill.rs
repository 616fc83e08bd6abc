//! `backfill`: hands what Microsoft lists for a range of time to the service.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};

use super::{Backfill, CommandError, Exit, Outside, asking, complain};
use crate::{
    clock::Clock,
    config::Config,
    ledger,
    sweep::{self, Done, Progress, Range, Summary},
};

/// Announces the range and writes what was found to standard output.
pub(super) async fn announce(
    config: Config,
    command: Backfill,
    outside: &Outside,
) -> Result<Exit, CommandError> {
    let id = command.tenant.parse().ok();
    let tenant = config
        .tenants
        .iter()
        .find(|tenant| *tenant.name == *command.tenant || Some(tenant.id) == id)
        .ok_or(CommandError::UnknownTenant(command.tenant))?;
    let range = Range {
        tenant: tenant.id,
        content_types: command
            .content_type
            .map_or_else(|| tenant.content_types.clone(), |kind| vec![kind]),
        from: command.from,
        to: command.to,
        again: command.again,
    };
    let clock = Clock::system();
    let client = asking::client(&config, &clock)?;
    let ledger = ledger::Backfill::open(&config.ledger).await?;
    let mut screen = Screen::new(outside.terminal);
    let throttled = screen.teller();
    let tenants = config.tenants;
    let backfill = sweep::Backfill::new(client, ledger, clock)
        .telling(move |id, wait| throttled(&asking::throttled(id, wait, &tenants)));
    let outcome = backfill.run(&range, |progress| screen.show(&progress)).await;
    screen.clear();
    let Done { summary, cut_to, refused } = outcome?;
    let Summary { windows, skipped, listed, new, malformed } = summary;
    writeln!(
        io::stdout(),
        "{}: {listed} contents listed, {new} of them new; {windows} windows read, {skipped} were complete before",
        tenant.name
    )?;
    if skipped > 0 {
        writeln!(
            io::stderr(),
            "`--again` reads complete windows again, for content that appeared late"
        )?;
    }
    if malformed > 0 {
        writeln!(
            io::stderr(),
            "warning: {malformed} entries have no usable id and cannot be fetched"
        )?;
    }
    if let Some(earliest) = cut_to {
        writeln!(
            io::stderr(),
            "Microsoft lists content of the last 7 days only: begun at {earliest:.0}"
        )?;
    }
    for (content_type, error) in &refused {
        writeln!(io::stderr(), "{content_type} is left out:")?;
        complain(&mut io::stderr(), error);
    }
    Ok(if refused.is_empty() { Exit::Success } else { Exit::Failed })
}

/// Reads a moment, of UTC where it has no zone, or a date for the beginning of that day.
pub(super) fn moment(text: &str) -> Result<Timestamp, &'static str> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    // The feed itself writes times of UTC without a zone.
    if let Ok(time) = text.parse::<DateTime>()
        && text.contains('T')
    {
        return TimeZone::UTC.to_timestamp(time).map_err(|_| EXPECTED);
    }
    let date: Date = text.parse().map_err(|_| EXPECTED)?;
    // A civil date is also read from a longer text, whose time would be dropped.
    if text.len() != date.to_string().len() {
        return Err(EXPECTED);
    }
    date.to_zoned(TimeZone::UTC).map(|day| day.timestamp()).map_err(|_| EXPECTED)
}

/// Where the progress goes: standard error, redrawn in place on a terminal.
enum Screen {
    Live(ProgressBar),
    /// The windows that were said to be done.
    Plain(usize),
}

impl Screen {
    fn new(terminal: bool) -> Self {
        if !terminal {
            return Self::Plain(0);
        }
        let bar = ProgressBar::new(0);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {bar:30} {pos} of {len} windows   {msg}")
                .expect("the template is a constant"),
        );
        bar.enable_steady_tick(TICK);
        Self::Live(bar)
    }

    fn show(&mut self, progress: &Progress) {
        let Progress { content_type, day, total, summary } = progress;
        let done = summary.windows + summary.skipped;
        let found = format!("{} listed, {} new", summary.listed, summary.new);
        match self {
            Self::Live(bar) => {
                bar.set_length(u64::try_from(*total).unwrap_or(u64::MAX));
                bar.set_position(u64::try_from(done).unwrap_or(u64::MAX));
                bar.set_message(format!("{content_type} {}   {found}", day.start.strftime("%F")));
            }
            Self::Plain(said) if *said < done => {
                *said = done;
                let day = day.start.strftime("%F");
                writeln!(io::stderr(), "{done} of {total} windows: {content_type} {day}, {found}")
                    .ok();
            }
            Self::Plain(_) => {}
        }
    }

    /// Says a line above what is redrawn.
    fn teller(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let bar = match self {
            Self::Live(bar) => Some(bar.clone()),
            Self::Plain(_) => None,
        };
        move |line| match &bar {
            Some(bar) => bar.println(line),
            // Whoever closed standard error does not want to know.
            None => writeln!(io::stderr(), "{line}").unwrap_or_default(),
        }
    }

    fn clear(&self) {
        if let Self::Live(bar) = self {
            bar.finish_and_clear();
        }
    }
}

const EXPECTED: &str = "expected a date such as 2026-01-31, or a time such as 2026-01-31T13:00:00Z";

const TICK: Duration = Duration::from_millis(120);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_or_times_of_utc_or_have_a_zone() {
        let read = |text| moment(text).map(|at| at.to_string());
        assert_eq!(read("2026-01-31"), Ok("2026-01-31T00:00:00Z".to_owned()));
        assert_eq!(read("2026-01-31T13:00:00+02:00"), Ok("2026-01-31T11:00:00Z".to_owned()));
        assert_eq!(read("2026-01-31T13:00:00"), Ok("2026-01-31T13:00:00Z".to_owned()));
        for text in ["2026-01-31T25:00:00", "yesterday", "2026-02-30", "13:00", ""] {
            assert_eq!(read(text), Err(EXPECTED), "{text}");
        }
    }
}
