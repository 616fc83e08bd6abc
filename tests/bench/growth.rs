//! Whether more of everything makes a gigabyte dearer: tenants, and contents that wait.
//!
//! The same records in the same blobs go through, once for one tenant, once spread over many, and
//! once with few and once with many contents waiting in the ledger. What is compared is time on the
//! cores of the process under test for each gigabyte that arrived.

mod support;
mod world;

use std::process::ExitCode;

use m365_collector::simulator::{Blob, Feed};
use support::{Arguments, Column, Limit, Report, Spread, Table, number, text};
use world::{Load, TYPE, World};

const ABOUT: &str = "CPU time per gigabyte with 1 to 100 tenants, and 1 to 100 thousand waiting.";

fn main() -> ExitCode {
    let arguments = Arguments::read("growth", ABOUT);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("the runtime starts").block_on(measure(&arguments))
}

async fn measure(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new("growth", arguments.quick);
    let rounds = arguments.amount(3, 1);

    let tenant = "11111111-2222-3333-4444-555555555555".parse().expect("it is a GUID");
    let blobs = arguments.amount(500, 100);
    let load = Load::new(1, Feed { tenant, content_type: TYPE }, blobs, 1_000_000);
    let counts = [1, 10, 100];
    let mut costs = counts.map(|_| Vec::new());
    for _ in 0..rounds {
        for (tenants, costs) in counts.iter().zip(&mut costs) {
            costs.push(with_tenants(*tenants, &load).await);
        }
    }
    tell(&mut report, "tenants", &counts, costs);

    let counts = arguments.amount([1_000, 10_000, 100_000], [1_000, 5_000, 20_000]);
    let mut costs = counts.map(|_| Vec::new());
    for _ in 0..rounds {
        for (waiting, costs) in counts.iter().zip(&mut costs) {
            costs.push(with_waiting(*waiting).await);
        }
    }
    tell(&mut report, "contents waiting", &counts, costs);
    report.finish()
}

fn tell(report: &mut Report, what: &str, counts: &[usize; 3], costs: [Vec<f64>; 3]) {
    let columns = [("", ""), ("CPU", "s/GB"), ("least", "s/GB"), ("to the first", "times")];
    let columns = columns.map(|(name, unit)| Column::new(name, unit));
    let mut table = Table::new(&format!("Growth of {what}"), columns);
    let costs = costs.map(Spread::new);
    let first = costs[0].median();
    for (count, costs) in counts.iter().zip(&costs) {
        table.row([
            text(format!("{count} {what}")),
            number(costs.median(), 3),
            number(costs.least(), 3),
            number(costs.median() / first, 2),
        ]);
    }
    report.table(&table);
    let dearest = costs.iter().map(Spread::median).fold(0.0, f64::max);
    report.limit(&format!("dearest to cheapest start, {what}"), dearest / first, FLAT);
}

/// Seconds of CPU per gigabyte when the load is spread over so many tenants.
async fn with_tenants(tenants: usize, load: &Load) -> f64 {
    let world = World::start(tenants, |_| {}).await;
    let blobs = load.blobs.iter().enumerate();
    let contents: Vec<_> = blobs
        .map(|(index, blob)| {
            let feed = world.feed(index % tenants);
            (feed, world.put(feed, Blob::Bytes(blob.clone()), false))
        })
        .collect();
    let mut collector = world.run().await;
    let cost = world.deliver(&mut collector, &contents, &load.expected).await;
    cost.cpu.as_secs_f64() / (load.expected.bytes as f64 / 1e9)
}

/// Seconds of CPU per gigabyte while so many contents wait, measured over the first thousand of
/// them but for the beginning and the end.
async fn with_waiting(waiting: usize) -> f64 {
    let world = World::start(1, |_| {}).await;
    let feed = world.feed(0);
    let contents: Vec<_> = (0..waiting)
        .map(|serial| {
            let blob = Blob::Generated { total_bytes: CONTENT, seed: serial as u64 };
            world.put(feed, blob, false)
        })
        .collect();
    world.store(async |ledger| world.announce_to(ledger, feed, &contents).await).await;
    world.subscribe();
    let collector = world.spawn();
    world.receiver.has(|arrived| arrived.bytes > 100 * CONTENT).await;
    let (meter, before) = (collector.process.meter(), world.receiver.arrived());
    world.receiver.has(|arrived| arrived.bytes > 900 * CONTENT).await;
    let (cost, after) = (meter.cost(), world.receiver.arrived());
    cost.cpu.as_secs_f64() / ((after.bytes - before.bytes) as f64 / 1e9)
}

/// Bytes of a content that waits.
const CONTENT: u64 = 512 * 1024;

/// Measurements of the same thing differ by about a tenth on a machine that others use too.
const FLAT: Limit = Limit::AtMost(1.25);
