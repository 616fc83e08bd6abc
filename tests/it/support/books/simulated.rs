//! The simulator's own books: what its Microsoft holds, and what of that has arrived at its Devo.
//!
//! Nothing of the ledger is asked. Only what no party of the simulated world can know is told by
//! the test: what is made impossible to deliver, and of what nobody was told.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
use m365_collector::{
    content::{ContentId, ContentType, TenantId},
    ledger::Tally,
    simulator::{Blob, Feed, Microsoft, devo::fingerprint, microsoft::Published},
};
use serde::Deserialize;

/// What became of the content of each feed and day; those without content are left out.
pub type Page = BTreeMap<(TenantId, ContentType, Date), Tally>;

/// What only the test knows.
#[derive(Clone, Debug, Default)]
pub struct Doomed {
    contents: HashSet<ContentId>,
    records: HashSet<u128>,
    untold: HashSet<ContentId>,
}

impl Doomed {
    /// This content can never be delivered.
    pub fn content(&mut self, id: &ContentId) {
        self.contents.insert(id.clone());
    }

    /// This record can never be delivered, unlike the rest of its content.
    pub fn record(&mut self, record: &[u8]) {
        self.records.insert(fingerprint(record));
    }

    /// No collector was told of this content, and none could find it so far.
    pub fn untold(&mut self, id: &ContentId) {
        self.untold.insert(id.clone());
    }
}

/// The books at this moment, given the records that have arrived.
pub fn page(
    microsoft: &Microsoft,
    arrived: &impl Fn(u128) -> bool,
    doomed: &Doomed,
    now: Timestamp,
) -> Page {
    let contents = microsoft.contents();
    let identities = Identities::of(&contents, arrived);
    let mut page = Page::new();
    for content in contents.iter().filter(|it| it.created >= now - LISTED) {
        let Feed { tenant, content_type } = content.feed;
        let day = content.created.to_zoned(TimeZone::UTC).date();
        if !content.listed {
            // Nobody finds it listed; that it is dead is known all the same.
            if doomed.contents.contains(&content.id) {
                page.entry((tenant, content_type, day)).or_default().dead += 1;
            }
            continue;
        }
        let tally = page.entry((tenant, content_type, day)).or_default();
        tally.listed += 1;
        if doomed.untold.contains(&content.id) {
            tally.missing += 1;
        } else if doomed.contents.contains(&content.id) {
            tally.dead += 1;
        } else if let Some(dead) = delivered(content, arrived, &identities, doomed) {
            tally.delivered += 1;
            tally.dead_records += dead;
        } else {
            tally.waiting += 1;
        }
    }
    page
}

/// None: a record of it has not arrived. Otherwise, how many never can.
fn delivered(
    content: &Published,
    arrived: &impl Fn(u128) -> bool,
    identities: &Identities,
    doomed: &Doomed,
) -> Option<u64> {
    let mut dead = 0;
    for record in records(content)? {
        let name = fingerprint(record);
        if doomed.records.contains(&name) {
            dead += 1;
        } else if !arrived(name) && !identities.have(content.feed, record) {
            return None;
        }
    }
    Some(dead)
}

/// What has arrived by name, because a record that comes again is spelled otherwise.
struct Identities(HashMap<Feed, HashSet<Identity>>);

impl Identities {
    fn of(contents: &[Published], arrived: &impl Fn(u128) -> bool) -> Self {
        let mut identities = HashMap::<_, HashSet<_>>::new();
        for content in contents {
            let records = records(content).unwrap_or_default();
            let arrived = records.into_iter().filter(|record| arrived(fingerprint(record)));
            identities.entry(content.feed).or_default().extend(arrived.filter_map(Identity::of));
        }
        Self(identities)
    }

    fn have(&self, feed: Feed, record: &[u8]) -> bool {
        let known = self.0.get(&feed);
        Identity::of(record).is_some_and(|it| known.is_some_and(|known| known.contains(&it)))
    }
}

#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    id: String,
    creation_time: String,
}

impl Identity {
    /// None: it has none, or is no JSON.
    fn of(record: &[u8]) -> Option<Self> {
        serde_json::from_slice(record).ok()
    }
}

/// The records of an array, which may be no JSON themselves; none if it is no array.
fn records(content: &Published) -> Option<Vec<&[u8]>> {
    let Blob::Bytes(body) = &content.blob else {
        panic!("a generated blob has no books");
    };
    let inner = body.strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let between = |byte: &u8| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b',' => return depth == 0,
            _ => {}
        }
        false
    };
    Some(inner.split(between).filter(|record| !record.is_empty()).collect())
}

/// What Microsoft lists: seven days, less five minutes that nobody asks for.
const LISTED: SignedDuration = SignedDuration::from_mins(167 * 60 + 55);
