//! How much memory it takes: by the size of blobs, by how many are in flight, by what is
//! remembered.
//!
//! The identities of delivered records take memory by their number, whatever blobs they came in.
//! So every size of blob is compared over the same volume of records, once with the window of
//! identities as it is by default and once with next to none. The receiver reads nothing for a
//! moment on the way, so that whatever can pile up does.

mod support;
mod world;

use std::{process::ExitCode, time::Duration};

use m365_collector::simulator::Blob;
use support::{
    Arguments, Column, Limit, REMEMBERED, Report, Table, memory::resident_kib, number, text,
};
use tokio::time::{Instant, sleep};
use world::World;

const ABOUT: &str =
    "Peak memory by size of blobs and concurrency, and bytes per remembered record.";

fn main() -> ExitCode {
    let arguments = Arguments::read("memory", ABOUT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the runtime starts").block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new("memory", arguments.quick);
    blobs(arguments, &mut report).await;
    remembered(&mut report).await;
    report.finish()
}

async fn blobs(arguments: &Arguments, report: &mut Report) {
    let sizes = arguments.amount(vec![1, 10, 100, 1024], vec![1, 100]);
    let columns =
        std::iter::once(Column::new("blobs", "MiB")).chain(WINDOWS.iter().flat_map(|window| {
            CONCURRENCY.map(|places| Column::new(&format!("{places} at once, {}", window.0), "MiB"))
        }));
    let mut table = Table::new("Peak memory over the same volume", columns);
    let mut small = Vec::new();
    let mut large = Vec::new();
    for size in &sizes {
        let mut row = vec![number(*size as f64, 0)];
        large.clear();
        for (_, remember) in WINDOWS {
            for places in CONCURRENCY {
                // Enough for each place to have had its part.
                let volume = arguments.amount(1024, 256).max(arguments.amount(128, 8) * places);
                let peak = peak_kib(*size, volume, places, remember).await as f64 / 1024.0;
                row.push(number(peak, 1));
                large.push(peak);
            }
        }
        if small.is_empty() {
            small.clone_from(&large);
        }
        table.row(row);
    }
    report.table(&table);
    let [_, (bare, _)] = WINDOWS;
    let cells = WINDOWS.iter().flat_map(|(window, _)| CONCURRENCY.map(|places| (places, *window)));
    for ((places, window), (small, large)) in cells.zip(small.iter().zip(&large)) {
        let what = format!("largest to smallest blobs, {places} at once, {window}");
        report.limit(&what, large / small, Limit::AtMost(1.1));
        if window == bare && places == 32 {
            report.limit("MiB, 32 at once, no window", *large, Limit::AtMost(64.0));
        }
    }
}

/// The peak of a collector that has delivered so many MiB in blobs of this size. Blobs that are
/// larger than the part of a place are cut off with everything else.
async fn peak_kib(size: u64, volume: u64, places: u64, remember: &str) -> u64 {
    let mut world = World::start(1, |_| {}).await;
    world.set("fetch.concurrency", &places.to_string());
    world.set("records.remember_max", remember);
    let feed = world.feed(0);
    let count = (volume / size).max(places);
    let contents: Vec<_> = (0..count)
        .map(|seed| world.put(feed, Blob::Generated { total_bytes: size * MIB, seed }, false))
        .collect();
    let mut collector = world.run().await;
    for id in &contents {
        world.announce(feed, id);
    }
    // The generator counts records and not what stands between them.
    let whole = count * size <= volume;
    let volume = volume.min(count * size) * MIB / 10 * 9;
    world.receiver.has(|arrived| arrived.bytes > volume / 10).await;
    world.receiver.stall(true);
    sleep(Duration::from_secs(2)).await;
    world.receiver.stall(false);
    world.receiver.has(|arrived| arrived.bytes > volume).await;
    if whole {
        collector.settled(contents.len()).await;
    }
    assert!(collector.process.is_running(), "the collector ended:\n{}", collector.said());
    collector.process.peak_kib()
}

async fn remembered(report: &mut Report) {
    let columns = [
        ("in the ledger", ""),
        ("RSS", "MiB"),
        ("peak RSS", "MiB"),
        ("per record", "bytes"),
        ("start", "s"),
        ("ledger", "MB"),
    ];
    let columns = columns.map(|(name, unit)| Column::new(name, unit));
    let mut table = Table::new("Remembered records", columns);
    let mut empty = None;
    // As many in a short run: how many there are is the point.
    for (what, contents, keys) in [
        ("nothing", 0, 0),
        ("records, a thousand a content", REMEMBERED / 1000, 1000),
        ("records, one a content", REMEMBERED, 1),
    ] {
        let world = World::start(1, |_| {}).await;
        world.remember(contents, keys).await;
        let size = std::fs::metadata(world.ledger()).expect("it was made").len();
        let started = Instant::now();
        let mut collector = world.spawn();
        collector.remembers(contents * keys).await;
        let start = started.elapsed().as_secs_f64();
        // What is only needed for the start is given back, or kept for good.
        sleep(Duration::from_secs(2)).await;
        let resident = resident_kib(collector.process.id()) as f64;
        let empty = *empty.get_or_insert(resident);
        let each = (resident - empty) * 1024.0 / REMEMBERED as f64;
        let millions = (contents * keys) as f64 / 1e6;
        table.row([
            text(if contents == 0 {
                what.to_owned()
            } else {
                format!("{millions} million {what}")
            }),
            number(resident / 1024.0, 1),
            number(collector.process.peak_kib() as f64 / 1024.0, 1),
            number(each, 1),
            number(start, 2),
            number(size as f64 / 1e6, 0),
        ]);
        if contents > 0 {
            report.limit(&format!("bytes a record, {what}"), each, Limit::AtMost(32.0));
        }
    }
    report.table(&table);
}

const CONCURRENCY: [u64; 2] = [1, 32];

/// What the windows of identities are called, and how many they hold.
const WINDOWS: [(&str, &str); 2] = [("window", "5000000"), ("no window", "1000")];

const MIB: u64 = 1024 * 1024;
