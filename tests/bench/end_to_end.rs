//! The whole service as a process of its own, against the floor.
//!
//! Everything is on: the webhook, the ledger, identity, confirmation, metrics. The floor passes the
//! same bytes from the same upstream to the same receiver in the same run, in turns, with nothing
//! between the one TLS connection and the other. What is compared is time on the cores, user and
//! system, of the process under test alone, from the first announcement to the last settlement.

#![expect(unreachable_pub, reason = "nobody uses this crate; pub marks what other files use")]

mod floor;
mod support;
mod world;

use std::{path::Path, process::ExitCode};

use m365_collector::{
    content::ContentId,
    simulator::{Blob, Feed},
};
use support::{
    Arguments, Cell, Column, Cost, Limit, REMEMBERED, Report, Spread, Stage, Table, number,
    processes::{say, told},
    text,
};
use tokio::task::block_in_place;
use world::{Load, TYPE, World};

use floor::Job;

const ABOUT: &str = "The whole service against the floor: CPU time per gigabyte.";

/// What is held against the floor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Remembering,
    GzipFromMicrosoft,
    GzipToDevo,
}

impl Way {
    const ALL: [Self; 4] =
        [Self::Plain, Self::Remembering, Self::GzipFromMicrosoft, Self::GzipToDevo];

    fn words(self) -> &'static str {
        match self {
            Self::Plain => "m365-collector",
            Self::Remembering => "  five million remembered",
            Self::GzipFromMicrosoft => "  gzip from Microsoft",
            Self::GzipToDevo => "  compression = \"gzip\"",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::read("end_to_end", ABOUT);
    match arguments.role() {
        Some((_, job)) => run_floor(Path::new(&job[0])),
        None => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.expect("the runtime starts").block_on(compare(&arguments))
        }
    }
}

async fn compare(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new("end_to_end", arguments.quick);
    let blobs = arguments.amount(2_000, 200);
    let rounds = arguments.amount(3, 1);
    // The tenant in the bodies is of no consequence.
    let tenant = "11111111-2222-3333-4444-555555555555".parse().expect("it is a GUID");
    let load = Load::new(1, Feed { tenant, content_type: TYPE }, blobs, 1_000_000);
    let records = load.expected.lines as f64;
    report.note(&format!(
        "{:.2} GB in {} blobs, {:.0} bytes a record; medians of {rounds} rounds in turns",
        load.bytes() as f64 / 1e9,
        load.blobs.len(),
        load.bytes() as f64 / records,
    ));
    let mut floor = Vec::new();
    let mut ways = Way::ALL.map(|way| (way, Vec::new()));
    for round in 0..rounds {
        floor.push(pass(&load).await);
        for (way, runs) in &mut ways {
            // The others are slow work, and one look at them is enough.
            if *way == Way::Plain || round == 0 {
                runs.push(collect(&load, *way).await);
            }
        }
    }
    let mut table = Table::new("From Microsoft to Devo", columns());
    let least = median(&floor, Run::cpu);
    table.row(row("floor: TLS in, TLS out", &floor, &load, least));
    for (way, runs) in &ways {
        table.row(row(way.words(), runs, &load, least));
    }
    report.table(&table);
    // Neighbours in time see the same machine.
    let ratios = ways[0].1.iter().zip(&floor).map(|(run, floor)| run.cpu() / floor.cpu());
    let ratio = Spread::new(ratios).median();
    report.limit("CPU per GB, times the floor", ratio, Limit::AtMost(2.0));
    report.finish()
}

/// What moving the whole load took.
#[derive(Clone, Copy)]
struct Run {
    cost: Cost,
    peak_kib: u64,
}

impl Run {
    fn cpu(&self) -> f64 {
        self.cost.cpu.as_secs_f64()
    }

    fn wall(&self) -> f64 {
        self.cost.wall.as_secs_f64()
    }
}

fn columns() -> [Column; 7] {
    [
        Column::new("", ""),
        Column::new("CPU", "s/GB"),
        Column::new("to floor", "times"),
        Column::new("CPU/record", "us"),
        Column::new("speed", "MB/s"),
        Column::new("records", "1/s"),
        Column::new("peak RSS", "MiB"),
    ]
}

fn row(what: &str, runs: &[Run], load: &Load, floor: f64) -> [Cell; 7] {
    let (cpu, wall) = (median(runs, Run::cpu), median(runs, Run::wall));
    let (bytes, records) = (load.bytes() as f64, load.expected.lines as f64);
    let peak = runs.iter().map(|run| run.peak_kib).max().unwrap_or_default();
    [
        text(what),
        number(cpu / (bytes / 1e9), 3),
        number(cpu / floor, 2),
        number(cpu / records * 1e6, 2),
        number(bytes / wall / 1e6, 0),
        number(records / wall, 0),
        number(peak as f64 / 1024.0, 1),
    ]
}

fn median(runs: &[Run], what: impl Fn(&Run) -> f64) -> f64 {
    Spread::new(runs.iter().map(what)).median()
}

/// Has the floor pass the load on.
async fn pass(load: &Load) -> Run {
    let (world, contents) = world(load, false).await;
    world.subscribe();
    let material = world.simulator.material();
    let (_, tenant) = &world.tenants[0];
    let management = world.simulator.management_url();
    let job = Job {
        upstream: management.socket_addrs(|| None).expect("it is an address")[0],
        downstream: world.receiver.byte_port(),
        ca: material.microsoft_ca().to_owned(),
        cert: material.domain_cert().to_owned(),
        key: material.domain_key().to_owned(),
        token: (
            format!("/{}/oauth2/token", tenant.id),
            format!(
                "grant_type=client_credentials&resource={management}&client_id={}&client_secret={}",
                tenant.client_id, tenant.client_secret
            ),
        ),
        blobs: contents
            .iter()
            .map(|(feed, id)| format!("/api/v1.0/{}/activity/feed/audit/{id}", feed.tenant))
            .collect(),
    };
    let path = world.ledger().with_file_name("floor.json");
    job.write(&path);
    let run = block_in_place(|| {
        let mut stage = Stage::start("floor", [&path]);
        assert_eq!(stage.hear(), "ready");
        let meter = stage.process().meter();
        stage.tell("go");
        assert_eq!(stage.hear(), "done");
        Run { cost: meter.cost(), peak_kib: stage.process().peak_kib() }
    });
    assert_eq!(world.receiver.arrived().bytes, load.bytes(), "everything is passed on");
    run
}

fn run_floor(job: &Path) -> ExitCode {
    let ready = || {
        say("ready");
        told();
    };
    match Job::read(job).run(ready) {
        Ok(_) => {
            say("done");
            told();
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Has the collector deliver the load.
async fn collect(load: &Load, way: Way) -> Run {
    let (mut world, contents) = world(load, way == Way::GzipFromMicrosoft).await;
    if way == Way::GzipToDevo {
        world.set("devo.compression", "gzip");
    }
    // As many as it remembers at most: from then on, each that comes makes it forget one.
    let remembered = if way == Way::Remembering { REMEMBERED } else { 0 };
    world.remember(remembered / 1000, 1000).await;
    let mut collector = world.run().await;
    collector.remembers(remembered).await;
    let cost = world.deliver(&mut collector, &contents, &load.expected).await;
    Run { cost, peak_kib: collector.process.peak_kib() }
}

/// A world in which the load waits.
async fn world(load: &Load, gzip: bool) -> (World, Vec<(Feed, ContentId)>) {
    let world = World::start(1, |_| {}).await;
    let feed = world.feed(0);
    let blobs = load.blobs.iter().map(|blob| Blob::Bytes(blob.clone()));
    let contents = blobs.map(|blob| (feed, world.put(feed, blob, gzip))).collect();
    (world, contents)
}
