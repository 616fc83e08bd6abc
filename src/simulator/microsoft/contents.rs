//! The contents Microsoft has, until they expire or have been fetched and must make room.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Range,
    time::Duration,
};

use jiff::Timestamp;

use super::{Published, blob::Blob};
use crate::{
    content::{CanonicalId, ContentId, ContentType, TenantId},
    simulator::Feed,
};

/// One content.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) id: ContentId,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) blob: Blob,
    pub(super) gzip: Option<bool>,
    pub(super) listed: bool,
    fetched: bool,
}

/// The place of a content in its feed's listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) created: Timestamp,
    pub(super) serial: u64,
}

/// What is asked of [`Contents::add`].
pub(super) struct New {
    pub(super) created: Timestamp,
    pub(super) life: Duration,
    pub(super) blob: Blob,
    pub(super) gzip: Option<bool>,
    pub(super) listed: bool,
}

#[derive(Debug)]
pub(super) struct Contents {
    feeds: HashMap<Feed, BTreeMap<Place, Content>>,
    places: HashMap<(TenantId, CanonicalId), (ContentType, Place)>,
    /// Fetched contents, oldest fetch first: the ones that may make room.
    fetched: VecDeque<(TenantId, CanonicalId)>,
    serial: u64,
    bytes: usize,
    retain_bytes: usize,
    retain: usize,
}

impl Contents {
    pub(super) fn new(retain_bytes: usize, retain: usize) -> Self {
        Self {
            feeds: HashMap::new(),
            places: HashMap::new(),
            fetched: VecDeque::new(),
            serial: 0,
            bytes: 0,
            retain_bytes,
            retain,
        }
    }

    pub(super) fn add(&mut self, feed: Feed, new: New) -> Content {
        self.serial += 1;
        let place = Place { created: new.created, serial: self.serial };
        let content = Content {
            id: spelled(feed.content_type, place),
            created: new.created,
            expires: new.created.saturating_add(new.life).unwrap_or(Timestamp::MAX),
            blob: new.blob,
            gzip: new.gzip,
            listed: new.listed,
            fetched: false,
        };
        self.bytes += content.blob.weight();
        let key = (feed.tenant, content.id.canonical());
        self.places.insert(key, (feed.content_type, place));
        let contents = self.feeds.entry(feed).or_default();
        contents.insert(place, content.clone());
        self.make_room();
        content
    }

    /// Looks a content up by its id in any form.
    pub(super) fn find(&self, tenant: TenantId, id: &ContentId) -> Option<(Feed, &Content)> {
        let (content_type, place) = self.places.get(&(tenant, id.canonical()))?;
        let feed = Feed { tenant, content_type: *content_type };
        let content = self.feeds.get(&feed)?.get(place)?;
        Some((feed, content))
    }

    pub(super) fn find_mut(&mut self, tenant: TenantId, id: &ContentId) -> Option<&mut Content> {
        let (content_type, place) = self.places.get(&(tenant, id.canonical()))?;
        let feed = Feed { tenant, content_type: *content_type };
        self.feeds.get_mut(&feed)?.get_mut(place)
    }

    /// Notes that a content was fetched; from now on it may make room for others.
    pub(super) fn fetched(&mut self, tenant: TenantId, id: &ContentId) {
        if let Some(content) = self.find_mut(tenant, id)
            && !content.fetched
        {
            content.fetched = true;
            self.fetched.push_back((tenant, id.canonical()));
        }
    }

    /// One page of the listed contents created in `window` and placed after `after`, and whether
    /// there are more.
    pub(super) fn page(
        &self,
        feed: Feed,
        window: Range<Timestamp>,
        after: Option<Place>,
        length: usize,
    ) -> (Vec<(Place, &Content)>, bool) {
        let first = Place { created: window.start, serial: 0 };
        let mut found = self
            .feeds
            .get(&feed)
            .into_iter()
            .flat_map(|contents| contents.range(first..))
            .take_while(|(place, _)| place.created < window.end)
            .filter(|(place, content)| content.listed && after.is_none_or(|last| **place > last))
            .map(|(place, content)| (*place, content));
        let page = found.by_ref().take(length).collect();
        (page, found.next().is_some())
    }

    /// Every content that is held.
    pub(super) fn all(&self) -> impl Iterator<Item = Published> {
        let contents = self.feeds.iter().flat_map(|(feed, contents)| {
            contents.values().map(move |content| (*feed, content.clone()))
        });
        contents.map(|(feed, content)| Published {
            feed,
            id: content.id,
            created: content.created,
            listed: content.listed,
            blob: content.blob,
        })
    }

    /// Contents that are held, and the bytes of their blobs.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.places.len(), self.bytes)
    }

    fn make_room(&mut self) {
        while self.bytes > self.retain_bytes || self.places.len() > self.retain {
            let Some(key) = self.fetched.pop_front() else {
                return;
            };
            let Some((content_type, place)) = self.places.remove(&key) else {
                continue;
            };
            let feed = Feed { tenant: key.0, content_type };
            let removed = self.feeds.get_mut(&feed).and_then(|all| all.remove(&place));
            self.bytes -= removed.map_or(0, |content| content.blob.weight());
        }
    }
}

/// An id in the shape of live captures: two times to 100 ns, the feed twice, a region. The serial
/// number between the two times keeps ids apart.
fn spelled(content_type: ContentType, place: Place) -> ContentId {
    let ticks = i64::try_from(place.serial).unwrap_or(i64::MAX);
    let later = jiff::SignedDuration::from_nanos(ticks.saturating_mul(100));
    let second = place.created.saturating_add(later).unwrap_or(Timestamp::MAX);
    let feed = content_type.as_str().replace('.', "_");
    let text = format!(
        "{}${}${}${feed}$na0017",
        place.created.strftime("%Y%m%d%H%M%S%7f"),
        second.strftime("%Y%m%d%H%M%S%7f"),
        feed.to_lowercase(),
    );
    ContentId::parse(&text).expect("digits, letters and signs make an id")
}
