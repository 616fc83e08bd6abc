//! Asking an administrator for consent, and finding out who gave it.
//!
//! The token that a code is exchanged for is looked at for its tenant and the domain of the account,
//! and dropped: what collects is an application, not the person who signed in.
//!
//! That a directory tells its tenant to whoever asks by a domain is not a documented part of the
//! consent; nothing may depend on it.

use reqwest::header::ACCEPT;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{Inner, TokenError, Tokens, exchange::answered};
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
    /// [`TokenError::Refused`] with [`super::Refusal::UnknownTenant`] when there is none in this
    /// cloud; any other means that it is not known.
    pub async fn tenant_of(&self, domain: &str) -> Result<TenantId, TokenError> {
        let url = self.directory(domain, &[".well-known", "openid-configuration"]);
        let request = self.0.http.get(url).header(ACCEPT, "application/json");
        let body = answered(request).await?;
        let found: Discovery = serde_json::from_slice(&body).map_err(|_| TokenError::Unreadable)?;
        let issuer = Url::parse(&found.issuer).map_err(|_| TokenError::Unreadable)?;
        let mut segments = issuer.path_segments().ok_or(TokenError::Unreadable)?;
        segments.find_map(|part| part.parse().ok()).ok_or(TokenError::Unreadable)
    }

    /// Exchanges the code of a consent for who gave it.
    ///
    /// # Errors
    ///
    /// [`TokenError`]; a code is good once, so the administrator has to be asked again.
    pub async fn redeem(
        &self,
        application: TenantId,
        redirect: &Url,
        code: &SecretString,
    ) -> Result<Consented, TokenError> {
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
            jsonwebtoken::dangerous::insecure_decode_claims::<Person>(grant.token.expose_secret());
        let claims = claims.map_err(|_| TokenError::Unreadable)?;
        let tenant = claims.tid.parse().map_err(|_| TokenError::Unreadable)?;
        Ok(Consented { tenant, account: claims.account() })
    }
}

/// Who gave a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consented {
    /// Whose consent it is.
    pub tenant: TenantId,
    /// Whose account it was given with.
    pub account: Account,
}

/// The account of somebody who signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// One that belongs to another organisation and is a guest in the tenant.
    Guest,
    /// One of the tenant, of this domain.
    Of(String),
    /// The token does not tell.
    Unknown,
}

/// What a token says of the person it is of.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Person {
    tid: String,
    iss: String,
    /// Who has signed the person in, where that is not the tenant.
    idp: Option<String>,
    upn: Option<String>,
    unique_name: Option<String>,
    preferred_username: Option<String>,
}

impl Person {
    fn account(&self) -> Account {
        if self.idp.as_ref().is_some_and(|idp| *idp != self.iss) {
            return Account::Guest;
        }
        let names = [&self.upn, &self.unique_name, &self.preferred_username];
        match names.into_iter().flatten().find_map(|name| name.rsplit_once('@')) {
            // The name of a guest in a tenant ends with the tenant's own domain.
            Some((user, _)) if user.contains('#') => Account::Guest,
            Some((_, domain)) => Account::Of(domain.to_ascii_lowercase()),
            None => Account::Unknown,
        }
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_of_a_domain_or_a_guest_or_not_told() {
        let of = |domain: &str| Account::Of(domain.to_owned());
        for (claims, expected) in [
            (r#"{"upn":"a@Customer.example"}"#, of("customer.example")),
            (r#"{"unique_name":"a@b.example","iss":"x","idp":"x"}"#, of("b.example")),
            (r#"{"preferred_username":"a@c.example","upn":"opaque"}"#, of("c.example")),
            (r#"{"unique_name":"a@customer.example","iss":"x","idp":"y"}"#, Account::Guest),
            (r#"{"upn":"a_customer.example#EXT#@other.example"}"#, Account::Guest),
            (r#"{"unique_name":"live.com#a@customer.example"}"#, Account::Guest),
            (r#"{"tid":"x"}"#, Account::Unknown),
        ] {
            let person: Person = serde_json::from_str(claims).unwrap();
            assert_eq!(person.account(), expected, "{claims}");
        }
    }
}
