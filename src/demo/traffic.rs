//! What happens in the simulated organisations, and the book of what was published.

use std::{
    collections::HashMap,
    fs, io,
    io::{BufRead as _, BufReader},
    path::Path,
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    content::{ContentType, TenantId},
    simulator::{
        Fault, Generator, Operation, Simulator,
        devo::fingerprint,
        microsoft::{Announcing, IdForm},
    },
};

/// Publishes contents at a steady rate, with the trouble that real feeds have.
#[derive(Debug)]
pub(super) struct Traffic {
    generator: Generator,
    feeds: Vec<(TenantId, ContentType)>,
    started: Instant,
    duration: Duration,
    rate: f64,
    /// Generated records still to publish; none: no bound.
    left: Option<u64>,
    /// Blobs that do not count against the rate.
    published_before: u64,
    trouble: Vec<Trouble>,
    /// What must arrive.
    pub(super) book: Book,
}

impl Traffic {
    /// Every content type of every tenant, and trouble on purpose.
    pub(super) fn new(tenants: &[TenantId], rate: f64, duration: Duration) -> Self {
        let types = ContentType::ALL.into_iter();
        // Type by type, so that consecutive contents come from different tenants.
        let feeds = types.flat_map(|kind| tenants.iter().map(move |id| (*id, kind))).collect();
        Self { trouble: Trouble::ALL.to_vec(), ..Self::quiet(feeds, rate, duration) }
    }

    /// These feeds, and no trouble but repeated notifications.
    pub(super) fn quiet(
        feeds: Vec<(TenantId, ContentType)>,
        rate: f64,
        duration: Duration,
    ) -> Self {
        Self {
            generator: Generator::new(SEED),
            feeds,
            started: Instant::now(),
            duration,
            rate,
            left: None,
            published_before: 0,
            trouble: Vec::new(),
            book: Book::default(),
        }
    }

    /// Publishes at most so many generated records.
    pub(super) fn limit(&mut self, records: Option<u64>) {
        self.left = records;
    }

    /// Whether everything was published.
    pub(super) fn is_over(&self) -> bool {
        self.started.elapsed() >= self.duration || self.left == Some(0)
    }

    /// Publishes every line of a file once, in blobs of a hundred, over all feeds in turn.
    pub(super) fn publish_file(&mut self, simulator: &Simulator, path: &Path) -> io::Result<()> {
        let mut records = Vec::new();
        let mut feeds = self.feeds.clone().into_iter().cycle();
        let mut lines = BufReader::new(fs::File::open(path)?).split(b'\n').peekable();
        while let Some(line) = lines.next() {
            let line = line?;
            if !line.is_empty() {
                records.push(line);
            }
            if (records.len() >= FILE_BLOB || lines.peek().is_none())
                && !records.is_empty()
                && let Some((tenant, content_type)) = feeds.next()
            {
                simulator.microsoft().publish(tenant, content_type, &records);
                self.book.note(&records);
                records.clear();
            }
        }
        // The rate holds for what is generated from now on.
        self.started = Instant::now();
        self.published_before = self.book.blobs;
        Ok(())
    }

    /// Publishes what is due by now.
    pub(super) fn publish_due(&mut self, simulator: &Simulator) {
        let elapsed = self.started.elapsed().min(self.duration);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count of blobs, at least zero"
        )]
        let due = (elapsed.as_secs_f64() * self.rate) as u64;
        while self.book.blobs - self.published_before < due && self.left != Some(0) {
            self.publish_one(simulator);
        }
        let passed = elapsed.as_secs_f64() / self.duration.as_secs_f64().max(f64::EPSILON);
        while let Some(trouble) = self.trouble.first()
            && passed >= trouble.at()
        {
            trouble.cause(simulator, self.feeds.first().map(|feed| feed.0));
            self.book.trouble.push(*trouble);
            self.trouble.remove(0);
        }
    }

    fn publish_one(&mut self, simulator: &Simulator) {
        let serial = self.book.blobs;
        let feeds = u64::try_from(self.feeds.len()).unwrap_or(1).max(1);
        let feed = usize::try_from(serial % feeds).unwrap_or(0);
        let Some(&(tenant, content_type)) = self.feeds.get(feed) else { return };
        // Real blobs hold from one record to a few hundred, mostly few.
        let size = (1 + (serial * 7919) % 80).min(self.left.unwrap_or(u64::MAX));
        let records: Vec<_> =
            (0..size).map(|_| self.generator.record(tenant, content_type)).collect();
        self.left = self.left.map(|left| left - size);
        let repeated = serial % REPEATED == REPEATED - 1;
        self.book.repeated_notifications += u64::from(repeated);
        simulator.microsoft().announce(Announcing {
            copies: if repeated { 2 } else { 1 },
            form: if serial.is_multiple_of(2) { IdForm::Listed } else { IdForm::RepeatedRegion },
            first: false,
        });
        simulator.microsoft().publish(tenant, content_type, &records);
        self.book.note(&records);
    }
}

/// What was published, by fingerprint.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) blobs: u64,
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) repeated_notifications: u64,
    pub(super) trouble: Vec<Trouble>,
    fingerprints: HashMap<u128, u32>,
}

/// The book against what arrived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) once: u64,
    pub(super) missing: u64,
    pub(super) repeated: u64,
    pub(super) unknown: u64,
}

impl Book {
    fn note(&mut self, records: &[Vec<u8>]) {
        self.blobs += 1;
        for record in records {
            self.records += 1;
            self.bytes += u64::try_from(record.len()).unwrap_or(0);
            *self.fingerprints.entry(fingerprint(record)).or_default() += 1;
        }
    }

    /// Counts record by record; totals alone could hide a loss behind a duplicate.
    pub(super) fn compare(&self, arrivals: &HashMap<u128, u32>) -> Comparison {
        let mut comparison = Comparison::default();
        for (record, published) in &self.fingerprints {
            let arrived = arrivals.get(record).copied().unwrap_or(0);
            comparison.once += u64::from(arrived.min(*published));
            comparison.missing += u64::from(published.saturating_sub(arrived));
            comparison.repeated += u64::from(arrived.saturating_sub(*published));
        }
        let unknown =
            arrivals.iter().filter(|(record, _)| !self.fingerprints.contains_key(*record));
        comparison.unknown = unknown.map(|(_, times)| u64::from(*times)).sum();
        comparison
    }
}

/// Trouble caused on purpose, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    ServerErrors,
    Throttling,
    TokensForgotten,
    CutBody,
}

impl Trouble {
    const ALL: [Self; 4] =
        [Self::ServerErrors, Self::Throttling, Self::TokensForgotten, Self::CutBody];

    /// The part of the duration after which it comes.
    const fn at(self) -> f64 {
        match self {
            Self::ServerErrors => 0.2,
            Self::Throttling => 0.4,
            Self::TokensForgotten => 0.6,
            Self::CutBody => 0.8,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::ServerErrors => "2 server errors",
            Self::Throttling => "a throttled tenant",
            Self::TokensForgotten => "revoked tokens",
            Self::CutBody => "a body cut short",
        }
    }

    fn cause(self, simulator: &Simulator, tenant: Option<TenantId>) {
        let microsoft = simulator.microsoft();
        match (self, tenant) {
            (Self::ServerErrors, _) => microsoft.fail(Operation::Blob, Fault::Af(50_000), 2),
            (Self::Throttling, Some(tenant)) => {
                let fault = Fault::Throttled429 { retry_after: Some(Duration::from_secs(1)) };
                microsoft.fail_tenant(tenant, Operation::Blob, fault, 1);
            }
            (Self::Throttling, None) => {}
            (Self::TokensForgotten, _) => microsoft.forget_tokens(),
            (Self::CutBody, _) => microsoft.fail(Operation::Blob, Fault::CutBody { after: 100 }, 1),
        }
    }
}

/// Every so manieth notification comes twice, as Microsoft's do.
const REPEATED: u64 = 8;

/// As many records of a file as make a blob.
const FILE_BLOB: usize = 100;

/// The same demo each time.
const SEED: u64 = 365;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_not_hidden_behind_a_duplicate() {
        let mut book = Book::default();
        book.note(&[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        let arrivals = [(b"a", 1), (b"b", 2), (b"x", 1)];
        let arrivals = arrivals.iter().map(|(record, times)| (fingerprint(*record), *times));
        assert_eq!(
            book.compare(&arrivals.collect()),
            Comparison { once: 2, missing: 1, repeated: 1, unknown: 1 }
        );
    }
}
