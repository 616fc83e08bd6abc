//! What an answer of the Management Activity API that is not a success means.
//!
//! Pure: one function from status, `Retry-After`, body and time to an [`Action`]. The reference's
//! `{"error":{"code","message"}}` is one spelling among several: bodies come single-quoted, as
//! HTML, empty, or with a whole sentence as the code. So the status is read first, and then the
//! text is searched for a code, wherever it stands. No text leaves this module (I9).

use std::time::Duration;

use jiff::Timestamp;

use crate::reason::Reason;

mod wait;
mod words;

pub use words::{CODES, Words};

/// What an answer means to its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// AF20024: the subscription already is as asked for. A success.
    AlreadyEnabled,
    /// Auditing is off or fresh, or the tenant lives in another cloud.
    AuditingOff,
    /// Asking again gives the same answer.
    Final(Reason),
    /// AF20022, AF20023: there is no subscription, or a disabled one.
    NotSubscribed,
    /// Asking again later may help.
    Retry(Reason),
    /// AF10001: the application lacks a role.
    RoleMissing,
    /// AF20031: the address of this page of a listing is no longer good; list the window again.
    StalePage,
    /// Too many requests.
    Throttled {
        /// How long to wait, where the answer says so.
        wait: Option<Duration>,
    },
    /// The token is refused: it expired, or a role is missing for this content type.
    Unauthorized,
    /// AF20021: our webhook did not answer Microsoft's validation with 200.
    WebhookRefused,
    /// AF20030, AF20055: the window of a listing is not acceptable, often because a clock is wrong.
    WindowRefused,
}

/// Reads an answer whose status is not a success.
///
/// `body` may be a prefix; `now` is needed for a `Retry-After` that is a date.
pub fn read(status: u16, retry_after: Option<&str>, now: Timestamp, body: &[u8]) -> Action {
    let text = String::from_utf8_lossy(body);
    let codes = || codes(&text);
    if status == 429 || codes().any(|code| code == 429) || (status == 403 && says_429(&text)) {
        let wait = retry_after
            .and_then(|value| wait::header(value, now))
            .or_else(|| wait::text(&text))
            .map(|wait| wait.min(MAX_WAIT));
        return Action::Throttled { wait };
    }
    // A server error is Microsoft's, whatever codes its stack trace mentions.
    if status == 408 || status >= 500 {
        return Action::Retry(Reason::ServerError);
    }
    if let Some(action) = codes().find_map(meaning) {
        return action;
    }
    match status {
        401 => Action::Unauthorized,
        400 | 403 | 404 if says_no_tenant(&text) => Action::AuditingOff,
        _ => Action::Retry(Reason::BadAnswer),
    }
}

fn meaning(code: u32) -> Option<Action> {
    Some(match code {
        10001 => Action::RoleMissing,
        20011 => Action::AuditingOff,
        20021 => Action::WebhookRefused,
        20022 | 20023 => Action::NotSubscribed,
        20024 => Action::AlreadyEnabled,
        20030 | 20055 => Action::WindowRefused,
        20031 => Action::StalePage,
        20050 => Action::Final(Reason::ContentGone),
        20051 => Action::Final(Reason::ContentExpired),
        20052 => Action::Final(Reason::ContentIdInvalid),
        50000..60000 => Action::Retry(Reason::ServerError),
        _ => return None,
    })
}

/// The numbers of all `AF…` codes, in order. A code stands alone: letters or digits around it make
/// it a part of something else, such as a correlation id.
fn codes(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| word.strip_prefix("AF"))
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        .filter_map(|digits| digits.parse().ok())
}

/// Whether the body holds `"code":"429"`, in any quotes or none.
fn says_429(text: &str) -> bool {
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '\\'))
        .flat_map(char::to_lowercase)
        .collect();
    bare.match_indices("code:429").any(|(at, found)| {
        let after = bare.as_bytes().get(at + found.len());
        !after.is_some_and(u8::is_ascii_alphanumeric)
    })
}

fn says_no_tenant(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.split_once("tenant").is_some_and(|(_, after)| after.contains("does not exist"))
}

/// Nobody is asked to wait longer in earnest; content expires meanwhile.
const MAX_WAIT: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests;
