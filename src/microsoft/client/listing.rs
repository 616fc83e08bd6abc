//! Pages of listed content. Pure.

use jiff::Timestamp;

use super::{
    ForeignPage, NextPage,
    fields::{Fields, entries},
};
use crate::{
    content::{Announcement, ContentId, ContentType, LISTED, TenantId},
    moment::after,
};

/// A range of content creation times: start inclusive, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not more than 7 days ago.
    pub start: Timestamp,
    /// Not more than 24 hours after the start, or Microsoft may leave content out without a word.
    pub end: Timestamp,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Page {
    /// What is listed.
    pub items: Vec<Announcement>,
    /// Entries without a usable content id; they can be neither fetched nor named.
    pub malformed: usize,
    /// More of the same window, or that it is named where it is not asked for.
    pub next: Result<Option<NextPage>, ForeignPage>,
}

/// Reads a page. An entry without times is still content: it is taken to be new and to live as long
/// as content lives at least.
pub(super) fn read(
    body: &[u8],
    tenant: TenantId,
    content_type: ContentType,
    now: Timestamp,
    next: Result<Option<NextPage>, ForeignPage>,
) -> Option<Page> {
    let entries = entries(body)?;
    let listed = entries.len();
    let items: Vec<_> = entries
        .into_iter()
        .filter_map(|entry| {
            let fields = Fields::read(entry)?;
            let created = fields.time("contentcreated").unwrap_or(now);
            Some(Announcement {
                tenant,
                content_type,
                id: ContentId::parse(&fields.text("contentid")?).ok()?,
                created,
                // What is listed is there, whatever its date says.
                expires: fields
                    .time("contentexpiration")
                    .filter(|expires| now < *expires)
                    .unwrap_or_else(|| after(created, LISTED)),
            })
        })
        .collect();
    Some(Page { malformed: listed - items.len(), items, next })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Option<Page> {
        let tenant = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        let now = "2026-01-02T00:00:00Z".parse().unwrap();
        read(body.as_bytes(), tenant, ContentType::General, now, Ok(None))
    }

    fn times(item: &Announcement) -> (String, String) {
        (item.created.to_string(), item.expires.to_string())
    }

    #[test]
    fn entries_are_read_with_and_without_zone() {
        let page = page(
            r#"[{"contentType":"audit.general","contentId":"a$1","contentUri":"http://localhost/x",
                 "contentCreated":"2026-01-01T10:00:00.000Z","contentExpiration":"2026-01-08T10:00:00"},
                {"ContentID":"a$2","contentCreated":"2026-01-01T10:00:00.123"},
                {"contentId":"a$3","contentCreated":null,"contentExpiration":"soon"}]"#,
        )
        .unwrap();
        assert_eq!(page.malformed, 0);
        let expected = [
            ("2026-01-01T10:00:00Z", "2026-01-08T10:00:00Z"),
            ("2026-01-01T10:00:00.123Z", "2026-01-08T10:00:00.123Z"),
            ("2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z"),
        ];
        for (item, (created, expires)) in page.items.iter().zip(expected) {
            assert_eq!(times(item), (created.into(), expires.into()));
        }
        assert_eq!(page.items[1].id.as_str(), "a$2");
    }

    #[test]
    fn one_bad_entry_does_not_sink_its_page() {
        let page = page(r#"[{"contentId":""},{"contentId":7},17,{"contentId":"a$1"},{}]"#).unwrap();
        assert_eq!((page.items.len(), page.malformed), (1, 4));
    }

    #[test]
    fn other_shapes_are_no_page() {
        for body in ["", "{", "<html>", "17", "\"x\"", "null"] {
            assert!(page(body).is_none(), "{body}");
        }
        assert_eq!(page("\u{feff}[]").unwrap().items.len(), 0);
        assert_eq!(page(r#" {"contentId":"a"}"#).unwrap().items.len(), 1);
    }
}
