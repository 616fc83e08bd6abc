//! The ledger as it is seen from outside, and who held which duty at any moment.

use std::{collections::BTreeMap, time::Duration};

use m365_collector::{
    content::TenantId,
    shutdown::Shutdown,
    simulator::{Operation, microsoft::Request},
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::fleet::Fleet;

/// A connection to the database, made anew when it breaks.
pub struct Ledger {
    url: String,
    connection: Option<PgConnection>,
}

impl Ledger {
    pub fn new(url: &str) -> Self {
        Self { url: url.to_owned(), connection: None }
    }

    /// How many contents there are of which this holds; none while the database is away.
    pub async fn count(&mut self, condition: &str) -> Option<usize> {
        let rows = self.rows(&format!("SELECT content_id FROM content WHERE {condition}")).await?;
        Some(rows.len())
    }

    /// The ids of contents of which this holds; none while the database is away.
    pub async fn contents(&mut self, condition: &str) -> Option<Vec<String>> {
        let rows = self.rows(&format!("SELECT content_id FROM content WHERE {condition}")).await?;
        Some(rows.iter().map(|row| row.get("content_id")).collect())
    }

    /// Who has a duty, once for each.
    pub async fn holders(&mut self) -> Option<Vec<String>> {
        let rows = self.rows("SELECT r.name FROM duty d JOIN replica r ON r.id = d.holder");
        Some(rows.await?.iter().map(|row| row.get("name")).collect())
    }

    /// Who sweeps, by tenant, each with its token.
    pub async fn sweepers(&mut self) -> Option<Sweepers> {
        let rows = self.rows(
            "SELECT d.tenant, d.token, r.name FROM duty d JOIN replica r ON r.id = d.holder \
             WHERE d.kind = 'sweep'",
        );
        let rows = rows.await?;
        let sweepers = rows.iter().map(|row| {
            let tenant: &str = row.get("tenant");
            (tenant.parse().expect("it is an id"), (row.get("name"), row.get("token")))
        });
        Some(sweepers.collect())
    }

    async fn rows(&mut self, text: &str) -> Option<Vec<sqlx::postgres::PgRow>> {
        let rows = timeout(AWAY, self.try_rows(text)).await;
        if let Ok(Ok(rows)) = rows {
            return Some(rows);
        }
        self.connection = None;
        None
    }

    async fn try_rows(&mut self, text: &str) -> sqlx::Result<Vec<sqlx::postgres::PgRow>> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(PgConnection::connect(&self.url).await?),
        };
        sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await
    }
}

/// The holder of each tenant's sweep, and its token.
pub type Sweepers = BTreeMap<TenantId, (String, i64)>;

/// Looks again and again who sweeps.
pub struct Watch {
    looking: JoinSet<Vec<(Instant, Sweepers)>>,
    stop: Shutdown,
}

impl Watch {
    pub fn start(database: &str) -> Self {
        let (mut ledger, stop) = (Ledger::new(database), Shutdown::new());
        let stopped = stop.clone();
        let mut looking = JoinSet::new();
        looking.spawn(async move {
            let mut seen: Vec<(Instant, Sweepers)> = Vec::new();
            while !stopped.is_requested() {
                if let Some(sweepers) = ledger.sweepers().await {
                    seen.push((Instant::now(), sweepers));
                }
                sleep(LOOK).await;
            }
            seen
        });
        Self { looking, stop }
    }

    /// Everything that was seen.
    pub async fn stop(mut self) -> Seen {
        self.stop.request();
        Seen(self.looking.join_next().await.expect("it was started").expect("it does not panic"))
    }
}

/// Who swept what, at so many moments.
pub struct Seen(Vec<(Instant, Sweepers)>);

impl Seen {
    /// Fails unless tokens only grow, each is of one holder, and whoever listed a tenant's content
    /// held its sweep at that moment. Returns how many listings there were, and changes of holders.
    pub fn one_at_a_time(&self, fleet: &Fleet) -> (usize, usize) {
        let changes = self.tokens_are_of_one_holder();
        let by_publisher: BTreeMap<_, _> =
            fleet.lives.iter().map(|life| (&*life.publisher, &*life.name)).collect();
        let requests = fleet.site.simulator.microsoft().requests();
        let first = self.0.first().expect("it looked").0;
        let listings = requests.iter().filter(|request| {
            matches!(request.operation, Operation::Content | Operation::NextPage)
                && request.at > first
        });
        let mut count = 0;
        for listing in listings {
            let publisher = listing.publisher.as_deref().expect("whoever lists says who");
            self.is_by_its_holder(listing, by_publisher[publisher]);
            count += 1;
        }
        (count, changes)
    }

    fn tokens_are_of_one_holder(&self) -> usize {
        let (mut last, mut changes) = (Sweepers::new(), 0);
        for (_, sweepers) in &self.0 {
            for (tenant, (name, token)) in sweepers {
                if let Some((before, old)) = last.get(tenant) {
                    assert!(token >= old, "a token became less");
                    assert!(token > old || name == before, "one token, two holders");
                    changes += usize::from(token > old);
                }
                last.insert(*tenant, (name.clone(), *token));
            }
        }
        changes
    }

    /// A look may come a little late, and so may a request that was begun before.
    fn is_by_its_holder(&self, listing: &Request, name: &str) {
        let tenant = listing.tenant.expect("a listing is of a tenant");
        let near = self.0.iter().filter(|(at, _)| {
            let apart = at.saturating_duration_since(listing.at);
            apart.max(listing.at.saturating_duration_since(*at)) < NEAR
        });
        let mut holders = near.filter_map(|(_, sweepers)| sweepers.get(&tenant));
        assert!(
            holders.any(|(holder, _)| holder == name),
            "{name} lists the content of {tenant}, whose sweep it does not have"
        );
    }
}

const LOOK: Duration = Duration::from_millis(50);

/// Far less than it takes until a duty is taken over.
const NEAR: Duration = Duration::from_secs(1);

const AWAY: Duration = Duration::from_secs(5);
