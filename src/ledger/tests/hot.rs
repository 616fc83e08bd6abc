//! The statements that run all the time, or for whoever looks at a page or asks for a report, with
//! values for a ledger as [`fill`] makes it.

use crate::ledger::{
    announce, backfill, backlog, books, dialect::Statement, following, identities, letters, listed,
    overview, prune, rows,
};

/// A statement that must not become slower by what is in the ledger and not asked for.
pub(super) struct Hot {
    pub(super) name: &'static str,
    pub(super) statement: Statement,
    /// Of the values, where a server would guess wrong.
    pub(super) types: &'static str,
    /// As they are written in SQL.
    pub(super) values: String,
    /// How many rows it has to look at.
    pub(super) rows: i64,
    /// Whether it is run once, at a start: a server then always makes a plan for its values.
    pub(super) once: bool,
}

/// How much a ledger holds.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) waiting: i64,
    pub(super) settled: i64,
}

impl Size {
    fn all(self) -> i64 {
        self.waiting + self.settled
    }

    /// The moment of an id's announcement; all of them took two weeks.
    fn at(self, id: i64) -> i64 {
        BEGINNING + id * (TWO_WEEKS / self.all())
    }
}

/// Content of ten tenants with five types each, announced in the course of two weeks; the newest
/// waits, one in a hundred others is dead. Identities are of the last day, by three replicas.
pub(super) fn fill(size: Size) -> String {
    let settled = size.settled;
    let (all, step) = (size.all(), TWO_WEEKS / size.all());
    format!(
        "INSERT INTO content (tenant, content_type, canonical_id, content_id, via, created, \
         expires, announced, state, due, settled, records, listed, listed_created) \
         SELECT {tenant} || n % 10, 'type-' || n / 10 % 5, 'content-' || n, 'content-' || n, \
         'sweep', {BEGINNING} + n * {step}, {BEGINNING} + n * {step} + {TWO_WEEKS} / 2, \
         {BEGINNING} + n * {step}, CASE WHEN n > {settled} THEN 'waiting' WHEN n % 100 = 0 \
         THEN 'dead' ELSE 'delivered' END, {BEGINNING} + n * {step}, \
         CASE WHEN n <= {settled} THEN {BEGINNING} + n * {step} + 60000 END, 10, \
         CASE WHEN n % 3 > 0 THEN {BEGINNING} + n * {step} END, \
         CASE WHEN n % 3 > 0 THEN {BEGINNING} + n * {step} - 5000 END \
         FROM generate_series(1, {all}) AS n; \
         INSERT INTO dead_letter (content, reason, at) SELECT id, 'undecodable', settled \
         FROM content WHERE state = 'dead' ORDER BY id; \
         INSERT INTO backlog SELECT tenant, 0, COUNT(*) FROM content WHERE state = 'waiting' \
         GROUP BY tenant; \
         INSERT INTO identity (content, at, number, keys, replica, seq) \
         SELECT n, {BEGINNING} + n * {step}, 10, decode(repeat('00', 160), 'hex'), \
         'replica-' || n % 3, n / 3 FROM generate_series({settled} * 13 / 14, {settled}) AS n; \
         ANALYZE",
        tenant = text(TENANT),
    )
}

#[expect(clippy::too_many_lines, reason = "it is a list")]
pub(super) fn hot(size: Size) -> Vec<Hot> {
    let (all, now) = (size.all(), BEGINNING + TWO_WEEKS);
    let feed = format!("{}, 'type-2'", text("tenant-5"));
    let day = |since: i64| format!("{since}, {}", since + DAY);
    let a_day = all / 14;
    let few = format!("[{}]", (1..=32).map(|id| id.to_string()).collect::<Vec<_>>().join(", "));
    let ids: Vec<_> = (0..500).map(|n| format!("\"content-{}\"", 25 + 50 * n)).collect();
    let ids = format!("[{}]", ids.join(", "));
    let written = (1..=32).map(|n| {
        format!(
            r#"{{"id":{},"state":"delivered","due":{now},"lease":null,"claims":1,"attempts":0,
            "reason":null,"undecodable":0,"settled":{now},"records":1,"duplicates":0}}"#,
            all - n
        )
    });
    let written = text(&format!("[{}]", written.collect::<Vec<_>>().join(",")));
    let news = (1..=32).map(|n| {
        format!(
            r#"{{"tenant":"tenant-5","kind":"type-2","canonical":"new-{n}","id":"new-{n}",
            "created":{now},"expires":{now},"now":{now}}}"#
        )
    });
    let news = text(&format!("[{}]", news.collect::<Vec<_>>().join(",")));
    let hot = |name, statement: Statement, values: String, rows| Hot {
        name,
        statement,
        types: "",
        values,
        rows,
        once: false,
    };
    vec![
        hot("announce", announce::INSERT, format!("'sweep', 0, 1, {news}, 33"), 32),
        hot("known", listed::KNOWN, format!("{feed}, {}", text(&ids)), 500),
        hot("note", listed::NOTE.into(), format!("{feed}, 'content-25', {now}, {now}, {now}"), 1),
        hot(
            "due tenants",
            backlog::TENANTS_DUE,
            format!("{now}, {}", text("[\"tenant-5\", \"x\"]")),
            2,
        ),
        hot("claim", rows::DUE, format!("{}, {now}, 32, 0", text("tenant-5")), 32),
        hot("claim backfill", rows::DUE, format!("{}, {now}, 32, 1", text("tenant-5")), 0),
        hot("expiry", rows::EXPIRED, format!("{}, {now}, 256", text("tenant-5")), 0),
        hot("progress", rows::PROGRESS, text(&few), 32),
        hot("hold", rows::HOLD, written.clone(), 32),
        hot("settle", rows::STORE, written, 32),
        hot("count", backlog::COUNT, text(r#"[{"tenant":"tenant-5","more":1}]"#), 1),
        hot("bury", letters::BURY, text(r#"[{"content":5,"record":null,"reason":"x","at":0}]"#), 1),
        hot("unbury", letters::UNBURY, text("[100, 200]"), 2),
        hot("depth", backlog::DEPTH.into(), String::new(), 20),
        hot("prune nothing", prune::PRUNE_DELIVERED, format!("0, {now}, 0, 500"), 0),
        hot(
            "prune delivered",
            prune::PRUNE_DELIVERED,
            format!("{}, {now}, {BEGINNING}, 500", size.at(all / 4)),
            500,
        ),
        hot(
            "prune dead",
            prune::PRUNE_DEAD,
            format!("{}, {now}, 500, 'dead'", size.at(all / 4)),
            500,
        ),
        hot("prune nothing dead", prune::PRUNE_DEAD, format!("0, {now}, 500, 'expired'"), 0),
        Hot { types: "(TEXT, BYTEA, TEXT)", ..hot("remember", identities::STORE, remembered(), 1) },
        hot("prune identities", identities::PRUNE, format!("{now}, 500"), 500),
        hot("read identities", identities::NEXT, format!("{}, 0, 1000", now - 3 * DAY), 1000),
        Hot {
            once: true,
            ..hot(
                "begin to read identities",
                identities::BEGINNING.into(),
                format!("{}, 10000", now - 3 * DAY),
                1000,
            )
        },
        Hot {
            once: true,
            ..hot(
                "number of identities",
                identities::NUMBER.into(),
                (now - 3 * DAY).to_string(),
                size.settled,
            )
        },
        hot(
            "identities of a content",
            identities::OF_CONTENT.into(),
            format!("{}, 'other'", size.settled - 1),
            1,
        ),
        hot(
            "numbers to follow",
            following::NUMBERS.into(),
            format!("'replica-1', {}, 4096", size.settled / 3 - 100),
            100,
        ),
        hot(
            "follow",
            following::NEXT.into(),
            format!("'replica-1', {}, {}, 100", size.settled / 3 - 100, i64::MAX),
            100,
        ),
        hot("begin to follow", following::TOP.into(), "'replica-1'".to_owned(), 1),
        hot("backfilled", backfill::FOUND.into(), format!("{}, {all}", all - 100), 100),
        hot("first id", overview::FIRST.into(), String::new(), 1),
        hot("last id", overview::LAST.into(), String::new(), 1),
        hot("id by moment", overview::NEXT.into(), (all / 2).to_string(), 1),
        hot(
            "announced",
            overview::ANNOUNCED.into(),
            format!("{}, {all}, 0, 3600000", all - 5000),
            5000,
        ),
        hot("books", overview::BOOKS.into(), format!("{}, {all}, 0", all - 5000), 2 * 5000),
        hot(
            "delivered",
            overview::DELIVERED.into(),
            format!("{}, {}", size.at(size.settled / 2), size.at(size.settled / 2) + HOUR),
            a_day / 24,
        ),
        hot("given up", overview::GIVEN_UP.into(), format!("1, 1000, {now}, 'x'"), 2 * 1000),
        hot("waiting", overview::WAITING.into(), text("tenant-5"), size.waiting / 10),
        hot("tally", books::OF_SOME, format!("{feed}, {}", text(&ids)), 2 * 500),
        hot(
            "listed before",
            books::LISTED_BEFORE.into(),
            format!("{feed}, {}", day(BEGINNING + 3 * DAY)),
            2 * a_day / 50,
        ),
        hot(
            "never listed",
            books::NEVER_LISTED.into(),
            format!("{feed}, {}", day(BEGINNING + 3 * DAY)),
            2 * a_day / 50,
        ),
    ]
}

fn text(text: &str) -> String {
    format!("'{text}'")
}

fn remembered() -> String {
    let part = r#"[{"content":5,"at":0,"number":1,"start":1,"length":16,"seq":1}]"#;
    format!("{}, '\\x00112233445566778899aabbccddeeff', 'replica-1'", text(part))
}

const TENANT: &str = "tenant-";
const BEGINNING: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const TWO_WEEKS: i64 = 14 * DAY;
