//! From a notification to the last byte at the receiver, at several loads.
//!
//! What the machine can do is measured first, with everything announced at once. Then contents are
//! announced one by one at random moments, at a part of that rate and without waiting for each
//! other, as Microsoft does; a content that comes while the service is busy waits, and its wait
//! counts.

mod support;
mod world;

use std::{process::ExitCode, time::Duration};

use m365_collector::{
    content::ContentId,
    simulator::{Blob, Feed},
};
use rand::{RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};
use support::{Arguments, Column, Limit, Report, Spread, Table, number, text};
use tokio::time::{Instant, sleep_until};
use world::{Collector, Load, World};

const ABOUT: &str = "From a notification to the last byte at the receiver, by load.";

fn main() -> ExitCode {
    let arguments = Arguments::read("latency", ABOUT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the runtime starts").block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new("latency", arguments.quick);
    let world = World::start(1, |world| world.notification_delay = Duration::ZERO).await;
    let mut collector = world.run().await;
    // The first is for warming up.
    let blobs = arguments.amount(2_000, 400);
    let mut capacity = 0.0;
    for seed in [1, 2] {
        let batch = Batch::put(&world, seed, blobs);
        let before = world.receiver.arrived();
        let started = Instant::now();
        for id in &batch.ids {
            world.announce(batch.feed, id);
        }
        let lines = before.lines + batch.lines;
        world.receiver.has(|arrived| arrived.lines >= lines).await;
        capacity = blobs as f64 / started.elapsed().as_secs_f64();
    }
    report.note(&format!(
        "capacity {capacity:.0} contents a second of {} kB each, {:.0} MB/s",
        CONTENT / 1000,
        capacity * CONTENT as f64 / 1e6
    ));
    let columns = [
        ("load", ""),
        ("contents", ""),
        ("rate", "1/s"),
        ("p50", "ms"),
        ("p90", "ms"),
        ("p99", "ms"),
        ("most", "ms"),
        ("p99 to p50", "times"),
    ];
    let columns = columns.map(|(name, unit)| Column::new(name, unit));
    let mut table = Table::new("Notification to last byte", columns);
    for (seed, percent) in [(3, 1.0), (4, 20.0), (5, 80.0)] {
        let rate = capacity * percent / 100.0;
        let seconds = arguments.amount(30.0, 5.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
        let count = (rate * seconds).clamp(20.0, MOST) as usize;
        let batch = Batch::put(&world, seed, count);
        let took = batch.announce(&world, &mut collector, rate).await;
        let [p50, p90, p99] = [50.0, 90.0, 99.0].map(|percent| took.percentile(percent) * 1e3);
        table.row([
            text(format!("{percent} %")),
            number(count as f64, 0),
            number(rate, 1),
            number(p50, 2),
            number(p90, 2),
            number(p99, 2),
            number(took.most() * 1e3, 2),
            number(p99 / p50, 2),
        ]);
        if percent == 20.0 {
            report.limit("p99 at 20 % load, times p50", p99 / p50, Limit::AtMost(3.0));
        }
    }
    report.table(&table);
    report.finish()
}

/// Contents that are there and not announced yet.
struct Batch {
    feed: Feed,
    ids: Vec<ContentId>,
    last: Vec<u64>,
    lines: u64,
}

impl Batch {
    fn put(world: &World, seed: u64, count: usize) -> Self {
        let feed = world.feed(0);
        let load = Load::new(seed, feed, count, CONTENT);
        let blobs = load.blobs.into_iter().map(|blob| world.put(feed, Blob::Bytes(blob), false));
        Self { feed, ids: blobs.collect(), last: load.last, lines: load.expected.lines }
    }

    /// Announces the contents at random moments at this rate, and says how long each took.
    async fn announce(&self, world: &World, collector: &mut Collector, rate: f64) -> Spread {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let lines = world.receiver.arrived().lines + self.lines;
        let mut at = Instant::now();
        let mut announced = Vec::new();
        for (id, last) in self.ids.iter().zip(&self.last) {
            let gap = -rng.random::<f64>().max(1e-9).ln() / rate;
            at += Duration::from_secs_f64(gap);
            sleep_until(at).await;
            world.receiver.watch(*last);
            announced.push((Instant::now(), *last));
            world.announce(self.feed, id);
        }
        world.receiver.has(|arrived| arrived.lines >= lines).await;
        assert!(collector.process.is_running(), "the collector ended:\n{}", collector.said());
        let seen = world.receiver.seen();
        Spread::of_durations(announced.iter().map(|(at, last)| {
            let arrived = seen.get(last).copied().flatten().expect("everything arrived");
            arrived.duration_since(*at)
        }))
    }
}

/// Bytes of a content.
const CONTENT: usize = 200_000;

/// More contents than this say nothing new.
const MOST: f64 = 5_000.0;
