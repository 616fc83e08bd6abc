//! What a login host says of a tenant to anybody: whether it knows it, and where it lives.
//!
//! Asked without credentials, so that a wrong tenant or cloud can be told from a wrong secret. Not
//! in the reference of the Management Activity API: the fields that name the cloud are taken for
//! what they have been seen to say, and their absence says nothing.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::{Client, body::Answer};
use crate::{aadsts, content::TenantId, microsoft::cloud::Cloud};

/// A tenant as the login host knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The cloud it lives in, where the answer tells.
    pub cloud: Option<Cloud>,
}

/// Why nothing is known of a tenant.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The host does not know it.
    #[error("the tenant is not known there")]
    Unknown,
    /// The host said something else, or nothing.
    #[error("no answer that tells")]
    Untold,
}

impl Client {
    /// Asks the login host about a tenant.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`].
    pub async fn directory(&self, tenant: TenantId) -> Result<Directory, DirectoryError> {
        let mut url = self.0.login.clone();
        url.path_segments_mut().map_err(|()| DirectoryError::Untold)?.pop_if_empty().extend([
            &tenant.to_string(),
            ".well-known",
            "openid-configuration",
        ]);
        let exchange = async {
            let mut answer = Answer::new(self.0.http.get(url).send().await.ok()?);
            let body = answer.prefix(MAX_ANSWER).await.ok()?;
            Some((answer.status().as_u16(), body))
        };
        let answered = timeout(PATIENCE.min(self.0.timeout), exchange).await.ok().flatten();
        let (status, body) = answered.ok_or(DirectoryError::Untold)?;
        read(status, &body)
    }
}

fn read(status: u16, body: &[u8]) -> Result<Directory, DirectoryError> {
    if status == 200 {
        let told: Told = serde_json::from_slice(body).map_err(|_| DirectoryError::Untold)?;
        return Ok(Directory { cloud: told.cloud() });
    }
    let text = String::from_utf8_lossy(body);
    Err(match aadsts::code(&text) {
        Some(90_002 | 900_023) => DirectoryError::Unknown,
        _ => DirectoryError::Untold,
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    tenant_region_scope: Option<String>,
    tenant_region_sub_scope: Option<String>,
}

impl Told {
    fn cloud(&self) -> Option<Cloud> {
        let sub_scope = self.tenant_region_sub_scope.as_deref();
        match (self.tenant_region_scope.as_deref()?, sub_scope) {
            (_, Some("DODCON")) => Some(Cloud::GccHigh),
            (_, Some("DOD")) => Some(Cloud::Dod),
            (_, Some("GCC")) => Some(Cloud::Gcc),
            ("USGov" | "USG", _) => None,
            (_, None | Some("")) => Some(Cloud::Commercial),
            _ => None,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

const MAX_ANSWER: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_are_read_and_what_is_not_told_is_not_guessed() {
        let cloud = |body: &str| read(200, body.as_bytes()).unwrap().cloud;
        assert_eq!(cloud(r#"{"tenant_region_scope":"EU"}"#), Some(Cloud::Commercial));
        let sub = |scope: &str| {
            cloud(&format!(
                r#"{{"tenant_region_scope":"USGov","tenant_region_sub_scope":"{scope}"}}"#
            ))
        };
        assert_eq!(sub("DODCON"), Some(Cloud::GccHigh));
        assert_eq!(sub("DOD"), Some(Cloud::Dod));
        assert_eq!(sub("news"), None);
        assert_eq!(cloud("{}"), None);
        assert!(matches!(read(200, b"<html>"), Err(DirectoryError::Untold)));
        let unknown = read(400, b"{\"error_description\":\"AADSTS90002: Tenant not found\"}");
        assert!(matches!(unknown, Err(DirectoryError::Unknown)));
        assert!(matches!(read(502, b"AADSTS"), Err(DirectoryError::Untold)));
    }
}
