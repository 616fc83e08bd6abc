//! `path`: what a blob costs between the network and the session, in one thread and without either.
//!
//! Blobs of about 1 MB of simulated records come in chunks, as a connection delivers them, and are
//! split, read, routed and framed into batches, which are judged, by the parts of the pipeline in
//! its order. In the same run, in turns, over the same bytes: `serde_json` finding the ends of the
//! records and reading nothing of them, what peers do (every record into a map and back to text),
//! and copying.
//!
//! Judging is the key of a record, meeting it in a window that remembers a million, and remembering
//! it. What the attempts in flight know of one another belongs to the pipeline and is not in here.

mod support;

use std::{
    collections::HashMap, hint::black_box, io::Write as _, process::ExitCode, sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use m365_collector::{
    content::{Announcement, ContentId, ContentType},
    frame::Framer,
    identity::{Config, Key, Keys, Met, Owner, Secret, Window},
    route::{self, Head, Routes, Tables},
    simulator::{Feed, generator::Records},
    split::{Piece, Splitter},
};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use support::{Arguments, Column, Cost, Limit, REMEMBERED, Report, Spread, Table, number, text};

fn main() -> ExitCode {
    let arguments = Arguments::read(
        "path",
        "What a blob costs between the network and the session, against serde_json and copying.",
    );
    let mut report = Report::new("path", arguments.quick);
    let rounds = arguments.amount(60, 12);
    let compact = Corpus::compact(arguments.amount(32, 8));
    let pretty = compact.pretty();
    report.note(&format!(
        "{} blobs of {} records of {:.0} bytes on average, in chunks of {} KiB; {rounds} rounds",
        compact.blobs.len(),
        compact.records / compact.blobs.len(),
        compact.bytes as f64 / compact.records as f64,
        CHUNK / 1024,
    ));

    let raw = measure(&compact, rounds, &mut report, "Records as Microsoft sends them");
    measure(&pretty, rounds / 4, &mut report, "The same, pretty-printed");
    report.limit("path / serde_json into Vec<&RawValue>", raw, Limit::AtLeast(0.8));
    report.finish()
}

/// Measures all ways in turns, and returns the speed of the whole path against that of (a).
fn measure(corpus: &Corpus, rounds: usize, report: &mut Report, title: &str) -> f64 {
    let mut ours = Ours::new();
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); WAYS.len()];
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        for (way, costs) in WAYS.iter().zip(&mut costs) {
            let ((), cost) = Cost::of(|| way.run(corpus, &mut ours));
            if round > 0 {
                costs.push(cost);
            }
        }
    }

    let gigabytes = corpus.bytes as f64 / 1e9;
    let against = |way: usize| {
        let pairs = costs[way].iter().zip(&costs[RAW]);
        Spread::new(pairs.map(|(cost, raw)| raw.cpu.as_secs_f64() / cost.cpu.as_secs_f64()))
            .median()
    };
    let mut table = Table::new(
        title,
        [
            Column::new("way", ""),
            Column::new("speed", "GB/CPU s"),
            Column::new("wall", "GB/s"),
            Column::new("per record", "CPU ns"),
            Column::new("speed", "/ (a)"),
        ],
    );
    for (index, way) in WAYS.iter().enumerate() {
        let cpu = Spread::of_durations(costs[index].iter().map(|cost| cost.cpu)).median();
        let wall = Spread::of_durations(costs[index].iter().map(|cost| cost.wall)).median();
        table.row([
            text(way.name()),
            number(gigabytes / cpu, 2),
            number(gigabytes / wall, 2),
            number(cpu * 1e9 / corpus.records as f64, 0),
            number(against(index), 2),
        ]);
    }
    report.table(&table);
    against(PATH)
}

/// What is done with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Split,
    Head,
    Key,
    Window,
    Path,
    Raw,
    Values,
    Copy,
}

const WAYS: [Way; 8] =
    [Way::Split, Way::Head, Way::Key, Way::Window, Way::Path, Way::Raw, Way::Values, Way::Copy];
const PATH: usize = 4;
const RAW: usize = 5;

impl Way {
    const fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Head => "  + read fields",
            Self::Key => "  + key of identity",
            Self::Window => "  + window of keys",
            Self::Path => "  + table, frame = path",
            Self::Raw => "(a) Vec<&RawValue>",
            Self::Values => "(b) Vec<Value> and back",
            Self::Copy => "(c) copy",
        }
    }

    fn run(self, corpus: &Corpus, ours: &mut Ours) {
        ours.turn();
        for (content_type, blob) in &corpus.blobs {
            match self {
                Self::Split | Self::Head | Self::Key | Self::Window | Self::Path => {
                    let records = ours.take(self, *content_type, blob);
                    assert_eq!(records, corpus.records / corpus.blobs.len());
                }
                Self::Raw => {
                    let records: Vec<&RawValue> = serde_json::from_slice(blob).expect("JSON");
                    black_box(records);
                }
                Self::Values => through_values(blob, &ours.tables, *content_type),
                Self::Copy => copied(blob),
            }
        }
    }
}

/// The parts of the pipeline, and what they keep from blob to blob.
struct Ours {
    secret: Secret,
    window: Window,
    tables: Arc<Tables>,
    framer: Framer,
    contents: HashMap<ContentType, Announcement>,
    rounds: u128,
}

impl Ours {
    fn new() -> Self {
        let config = Config {
            remember: Duration::from_secs(24 * 3600),
            remember_max: REMEMBERED.try_into().expect("it is not zero"),
        };
        let mut window = Window::new(&config, NOW);
        for number in 0..REMEMBERED as u128 / 5 {
            // Spread like hashes are.
            let bytes = number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
            window.insert(Key::from_bytes(bytes.to_le_bytes()));
        }
        let tables = Tables::try_new(route::Config::default()).expect("the default is right");
        let tables = Arc::new(tables);
        let framer = Framer::new("collector.example.com", tables.prefix());
        let secret = Secret::from([7; 16]);
        Self { secret, window, tables, framer, contents: HashMap::new(), rounds: 0 }
    }

    /// Makes the same records those of another tenant, which nobody has seen yet.
    fn turn(&mut self) {
        self.rounds += 1;
        let content = |content_type| Announcement {
            tenant: Uuid::from_u128(self.rounds).into(),
            content_type,
            id: ContentId::parse("20260105$20260105$audit$Audit$na0001").expect("it is one"),
            created: NOW,
            expires: NOW,
        };
        self.contents = ContentType::ALL.map(|kind| (kind, content(kind))).into();
    }

    /// Takes a blob as far as `way` goes; returns how many records it had.
    fn take(&mut self, way: Way, content_type: ContentType, blob: &[u8]) -> usize {
        let content = self.contents.get(&content_type).expect("a turn was taken").clone();
        let secret = self.secret.clone();
        let made = Keys::new(&secret, &content);
        let mut splitter = Splitter::new(MAX_RECORD);
        let mut records = 0;
        let mut batch = Vec::new();
        let mut routes = Routes::new(self.tables.clone(), content_type);
        let mut keys = Vec::new();
        let (mut framed, mut judged) = (0, 0);
        for chunk in blob.chunks(CHUNK) {
            let mut rest = chunk;
            while let Some(piece) = splitter.next(&mut rest).expect("it is JSON") {
                let Piece::Record { index, bytes, .. } = piece else {
                    panic!("no record of these is dead");
                };
                records += 1;
                if way == Way::Split {
                    black_box(bytes);
                    continue;
                }
                let head = Head::read(bytes);
                if way == Way::Head {
                    black_box(head);
                    continue;
                }
                let key = made.of(&head).unwrap_or_else(|| made.of_place(index, bytes));
                if way == Way::Key {
                    black_box(key);
                    continue;
                }
                if way == Way::Window {
                    // As many as go into a batch.
                    keys.push(key);
                    framed += bytes.len();
                } else {
                    let table = routes.table(head.workload.as_deref());
                    keys.push(key);
                    if batch.is_empty() {
                        batch.reserve(BATCH + BATCH / 8);
                    }
                    self.framer.frame(&mut batch, NOW, table.as_str(), bytes);
                    framed = batch.len();
                }
                if framed >= BATCH {
                    self.judge(&keys[judged..]);
                    judged = keys.len();
                    framed = 0;
                    black_box(std::mem::take(&mut batch));
                }
            }
        }
        self.judge(&keys[judged..]);
        black_box(batch);
        self.window.touch(&keys);
        keys.into_iter().for_each(|key| self.window.insert(key));
        splitter.finish().expect("the blob is whole");
        records
    }

    /// A batch at once, as the pipeline does.
    fn judge(&mut self, keys: &[Key]) {
        self.window.touch(keys);
        for (index, key) in (0..).zip(keys) {
            let met = self.window.meet(*key, Some(Owner { flight: 0, index }));
            assert!(matches!(met, Met::Absent), "nobody has seen it yet");
        }
    }
}

/// Every record into a map and back to text behind a syslog header, as peers do.
fn through_values(blob: &[u8], tables: &Tables, content_type: ContentType) {
    let records: Vec<Value> = serde_json::from_slice(blob).expect("it is JSON");
    let mut batch = Vec::new();
    for record in records {
        let workload = record["Workload"].as_str().map(str::as_bytes);
        let table = tables.table(content_type, workload);
        write!(batch, "<14>Jan  5 08:00:00 collector.example.com {}.{table}: ", tables.prefix())
            .and_then(|()| Ok(serde_json::to_writer(&mut batch, &record)?))
            .expect("memory takes it");
        batch.push(b'\n');
        if batch.len() >= BATCH {
            black_box(std::mem::take(&mut batch));
        }
    }
    black_box(batch);
}

fn copied(blob: &[u8]) {
    let mut batch = Vec::new();
    for chunk in blob.chunks(CHUNK) {
        batch.extend_from_slice(chunk);
        if batch.len() >= BATCH {
            black_box(std::mem::take(&mut batch));
        }
    }
    black_box(batch);
}

/// Blobs of equally many records each.
struct Corpus {
    blobs: Vec<(ContentType, Vec<u8>)>,
    records: usize,
    bytes: usize,
}

impl Corpus {
    /// One-line records of every content type in turn. Those that are no JSON are left out: neither
    /// (a) nor (b) takes them.
    fn compact(blobs: usize) -> Self {
        let kinds = ContentType::ALL.into_iter().cycle().take(blobs).enumerate();
        let made = kinds.map(|(seed, content_type)| {
            let feed = Feed { tenant: Uuid::from_u128(1).into(), content_type };
            let records = Records::new(seed as u64, feed, u64::MAX)
                .filter(|record| serde_json::from_slice::<Value>(record).is_ok());
            let records: Vec<_> = records.take(RECORDS).collect();
            (content_type, [b"[", &*records.join(&b','), b"]"].concat())
        });
        Self::of(made.collect())
    }

    fn pretty(&self) -> Self {
        let made = self.blobs.iter().map(|(content_type, blob)| {
            let records: Vec<Value> = serde_json::from_slice(blob).expect("it is JSON");
            (*content_type, serde_json::to_vec_pretty(&records).expect("it is JSON"))
        });
        Self::of(made.collect())
    }

    fn of(blobs: Vec<(ContentType, Vec<u8>)>) -> Self {
        let bytes = blobs.iter().map(|(_, blob)| blob.len()).sum();
        Self { records: RECORDS * blobs.len(), blobs, bytes }
    }
}

/// Together about 1 MB.
const RECORDS: usize = 700;

/// What a TLS record holds at most, and so what a connection delivers at once.
const CHUNK: usize = 16 * 1024;

/// As in the pipeline.
const BATCH: usize = 256 * 1024;
const MAX_RECORD: usize = 16 << 20;

/// 2026-01-05T08:00:00Z
const NOW: Timestamp = Timestamp::constant(1_767_600_000, 0);
