//! `webhook`: how many notifications are acknowledged, how fast, and what strangers do to that.
//!
//! The release binary as its own process, with its ledger on disk: each 200 is a commit. In turns,
//! a bare hyper server as its own process that reads the body and answers 200 from memory. Both are
//! asked over kept connections of HTTP/1.1, one notification of one new content after another.
//!
//! Neither Microsoft nor Devo is there for the binary: contents are announced and stored, and
//! nobody fetches them, so that nothing but the webhook is measured. What is announced is judged as
//! ever.
//!
//! Beside honest callers that keep a rate (what is late counts from when it should have been sent),
//! strangers ask with a wrong auth id, each on a new connection, because a rejection closes it.

#[path = "../support/mod.rs"]
mod support;

mod bare;
mod callers;
mod collector;
mod strangers;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use tokio::runtime::Runtime;

use callers::{Announced, Pace, Ran};
use collector::Collector;
use support::{
    Arguments, Column, Cost, Limit, Process, Report, Spread, Stage, Table, number, text,
};

fn main() -> ExitCode {
    let arguments = Arguments::read(
        "webhook",
        "Durable acknowledgements against a bare server that answers from memory, and strangers.",
    );
    match arguments.role() {
        Some((bare::ROLE, _)) => bare::run(),
        Some((strangers::ROLE, told)) => strangers::run(told),
        Some((role, _)) => panic!("there is no role {role}"),
        None => return measure(&arguments),
    }
    ExitCode::SUCCESS
}

fn measure(arguments: &Arguments) -> ExitCode {
    let mut report = Report::new("webhook", arguments.quick);
    let runtime = Runtime::new().expect("a runtime can be made");
    let turns = arguments.amount(5, 2);
    let time = arguments.amount(Duration::from_secs(4), Duration::from_secs(1));

    let mut bare = Stage::start(bare::ROLE, [""; 0]);
    let bare_address: SocketAddr = bare.hear().parse().expect("it says where it listens");
    let collector = runtime.block_on(Collector::start());
    let bare_asked = Asked { address: bare_address, process: bare.process(), runtime: &runtime };
    let ours = Asked { address: collector.address, process: &collector.process, runtime: &runtime };

    let announced = Announced::new(&collector);
    let mut rows = Vec::new();
    for connections in CONNECTIONS {
        let mut sides = [Side::new("bare hyper"), Side::new("collector")];
        for _ in 0..turns {
            for (side, asked) in sides.iter_mut().zip([&bare_asked, &ours]) {
                side.add(asked.ask(&announced, connections, Pace::AsFastAsAnswered, time));
            }
        }
        rows.push((connections, sides));
    }
    let at_most = acknowledgements(&rows, &mut report);
    let ratio = against_strangers(&ours, &announced, turns, time, &mut report);
    report.limit("acknowledgements / bare, 256 connections", at_most, Limit::AtLeast(0.4));
    report.limit("p99 with strangers / without", ratio, Limit::AtMost(2.0));
    report.finish()
}

/// Reports how many were acknowledged; returns the ratio for the most connections.
fn acknowledgements(rows: &[(usize, [Side; 2])], report: &mut Report) -> f64 {
    let mut table = Table::new(
        "Acknowledgements",
        [
            Column::new("server", ""),
            Column::new("conns", ""),
            Column::new("acks", "1/s"),
            Column::new("p50", "ms"),
            Column::new("p99", "ms"),
            Column::new("p99.9", "ms"),
            Column::new("CPU", "us/ack"),
            Column::new("acks", "/ bare"),
        ],
    );
    let mut last = f64::NAN;
    for (connections, sides) in rows {
        let [bare, ours] = sides;
        let ratios = ours.rates.iter().zip(&bare.rates).map(|(ours, bare)| ours / bare);
        last = Spread::new(ratios).median();
        for (side, ratio) in [(bare, 1.0), (ours, last)] {
            let mut row = vec![text(side.name), text(connections.to_string())];
            row.push(number(Spread::new(side.rates.iter().copied()).median(), 0));
            row.extend(side.latencies());
            row.push(number(side.cpu_us(), 1));
            row.push(number(ratio, 2));
            table.row(row);
        }
    }
    report.table(&table);
    last
}

/// Reports what strangers do to honest callers; returns how much longer one in a hundred takes.
fn against_strangers(
    ours: &Asked<'_>,
    announced: &Announced,
    turns: usize,
    time: Duration,
    report: &mut Report,
) -> f64 {
    let mut strangers = Stage::start(strangers::ROLE, [ours.address.to_string()]);
    let mut sides = [Side::new("alone"), Side::new("with strangers")];
    let mut answered = Vec::new();
    let mut ratios = Vec::new();
    for _ in 0..turns {
        let pace = Pace::PerSecond(HONEST);
        sides[0].add(ours.ask(announced, HONEST_CONNECTIONS, pace, time));
        strangers.tell("go");
        strangers.hear();
        sides[1].add(ours.ask(announced, HONEST_CONNECTIONS, pace, time));
        strangers.tell("stop");
        answered.push(strangers.hear().parse::<f64>().expect("it says a rate"));
        let [alone, beside] = sides.each_ref().map(|side| side.p99s[side.p99s.len() - 1]);
        ratios.push(beside / alone);
    }
    let mut table = Table::new(
        &format!("{HONEST} notifications per second over {HONEST_CONNECTIONS} connections"),
        [
            Column::new("", ""),
            Column::new("strangers", "1/s"),
            Column::new("acks", "1/s"),
            Column::new("p50", "ms"),
            Column::new("p99", "ms"),
            Column::new("p99.9", "ms"),
        ],
    );
    for (side, strangers) in sides.iter().zip([0.0, Spread::new(answered).median()]) {
        let mut row = vec![text(side.name), number(strangers, 0)];
        row.push(number(Spread::new(side.rates.iter().copied()).median(), 0));
        row.extend(side.latencies());
        table.row(row);
    }
    report.table(&table);
    Spread::new(ratios).median()
}

/// A server that is asked.
struct Asked<'a> {
    address: SocketAddr,
    process: &'a Process,
    runtime: &'a Runtime,
}

impl Asked<'_> {
    fn ask(&self, announced: &Announced, connections: usize, pace: Pace, time: Duration) -> Turn {
        let meter = self.process.meter();
        let asking = callers::ask(self.address, announced, connections, pace, time);
        let ran = self.runtime.block_on(asking);
        Turn { ran, cost: meter.cost() }
    }
}

/// What came of asking once.
struct Turn {
    ran: Ran,
    cost: Cost,
}

/// What came of asking one server again and again.
struct Side {
    name: &'static str,
    rates: Vec<f64>,
    p99s: Vec<f64>,
    latencies: Vec<Duration>,
    cpu: Duration,
}

impl Side {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            rates: Vec::new(),
            p99s: Vec::new(),
            latencies: Vec::new(),
            cpu: Duration::ZERO,
        }
    }

    fn add(&mut self, turn: Turn) {
        let Turn { ran, cost } = turn;
        self.rates.push(ran.latencies.len() as f64 / ran.time.as_secs_f64());
        let spread = Spread::of_durations(ran.latencies.iter().copied());
        self.p99s.push(spread.percentile(99.0));
        self.latencies.extend(ran.latencies);
        self.cpu += cost.cpu;
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len() as f64
    }

    fn latencies(&self) -> [support::Cell; 3] {
        let spread = Spread::of_durations(self.latencies.iter().copied());
        [50.0, 99.0, 99.9].map(|percent| number(spread.percentile(percent) * 1e3, 2))
    }
}

const CONNECTIONS: [usize; 3] = [1, 16, 256];

/// Notifications per second of honest callers beside strangers, and the connections they keep: many
/// times what hundreds of tenants bring.
const HONEST: u32 = 500;
const HONEST_CONNECTIONS: usize = 16;
