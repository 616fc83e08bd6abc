//! A content blob as a stream of chunks; never held whole (I7).

use bytes::Bytes;
use tokio::time::timeout;
use url::Url;

use super::{
    ApiError, Call, Client,
    address::{NextPage, Paged},
    body::Answer,
};
use crate::content::TenantId;

/// A blob that is being downloaded. Whoever reads slowly slows the download.
#[derive(Debug)]
pub struct Blob {
    client: Client,
    tenant: TenantId,
    answer: Answer,
    /// Those opened so far, the first among them.
    pages: Vec<NextPage>,
}

impl Blob {
    pub(super) fn new(client: Client, tenant: TenantId, first: Url, answer: Answer) -> Self {
        Self { client, tenant, answer, pages: vec![NextPage::first(first)] }
    }

    /// The next bytes of the body, none at its end.
    ///
    /// Where the answer names a next page, that page's bytes follow without a mark: each page is a
    /// JSON text of its own. The page after the last one allowed is an error, not an end.
    ///
    /// Cancel safe: no byte is lost when the future is dropped.
    ///
    /// # Errors
    ///
    /// [`ApiError::CutBody`] when the body ends early, [`ApiError::Timeout`] when no byte comes in
    /// time, and anything a call can fail with where a next page is opened.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ApiError> {
        let inner = &self.client.0;
        loop {
            let chunk = timeout(inner.timeout, self.answer.chunk())
                .await
                .map_err(|_| ApiError::Timeout)??;
            if let Some(chunk) = chunk {
                return Ok(Some(chunk));
            }
            let headers = self.answer.headers();
            let Some(next) = inner.addresses.next_page(self.tenant, Paged::Blob, headers)? else {
                return Ok(None);
            };
            // A page that leads back has been read: whatever it wants, there is nothing new there.
            if self.pages.contains(&next) {
                return Ok(None);
            }
            if self.pages.len() >= MAX_PAGES {
                return Err(ApiError::TooLarge);
            }
            self.pages.push(next.clone());
            self.answer = self.client.call(self.tenant, Call::get(next.into_url())).await?;
        }
    }
}

/// Blobs with a second page are rare sights; one with this many never ends.
const MAX_PAGES: usize = 100;

#[cfg(test)]
pub(super) mod tests;
