//! Asking an administrator for consent, and finding out who gave it.
//!
//! The token that a code is exchanged for is looked at for its tenant and dropped: what collects is
//! an application, not the person who signed in.

use reqwest::header::ACCEPT;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{Claims, Inner, TokenError, Tokens, exchange::answered};
use crate::content::TenantId;

impl Tokens {
    /// The address at which an administrator consents to the application of a configured tenant.
    /// The browser is sent back to `redirect`, with `state` unchanged. None: no such tenant.
    pub fn consent_address(
        &self,
        application: TenantId,
        redirect: &Url,
        state: &str,
    ) -> Option<Url> {
        let client_id = self.0.tenants.find(application)?.client_id;
        let mut url = self.directory("common", &["oauth2", "authorize"]);
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("resource", &self.0.resource)
            .append_pair("client_id", &client_id.to_string())
            .append_pair("redirect_uri", redirect.as_str())
            .append_pair("state", state)
            // For the whole organisation, also when permissions were added since the last time.
            .append_pair("prompt", "admin_consent");
        Some(url)
    }

    /// The tenant a domain belongs to.
    ///
    /// # Errors
    ///
    /// [`TokenError::Refused`] when there is none in this cloud.
    pub async fn tenant_of(&self, domain: &str) -> Result<TenantId, TokenError> {
        let url = self.directory(domain, &[".well-known", "openid-configuration"]);
        let request = self.0.http.get(url).header(ACCEPT, "application/json");
        let body = answered(request).await?;
        let found: Discovery = serde_json::from_slice(&body).map_err(|_| TokenError::Unreadable)?;
        let issuer = Url::parse(&found.issuer).map_err(|_| TokenError::Unreadable)?;
        let mut segments = issuer.path_segments().ok_or(TokenError::Unreadable)?;
        segments.find_map(|part| part.parse().ok()).ok_or(TokenError::Unreadable)
    }

    /// Exchanges the code of a consent for the tenant that gave it.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a code is good once, so the administrator has to be asked again.
    pub async fn redeem(
        &self,
        application: TenantId,
        redirect: &Url,
        code: &SecretString,
    ) -> Result<TenantId, TokenError> {
        let Inner { tenants, resource, .. } = &*self.0;
        let (Some(credential), Some(tenant)) =
            (self.credential(application), tenants.find(application))
        else {
            return Err(TokenError::NotConfigured);
        };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", redirect.as_str()),
            ("resource", resource),
        ];
        let endpoint = self.directory("common", &["oauth2", "token"]);
        let grant = self.granted(&endpoint, tenant.client_id, credential, &form).await?;
        // It came from Entra itself over TLS, for a code that only we could exchange.
        let claims =
            jsonwebtoken::dangerous::insecure_decode_claims::<Claims>(grant.token.expose_secret());
        let claims = claims.map_err(|_| TokenError::Unreadable)?;
        claims.tid.parse().map_err(|_| TokenError::Unreadable)
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}
