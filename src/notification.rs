//! What a body on the public port says, and which of its entries are ours. Pure.
//!
//! [`parse`] tells a validation from a notification; [`judge`] turns one entry into an
//! [`Announcement`], or says with a closed [`Reason`] why it is not one. The reference and live
//! captures disagree in small things, so everything that does not change what would be fetched is
//! survived: a byte order mark, fields we do not know, another case of names, times that are
//! missing or make no sense.
//!
//! An entry is judged in this order, and the first objection counts:
//!
//! | what is looked at | objection |
//! | --- | --- |
//! | an object whose `tenantId`, `contentType`, `contentId` and `contentUri` are texts, the first a GUID | [`Reason::MalformedEntry`] |
//! | the tenant is configured | [`Reason::UnknownTenant`] |
//! | `clientId`, if there is one, is the tenant's | [`Reason::OtherClient`] |
//! | the content type is known, and configured for the tenant | [`Reason::UnknownType`] |
//! | the content id can be one | [`Reason::MalformedId`] |
//! | the content uri fits all of this | [`Reason::MalformedUri`], [`Reason::ForeignUri`] |
//!
//! Times never make an entry refused. The content uri is only checked and then forgotten: an
//! [`Announcement`] has no room for it, so nothing a notification says can be dialled (I6).
//! The media type of the request is not looked at, here or anywhere: the reference's own sample
//! has one that strict parsers refuse.

use std::{borrow::Cow, fmt};

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use url::Url;

use crate::{
    content::{Announcement, ClientId, ContentId, ContentType, LISTED, Tenant, TenantId, Tenants},
    moment::after,
    reason::Reason,
};

mod uri;

/// What was posted.
#[derive(Debug)]
pub enum Body<'a> {
    /// A notification, possibly of nothing.
    Entries(Vec<Entry<'a>>),
    /// Microsoft asks whether we are there.
    Validation,
}

/// One entry of a notification, not judged yet.
#[derive(Debug)]
pub struct Entry<'a>(&'a RawValue);

/// An entry that is not recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The configured tenant the entry claims to be of; none when it is not ours or not readable.
    pub tenant: Option<TenantId>,
    /// The first objection.
    pub reason: Reason,
}

/// The body is neither a validation nor an array of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither a validation nor a notification")]
pub struct NotANotification;

/// Reads a body, whatever its media type said.
///
/// # Errors
///
/// [`NotANotification`] when it is not JSON, or JSON of another shape, deeper than [`MAX_DEPTH`] or
/// of more than [`MAX_ENTRIES`] entries. One element that is no
/// object is enough: then the sender speaks another language, and nothing it says is used.
pub fn parse(body: &[u8]) -> Result<Body<'_>, NotANotification> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if body.trim_ascii_start().starts_with(b"{") {
        return match serde_json::from_slice::<Validation<'_>>(body) {
            Ok(_) => Ok(Body::Validation),
            Err(_) => Err(NotANotification),
        };
    }
    if is_too_deep(body) {
        return Err(NotANotification);
    }
    let Elements(elements) = serde_json::from_slice(body).map_err(|_| NotANotification)?;
    if elements.iter().all(|element| is_object(element)) {
        Ok(Body::Entries(elements.into_iter().map(Entry).collect()))
    } else {
        Err(NotANotification)
    }
}

/// Decides about one entry; the table above has the order. `management_roots` are those that
/// Microsoft may write: the configured one and, where that is a proxy, Microsoft's own.
///
/// # Errors
///
/// [`Refused`] with the first objection.
pub fn judge(
    entry: &Entry<'_>,
    tenants: &Tenants,
    management_roots: &[Url],
    now: Timestamp,
) -> Result<Announcement, Refused> {
    let malformed = Refused { tenant: None, reason: Reason::MalformedEntry };
    let fields: Fields<'_> = serde_json::from_str(entry.0.get()).map_err(|_| malformed)?;
    let id: TenantId = text(fields.tenant_id).and_then(|id| id.parse().ok()).ok_or(malformed)?;
    let tenant = tenants.find(id);
    fields
        .judge(tenant.as_deref(), management_roots, now)
        .map_err(|reason| Refused { tenant: tenant.map(|tenant| tenant.id), reason })
}

impl Fields<'_> {
    fn judge(
        &self,
        tenant: Option<&Tenant>,
        management_roots: &[Url],
        now: Timestamp,
    ) -> Result<Announcement, Reason> {
        let required = |field| text(field).ok_or(Reason::MalformedEntry);
        let content_type = required(self.content_type)?;
        let id = required(self.content_id)?;
        let uri = required(self.content_uri)?;

        let tenant = tenant.ok_or(Reason::UnknownTenant)?;
        if !self.is_for(tenant) {
            return Err(Reason::OtherClient);
        }
        let content_type: ContentType = content_type.parse().map_err(|_| Reason::UnknownType)?;
        if !tenant.content_types.contains(&content_type) {
            return Err(Reason::UnknownType);
        }
        let id = ContentId::parse(&id).map_err(|_| Reason::MalformedId)?;
        uri::check(&uri, management_roots, tenant.id, &id)?;
        Ok(Announcement {
            tenant: tenant.id,
            content_type,
            id,
            created: created(self.created, now),
            expires: expires(self.expiration, now),
        })
    }

    /// Captures without a client id exist; one that is there must be ours.
    fn is_for(&self, tenant: &Tenant) -> bool {
        let Some(client_id) = self.client_id else {
            return true;
        };
        text(Some(client_id))
            .and_then(|id| id.parse().ok())
            .is_some_and(|id: ClientId| id == tenant.client_id)
    }
}

/// Every field stays raw until it is looked at, so that one odd value refuses no more than it must.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    tenant_id: Option<&'a RawValue>,
    #[serde(borrow)]
    client_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content_type: Option<&'a RawValue>,
    #[serde(borrow)]
    content_id: Option<&'a RawValue>,
    #[serde(borrow)]
    content_uri: Option<&'a RawValue>,
    #[serde(borrow, rename = "contentCreated")]
    created: Option<&'a RawValue>,
    #[serde(borrow, rename = "contentExpiration")]
    expiration: Option<&'a RawValue>,
}

/// The code itself is of no use: the answer is its acknowledgement.
#[derive(Deserialize)]
struct Validation<'a> {
    #[serde(borrow, rename = "validationCode")]
    _code: &'a RawValue,
}

/// The elements of an array, up to the number that is sane.
struct Elements<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Elements<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ElementsVisitor)
    }
}

struct ElementsVisitor;

impl<'de> Visitor<'de> for ElementsVisitor {
    type Value = Elements<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of at most {MAX_ENTRIES} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Elements<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == MAX_ENTRIES {
                return Err(A::Error::invalid_length(MAX_ENTRIES + 1, &self));
            }
            elements.push(element);
        }
        Ok(Elements(elements))
    }
}

/// Whether brackets are nested deeper than anything Microsoft sends, be it well-formed or not.
fn is_too_deep(body: &[u8]) -> bool {
    // As in most: so few cannot be nested so deep.
    if body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= MAX_DEPTH {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in body {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

fn is_object(element: &RawValue) -> bool {
    element.get().starts_with('{')
}

fn text(field: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(field?.get()).ok().map(|text| text.0)
}

/// Borrows where the text has no escapes; a bare `Cow` would always copy.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn created(field: Option<&RawValue>, now: Timestamp) -> Timestamp {
    time(field).filter(|created| after(now, CREATED_AHEAD) >= *created).unwrap_or(now)
}

/// A date that has passed is not believed either: whether content is gone, Microsoft says when it is
/// asked for.
fn expires(field: Option<&RawValue>, now: Timestamp) -> Timestamp {
    time(field)
        .filter(|expires| now < *expires && *expires <= after(now, LONGEST_LIFE))
        .unwrap_or_else(|| after(now, LISTED))
}

/// A time that can be meant; without a zone it is UTC.
fn time(field: Option<&RawValue>) -> Option<Timestamp> {
    let text = text(field)?;
    let time = text.parse().ok().or_else(|| {
        let time: civil::DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    })?;
    (time >= FIRST_SENSIBLE).then_some(time)
}

/// An entry is an object in an array; this leaves room for fields that do not exist yet.
pub const MAX_DEPTH: usize = 32;

/// Microsoft sends some dozens, and a body of the default size has no room for so many real ones.
pub const MAX_ENTRIES: usize = 10_000;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Before this (2010) there was no such service; a default date of some runtime looks like this.
const FIRST_SENSIBLE: Timestamp = Timestamp::constant(1_262_304_000, 0);

/// Clocks differ by less; a creation later than that would spoil every age computed from it.
const CREATED_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// Three times the longest seen; anything later would keep a row that nobody settles.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(60 * 24);

#[cfg(test)]
mod tests;
