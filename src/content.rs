//! The vocabulary every part shares: tenants, content types, content ids and announcements.
//!
//! Nothing here does I/O or knows the time. Facts about the wire forms come from the Office 365
//! Management Activity API reference.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Arc, RwLock},
    time::Duration,
};

use jiff::Timestamp;
use uuid::Uuid;

mod id;

pub use id::{CanonicalId, ContentId, InvalidContentId};

/// One piece of content Microsoft has told us about: a blob of audit records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The organisation whose records these are.
    pub tenant: TenantId,
    /// The feed the content belongs to.
    pub content_type: ContentType,
    /// The id exactly as received; content is fetched by it.
    pub id: ContentId,
    /// When the content became available; in a notification, when it was notified.
    pub created: Timestamp,
    /// When Microsoft deletes it.
    pub expires: Timestamp,
}

/// How long Microsoft lists content, and the shortest time it has been seen to keep it (reference:
/// "Available content").
pub const LISTED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether a text may be the name of a tenant: 1 to 64 letters, digits, `-`, `_` or `.`.
///
/// It can then stand in a metric, a file name and a message. Long enough for a GUID and a word, short enough
/// for a legend.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// How an announcement reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// An operator asked for a range of time.
    Backfill,
    /// The listing had it.
    Sweep,
    /// Microsoft called.
    Webhook,
}

impl Via {
    /// Every way, for zero-initialised series.
    pub const ALL: [Self; 3] = [Self::Backfill, Self::Sweep, Self::Webhook];

    /// The metric label and database value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backfill => "backfill",
            Self::Sweep => "sweep",
            Self::Webhook => "webhook",
        }
    }
}

impl FromStr for Via {
    type Err = Unknown;

    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|via| via.as_str() == text).ok_or(Unknown)
    }
}

/// A content type of the feed (reference: "Working with the Office 365 Management Activity API").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContentType {
    /// `Audit.AzureActiveDirectory`
    AzureActiveDirectory,
    /// `DLP.All`
    Dlp,
    /// `Audit.Exchange`
    Exchange,
    /// `Audit.General`
    General,
    /// `Audit.SharePoint`
    SharePoint,
}

impl ContentType {
    /// Every content type.
    pub const ALL: [Self; 5] =
        [Self::AzureActiveDirectory, Self::Dlp, Self::Exchange, Self::General, Self::SharePoint];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AzureActiveDirectory => "Audit.AzureActiveDirectory",
            Self::Dlp => "DLP.All",
            Self::Exchange => "Audit.Exchange",
            Self::General => "Audit.General",
            Self::SharePoint => "Audit.SharePoint",
        }
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContentType {
    type Err = Unknown;

    /// Compares without case, because Microsoft's own answers vary in it.
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text)).ok_or(Unknown)
    }
}

/// The text names nothing we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct Unknown;

/// An organisation's directory id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Uuid);

impl TenantId {
    /// The id as a plain GUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for TenantId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for TenantId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// The application (client) id of our registration in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(Uuid);

impl From<Uuid> for ClientId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for ClientId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A tenant as configured: what is ours and how it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The directory id.
    pub id: TenantId,
    /// The application that collects there.
    pub client_id: ClientId,
    /// The label in metrics and logs.
    pub name: Arc<str>,
    /// The feeds wanted, each once.
    pub content_types: Vec<ContentType>,
}

/// The tenants whose records are collected, found by id. Clones see the same ones.
///
/// Tenants come and go while the service runs. Who looks gets what is true at that moment; only the
/// composition root [replaces](Self::replace) them.
#[derive(Clone, Debug, Default)]
pub struct Tenants(Arc<RwLock<Snapshot>>);

type Snapshot = Arc<HashMap<TenantId, Arc<Tenant>>>;

impl Tenants {
    /// Looks a tenant up.
    pub fn find(&self, id: TenantId) -> Option<Arc<Tenant>> {
        self.snapshot().get(&id).cloned()
    }

    /// The label for logs and metrics; empty for a tenant that is not ours.
    pub fn name(&self, id: TenantId) -> Arc<str> {
        self.snapshot().get(&id).map_or_else(|| Arc::from(""), |tenant| tenant.name.clone())
    }

    /// Every tenant of this moment, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Tenant>> + use<> {
        self.snapshot().values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.snapshot().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.snapshot().is_empty()
    }

    /// Whether both are the same tenants, not only equal ones, so that there is nothing to do.
    pub fn is_still(&self, seen: &Seen) -> bool {
        Arc::ptr_eq(&self.snapshot(), &seen.0)
    }

    /// The tenants of this moment, to compare with later.
    pub fn seen(&self) -> Seen {
        Seen(self.snapshot())
    }

    /// Makes these the tenants, for everyone who holds a clone.
    #[expect(clippy::missing_panics_doc, reason = "a poisoned lock is a broken invariant")]
    pub fn replace(&self, tenants: impl IntoIterator<Item = Arc<Tenant>>) {
        let tenants = tenants.into_iter().map(|tenant| (tenant.id, tenant)).collect();
        *self.0.write().expect("no holder of this lock panics") = Arc::new(tenants);
    }

    fn snapshot(&self) -> Snapshot {
        self.0.read().expect("no holder of this lock panics").clone()
    }
}

impl FromIterator<Tenant> for Tenants {
    fn from_iter<I: IntoIterator<Item = Tenant>>(tenants: I) -> Self {
        let these = Self::default();
        these.replace(tenants.into_iter().map(Arc::new));
        these
    }
}

/// What [`Tenants`] were at some moment.
#[derive(Clone, Debug)]
pub struct Seen(Snapshot);

impl Seen {
    /// Every tenant of that moment, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Tenant>> {
        self.0.values()
    }

    /// Looks a tenant of that moment up.
    pub fn find(&self, id: TenantId) -> Option<&Arc<Tenant>> {
        self.0.get(&id)
    }
}
