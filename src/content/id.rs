//! Content ids as received, and the canonical form under which they are one.
//!
//! A notification and the listing may name the same blob differently. A wrong merge would lose a
//! blob and a missed merge costs one fetch, so only the two differences seen in live captures are
//! removed: a trailing `$IsFromNotification[$n]`, and an exactly repeated last segment.

use std::{borrow::Borrow, fmt};

/// A content id exactly as Microsoft spelled it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ContentId(Box<str>);

impl ContentId {
    /// Accepts visible ASCII of a sane length. Everything else in the path of a request is
    /// percent-encoded later, so this refuses only what cannot name one path segment.
    ///
    /// # Errors
    ///
    /// [`InvalidContentId`] when the text is empty, too long, a dot segment, or holds anything but
    /// visible ASCII.
    pub fn parse(text: &str) -> Result<Self, InvalidContentId> {
        let sane = !text.is_empty()
            && text.len() <= MAX_LENGTH
            && text != "."
            && text != ".."
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if sane { Ok(Self(text.into())) } else { Err(InvalidContentId) }
    }

    /// The id as received.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form under which notified and listed ids of one blob are equal.
    pub fn canonical(&self) -> CanonicalId {
        let id = without_notification_mark(&self.0);
        let canonical = match id.rsplit_once('$') {
            // `…$na0018$na0018`; the segment before the last `$` must be the same, whole.
            Some((head, last)) if head.rsplit('$').next() == Some(last) => head,
            _ => id,
        };
        CanonicalId(canonical.into())
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a blob within its tenant and content type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalId(Box<str>);

impl CanonicalId {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for CanonicalId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The text cannot be a content id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a content id: expected 1 to {MAX_LENGTH} visible ASCII characters")]
pub struct InvalidContentId;

fn without_notification_mark(id: &str) -> &str {
    if let Some(head) = id.strip_suffix(MARK) {
        return head;
    }
    match id.rsplit_once('$') {
        Some((head, n)) if !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()) => {
            head.strip_suffix(MARK).unwrap_or(id)
        }
        _ => id,
    }
}

const MARK: &str = "$IsFromNotification";

/// Ids in captures are under 150 characters; the bound only keeps rows and log lines sane.
const MAX_LENGTH: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, canonical: &str) {
        assert_eq!(ContentId::parse(id).unwrap().canonical().as_str(), canonical, "{id}");
    }

    #[test]
    fn canonical_form_merges_only_what_captures_show() {
        check("ts1$ts2$audit_x$Audit_X$na0017", "ts1$ts2$audit_x$Audit_X$na0017");
        check("ts1$ts2$audit_x$Audit_X$na0018$na0018", "ts1$ts2$audit_x$Audit_X$na0018");
        check("ts1$ts2$a$A$na0018$IsFromNotification", "ts1$ts2$a$A$na0018");
        check("ts1$ts2$a$A$na0018$IsFromNotification$6", "ts1$ts2$a$A$na0018");
        check("ts1$ts2$a$A$na0018$na0018$IsFromNotification$6", "ts1$ts2$a$A$na0018");
        // Near misses stay apart: another case, another segment, a suffix of the segment before.
        check("ts1$ts2$a$A$na0018$NA0018", "ts1$ts2$a$A$na0018$NA0018");
        check("ts1$ts2$a$A$na0018$6", "ts1$ts2$a$A$na0018$6");
        check("ts1$ts2$a$xna0018$na0018", "ts1$ts2$a$xna0018$na0018");
        check("ts1$IsFromNotification$6x", "ts1$IsFromNotification$6x");
        check("plain", "plain");
    }

    #[test]
    fn ids_that_cannot_be_one_path_segment_are_refused() {
        for text in ["", ".", "..", "a b", "a\n", "ä", &"x".repeat(MAX_LENGTH + 1)] {
            assert_eq!(ContentId::parse(text), Err(InvalidContentId), "{text:?}");
        }
        assert!(ContentId::parse("a/b?c#d%e").is_ok(), "encoded later, not refused");
    }
}
