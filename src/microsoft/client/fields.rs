//! Objects of Microsoft's answers, read leniently: key case varies, and a field of another type is
//! as good as none.

use std::{borrow::Cow, collections::HashMap};

use jiff::{Timestamp, civil, tz::TimeZone};
use serde_json::value::RawValue;

/// The entries of a JSON array; one bare object counts as an array of one.
pub(super) fn entries(body: &[u8]) -> Option<Vec<&RawValue>> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    serde_json::from_slice(body).ok().or_else(|| {
        let one: &RawValue = serde_json::from_slice(body).ok()?;
        one.get().starts_with('{').then(|| vec![one])
    })
}

/// The fields of one object, by lower-case name.
pub(super) struct Fields<'a>(HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    pub(super) fn read(object: &'a RawValue) -> Option<Self> {
        let fields: HashMap<Cow<'a, str>, &'a RawValue> =
            serde_json::from_str(object.get()).ok()?;
        let lower = |(name, value): (Cow<'_, str>, _)| (name.to_ascii_lowercase(), value);
        Some(Self(fields.into_iter().map(lower).collect()))
    }

    /// A string that is not empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let text: String = serde_json::from_str(self.0.get(name)?.get()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// A time; without a zone it is UTC.
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        let text = self.text(name)?;
        text.parse().ok().or_else(|| {
            let time: civil::DateTime = text.parse().ok()?;
            Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Option<Self> {
        Self::read(self.0.get(name)?)
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";
