//! The completeness report beside the simulator's own books: the same counts for every tenant,
//! type and day.

use std::{collections::BTreeSet, num::NonZeroUsize, process::Command};

use jiff::civil::Date;
use m365_collector::{
    completeness::{Completeness, Report, Source},
    content::{ContentType, TenantId},
    ledger::{Reader, Tally},
    microsoft::{Client, Metrics},
    simulator::{SimulatedTenant, Simulator},
    sweep::Lister,
};
use prometheus::Registry;
use serde::Deserialize;

use super::{
    super::{
        Service,
        collector::{BINARY, Collector, Said, Site},
        eventually,
    },
    Doomed,
    simulated::{self, Page},
};

impl Service {
    /// Fails unless the report says the same as the simulator's own books.
    pub async fn agrees(&self, doomed: &Doomed) {
        let (simulated, reported) = self.both_books(doomed).await;
        assert_eq!(reported, simulated, "the report, and the simulator's own books");
        say(&simulated);
    }

    /// Whether the report says the same as the simulator's own books.
    pub async fn is_in_agreement(&self, doomed: &Doomed) -> bool {
        let (simulated, reported) = self.both_books(doomed).await;
        reported == simulated
    }

    /// As [`Service::agrees`], by the words of the real command beside the service.
    pub async fn agrees_by_command(&self, doomed: &Doomed) {
        let mut command = Command::new(BINARY);
        command.args(COMMAND).arg("--config").arg(&self.config_path);
        command.env_clear().envs(self.overrides.iter().cloned());
        let said = Collector::start(command, self.folder.path()).said().await;
        let simulated = books(&self.simulator, &devo(&self.simulator), doomed);
        judge(&said, &simulated, &self.tenants);
    }

    /// Waits until the word of the last sweeps, without asking Microsoft, is the same as the
    /// simulator's own books. For a service that sweeps all the time.
    pub async fn sweeps_agree(&self, doomed: &Doomed) {
        eventually("the sweeps tell what the simulator's books do", async || {
            let report = self.report(None).await;
            self.rows(report) == books(&self.simulator, &devo(&self.simulator), doomed)
        })
        .await;
    }

    async fn both_books(&self, doomed: &Doomed) -> (Page, Page) {
        let report = self.report(Some(self.lister())).await;
        assert!(report.silent.is_empty(), "Microsoft is asked: {:?}", report.silent);
        let asked = report.days.iter().all(|day| day.source == Source::Microsoft);
        assert!(asked, "Microsoft answers: {:?}", report.days);
        (books(&self.simulator, &devo(&self.simulator), doomed), self.rows(report))
    }

    fn rows(&self, report: Report) -> Page {
        let days = report.days.into_iter();
        let rows = days.map(|day| ((day.tenant, day.content_type, day.day), day.tally));
        reported(rows, self.feeds().len())
    }

    async fn report(&self, lister: Option<Lister>) -> Report {
        let reader = Reader::open(&self.config.ledger).await.expect("the ledger can be opened");
        let (rhythm, clock) = (self.config.sweep, self.clock.clone());
        let completeness = Completeness::new(reader, lister, rhythm, clock);
        let report = completeness.report(&self.feeds(), None, None).await;
        report.expect("the ledger can be read")
    }

    fn lister(&self) -> Lister {
        let client = Client::new(
            self.config.microsoft.clone(),
            self.config.tenants.clone(),
            self.clock.clone(),
            Metrics::register(&Registry::new(), &self.config.tenants).expect("it is empty"),
        );
        let client = client.expect("the service has one like it");
        Lister::new(client, self.clock.clone(), NonZeroUsize::MIN)
    }

    fn feeds(&self) -> Vec<(TenantId, ContentType)> {
        let tenants = self.config.tenants.iter();
        tenants
            .flat_map(|tenant| {
                let kinds = tenant.content_types.clone();
                kinds.into_iter().map(move |kind| (tenant.id, kind))
            })
            .collect()
    }
}

impl Site {
    /// Fails unless `ledger completeness` says the same as the simulator's own books, and ends as
    /// the contract says.
    pub async fn agrees(&self, doomed: &Doomed) {
        self.agrees_on(&devo(&self.simulator), doomed).await;
    }

    /// As [`Site::agrees`], with another receiver than the simulated one.
    pub async fn agrees_on(&self, arrived: &impl Fn(u128) -> bool, doomed: &Doomed) {
        let said = self.command(&COMMAND).await;
        judge(&said, &books(&self.simulator, arrived, doomed), &self.tenants);
    }
}

/// What has arrived at the simulated Devo.
fn devo(simulator: &Simulator) -> impl Fn(u128) -> bool {
    let arrivals = simulator.devo().arrivals();
    move |record| arrivals.contains_key(&record)
}

fn books(simulator: &Simulator, arrived: &impl Fn(u128) -> bool, doomed: &Doomed) -> Page {
    simulated::page(simulator.microsoft(), arrived, doomed, simulator.clock().now())
}

fn judge(said: &Said, simulated: &Page, tenants: &[(String, SimulatedTenant)]) {
    let rows: Vec<Row> = serde_json::from_str(&said.out)
        .unwrap_or_else(|error| panic!("the rows are JSON: {error}\n{}", said.err));
    let rows = rows.into_iter().map(|row| {
        assert_eq!(row.source, "microsoft", "Microsoft answers: {}", said.err);
        let tenant = tenants.iter().find(|(name, _)| *name == row.tenant);
        let (_, tenant) = tenant.expect("a row is of a tenant of ours");
        let content_type = row.content_type.parse().expect("a row is of a type of ours");
        let tally = Tally {
            listed: row.listed,
            delivered: row.delivered,
            waiting: row.waiting,
            dead: row.dead,
            missing: row.missing,
            dead_records: row.dead_records,
        };
        ((tenant.id, content_type, row.day), tally)
    });
    let reported = reported(rows, tenants.len() * ContentType::ALL.len());
    assert_eq!(reported, *simulated, "the command, and the simulator's own books");
    let lost = simulated.values().any(|it| it.missing + it.dead + it.dead_records > 0);
    assert_eq!(said.code, Some(i32::from(lost)), "{}", said.err);
    say(simulated);
}

/// The rows that count something. Every feed has one for each day, whether it does or not.
fn reported(
    rows: impl Iterator<Item = ((TenantId, ContentType, Date), Tally)>,
    feeds: usize,
) -> Page {
    let (mut page, mut of, mut days, mut count) =
        (Page::new(), BTreeSet::new(), BTreeSet::new(), 0);
    for ((tenant, content_type, day), tally) in rows {
        of.insert((tenant, content_type));
        days.insert(day);
        count += 1;
        if tally != Tally::default() {
            page.insert((tenant, content_type, day), tally);
        }
    }
    assert!(days.len() >= 7 && count == feeds * days.len() && of.len() == feeds, "{count} rows");
    page
}

#[expect(clippy::print_stderr, reason = "the figures are of interest")]
fn say(page: &Page) {
    let sum = |count: fn(&Tally) -> u64| page.values().map(count).sum::<u64>();
    eprintln!(
        "the books agree on {} days of feeds: {} listed, {} delivered, {} waiting, {} dead, {} \
         missing, {} dead records",
        page.len(),
        sum(|it| it.listed),
        sum(|it| it.delivered),
        sum(|it| it.waiting),
        sum(|it| it.dead),
        sum(|it| it.missing),
        sum(|it| it.dead_records),
    );
}

#[derive(Deserialize)]
struct Row {
    tenant: String,
    content_type: String,
    day: Date,
    listed: u64,
    delivered: u64,
    waiting: u64,
    dead: u64,
    missing: u64,
    dead_records: u64,
    source: String,
}

const COMMAND: [&str; 3] = ["ledger", "completeness", "--json"];
