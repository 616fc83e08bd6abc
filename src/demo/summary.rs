//! The result of a demo: a table on standard output, and whether everything arrived exactly once.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::{
    progress::Moment,
    traffic::{Book, Comparison},
};

/// What the demo came to.
#[derive(Debug)]
pub struct Summary {
    pub(super) book: Book,
    pub(super) last: Moment,
    pub(super) lags: (Duration, Duration),
    pub(super) verdict: Verdict,
}

/// Who counted what arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The simulated Devo, record by record.
    Counted(Comparison),
    /// Another receiver: it confirmed so many records; only it knows what it stored.
    Confirmed {
        /// Who.
        receiver: String,
        /// How many.
        records: u64,
    },
}

impl Summary {
    /// Whether every generated record arrived exactly once, as far as can be seen from here.
    pub fn is_whole(&self) -> bool {
        match &self.verdict {
            Verdict::Counted(Comparison { once, missing: 0, repeated: 0, unknown: 0 }) => {
                *once == self.book.records && *once > 0
            }
            Verdict::Counted(_) => false,
            Verdict::Confirmed { records, .. } => *records == self.book.records && *records > 0,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { book, last, lags: (median, greatest), verdict } = self;
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let megabytes = book.bytes as f64 / 1e6;
        writeln!(
            f,
            "  published      {} records in {} blobs, {megabytes:.1} MB",
            book.records, book.blobs
        )?;
        writeln!(
            f,
            "  notifications  {} calls; {} blobs announced twice",
            last.notifications, book.repeated_notifications
        )?;
        writeln!(f, "  downloads      {} for {} blobs", last.downloads, book.blobs)?;
        let mut trouble = String::new();
        for one in &book.trouble {
            let comma = if trouble.is_empty() { "" } else { ", " };
            write!(trouble, "{comma}{}", one.words())?;
        }
        if !trouble.is_empty() {
            writeln!(f, "  on purpose     {trouble}")?;
        }
        writeln!(
            f,
            "  lag            {:.1} s in the middle, {:.1} s at most, from publication to arrival",
            median.as_secs_f64(),
            greatest.as_secs_f64()
        )?;
        for (i, (table, lines)) in last.tables.iter().enumerate() {
            let label = if i == 0 { "tables" } else { "" };
            writeln!(f, "  {label:<13}  {lines:>7}  {table}")?;
        }
        match verdict {
            Verdict::Counted(Comparison { once, missing, repeated, unknown }) => {
                writeln!(
                    f,
                    "  arrived        {once} of {} once, {missing} missing, {repeated} again, {unknown} unknown",
                    book.records
                )?;
                let words = if self.is_whole() {
                    "every record arrived exactly once"
                } else {
                    "NOT every record arrived exactly once"
                };
                write!(f, "\n{words}")
            }
            Verdict::Confirmed { receiver, records } => {
                writeln!(f, "  confirmed      {records} of {} by {receiver}", book.records)?;
                if self.is_whole() {
                    write!(
                        f,
                        "\nevery record was confirmed; what {receiver} stored is its to count"
                    )
                } else {
                    write!(
                        f,
                        "\nNOT every record was confirmed: is {receiver} reachable, and does it end its own stream after ours ended?"
                    )
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(verdict: Verdict) -> Summary {
        let mut summary = Summary {
            book: Book::default(),
            last: Moment::default(),
            lags: Default::default(),
            verdict,
        };
        summary.book.records = 3;
        summary
    }

    #[test]
    fn only_all_records_exactly_once_are_whole() {
        let whole = Comparison { once: 3, ..Comparison::default() };
        assert!(summary(Verdict::Counted(whole)).is_whole());
        for bad in [
            Comparison { once: 2, missing: 1, ..whole },
            Comparison { repeated: 1, ..whole },
            Comparison { unknown: 1, ..whole },
            Comparison { once: 2, ..whole },
        ] {
            assert!(!summary(Verdict::Counted(bad)).is_whole(), "{bad:?}");
        }
        let receiver = "tcp://localhost:514".to_owned();
        let confirmed = |records| Verdict::Confirmed { receiver: receiver.clone(), records };
        assert!(summary(confirmed(3)).is_whole());
        assert!(!summary(confirmed(2)).is_whole());
    }

    #[test]
    fn an_empty_demo_proves_nothing() {
        let mut nothing = summary(Verdict::Counted(Comparison::default()));
        nothing.book.records = 0;
        assert!(!nothing.is_whole());
    }
}
