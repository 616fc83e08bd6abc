//! The demo on a terminal, or as plain lines where there is none.

use std::{
    io::{self, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::progress::Moment;

/// Where the progress goes. Always standard error: standard output is for the result.
#[derive(Debug)]
pub(super) enum Screen {
    /// Redrawn in place.
    Live(Box<Live>),
    /// A line now and then.
    Plain {
        /// When the last line was written.
        last: Option<Instant>,
    },
}

/// The parts that are redrawn.
#[derive(Debug)]
pub(super) struct Live {
    all: MultiProgress,
    records: ProgressBar,
    flow: ProgressBar,
    tables: Vec<ProgressBar>,
}

impl Screen {
    pub(super) fn new(terminal: bool, colour: bool) -> Self {
        if !terminal {
            return Self::Plain { last: None };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let bar = if colour { "{bar:30.green/dim}" } else { "{bar:30}" };
        let records = all.add(ProgressBar::new(0));
        records
            .set_style(style(&format!("   records   {bar} {{pos}} of {{len}} arrived   {{msg}}")));
        let flow = all.add(ProgressBar::new(0));
        flow.set_style(style("   {msg}"));
        Self::Live(Box::new(Live { all, records, flow, tables: Vec::new() }))
    }

    /// A line that stays.
    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Live(live) => live.all.println(line).ok(),
            Self::Plain { .. } => writeln!(io::stderr(), "{line}").ok(),
        };
    }

    pub(super) fn show(&mut self, moment: &Moment) {
        match self {
            Self::Live(live) => live.show(moment),
            Self::Plain { last } => {
                if last.is_some_and(|last| last.elapsed() < LINE_EVERY) {
                    return;
                }
                *last = Some(Instant::now());
                let Moment { blobs, published, arrived, per_second, lag, .. } = moment;
                let line = format!(
                    "   published {blobs} blobs, {published} records · arrived {arrived} · {per_second} records/s · lag {:.1} s",
                    lag.as_secs_f64()
                );
                writeln!(io::stderr(), "{line}").ok();
            }
        }
    }

    /// Leaves only the lines that stay.
    pub(super) fn clear(&self) {
        if let Self::Live(live) = self {
            live.all.clear().ok();
        }
    }
}

impl Live {
    fn show(&mut self, moment: &Moment) {
        self.records.set_length(moment.published);
        self.records.set_position(moment.arrived);
        self.records.set_message(format!(
            "{} records/s   lag {:.1} s",
            moment.per_second,
            moment.lag.as_secs_f64()
        ));
        self.flow.set_message(format!(
            "{} notifications   {} blobs announced   {} downloads",
            moment.notifications, moment.blobs, moment.downloads
        ));
        for (i, (table, lines)) in moment.tables.iter().take(TABLES).enumerate() {
            if self.tables.len() <= i {
                let bar = self.all.add(ProgressBar::new(0));
                bar.set_style(style("   {bar:30.cyan/black} {msg}"));
                self.tables.push(bar);
            }
            let Some(bar) = self.tables.get(i) else { continue };
            bar.set_length(moment.tables.first().map_or(0, |first| first.1));
            bar.set_position(*lines);
            bar.set_message(format!("{lines:>7}  {table}"));
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the templates are constants")
        .progress_chars("━━─")
}

/// Plain output goes to logs; a line every few seconds tells as much.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// As many tables as fit a small terminal; the summary names all of them.
const TABLES: usize = 10;
