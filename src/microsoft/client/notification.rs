//! Microsoft's own book of what it tried to tell our webhook.

use jiff::Timestamp;

use super::{
    ApiError, Call, Client, MAX_LISTING, Window,
    fields::{Fields, entries},
};
use crate::content::{ContentType, TenantId};

/// One try to notify us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notified {
    /// When it was made, where that is said.
    pub at: Option<Timestamp>,
    /// Whether we were told.
    pub succeeded: bool,
}

impl Client {
    /// The tries of a window of at most 24 hours; of many only those on the first page.
    ///
    /// # Errors
    ///
    /// [`ApiError`], as for every call.
    pub async fn notifications(
        &self,
        tenant: TenantId,
        content_type: ContentType,
        window: Window,
    ) -> Result<Vec<Notified>, ApiError> {
        let call = Call::get(self.0.addresses.notifications(tenant, content_type, window));
        let mut answer = self.call(tenant, call).await?;
        let body = answer.whole(MAX_LISTING, self.0.timeout).await?;
        read(&body).ok_or(ApiError::Unreadable)
    }
}

fn read(body: &[u8]) -> Option<Vec<Notified>> {
    let notified = |fields: Fields<'_>| {
        let status = fields.text("notificationstatus")?;
        // Both spellings of a success have been seen.
        let succeeded = ["success", "succeeded"].iter().any(|s| status.eq_ignore_ascii_case(s));
        Some(Notified { at: fields.time("notificationsent"), succeeded })
    };
    Some(entries(body)?.into_iter().filter_map(Fields::read).filter_map(notified).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_a_success_are_one() {
        let read = read(
            br#"[{"notificationStatus":"success","notificationSent":"2026-01-01T00:00:00"},
                {"notificationStatus":"Succeeded"},{"notificationStatus":"Failed"},{"x":1}]"#,
        )
        .unwrap();
        assert_eq!(read.iter().map(|n| n.succeeded).collect::<Vec<_>>(), [true, true, false]);
        assert!(read[0].at.is_some() && read[1].at.is_none());
    }
}
