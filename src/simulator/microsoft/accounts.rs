//! The part of the handle that is an administrator of Entra: secrets, certificates, federation,
//! roles, consent.

use std::{io, path::Path};

use super::{Federation, Microsoft, assertion::Registered};
use crate::{content::TenantId, simulator::locked, tls};

impl Microsoft {
    /// Makes every token handed out so far worthless.
    pub fn forget_tokens(&self) {
        locked(&self.0.entra).forget_tokens();
    }

    /// The roles in a tenant's tokens from now on; without this, all that are needed.
    pub fn set_roles(&self, tenant: TenantId, roles: &[&str]) {
        locked(&self.0.entra).set_roles(tenant, roles);
    }

    /// Where a tenant lives, as its discovery document spells it; without this, worldwide.
    pub fn set_region(&self, tenant: TenantId, scope: &str, sub_scope: Option<&str>) {
        locked(&self.0.entra).set_region(tenant, scope, sub_scope);
    }

    /// Replaces the secrets of a tenant's application.
    pub fn set_secret(&self, tenant: TenantId, secret: impl Into<String>) {
        locked(&self.0.entra).set_secret(tenant, secret.into());
    }

    /// Adds a secret to those of a tenant's application.
    pub fn add_secret(&self, tenant: TenantId, secret: impl Into<String>) {
        if let Some(tenant) = self.0.tenants.get(&tenant) {
            locked(&self.0.entra).add_secret(tenant, secret.into());
        }
    }

    /// Makes the secrets of a tenant's application ones that were right once.
    pub fn expire_secret(&self, tenant: TenantId) {
        if let Some(tenant) = self.0.tenants.get(&tenant) {
            locked(&self.0.entra).expire_secret(tenant);
        }
    }

    /// Registers the certificates in these PEM files, and no others, with a tenant's application:
    /// assertions must be signed by one of their RSA keys and carry its thumbprint. Of each file the
    /// first certificate counts.
    ///
    /// # Errors
    ///
    /// When a file holds no RSA certificate.
    pub fn register_certificates(&self, tenant: TenantId, files: &[&Path]) -> io::Result<()> {
        let one = |path: &&Path| {
            let certificates = tls::certificates(path).map_err(io::Error::other)?;
            let registered = certificates.first().and_then(Registered::new);
            registered.ok_or_else(|| io::Error::other("no RSA certificate"))
        };
        let certificates = files.iter().map(one).collect::<io::Result<_>>()?;
        locked(&self.0.entra).register(tenant, certificates);
        Ok(())
    }

    /// The client assertion that a tenant's application got its latest token for.
    pub fn latest_assertion(&self, tenant: TenantId) -> Option<String> {
        locked(&self.0.entra).latest_assertion(tenant)
    }

    /// Has a tenant's assertions refused unless they are PS256 with `x5t#S256`.
    pub fn demand_sha256(&self, tenant: TenantId) {
        locked(&self.0.entra).demand_sha256(tenant);
    }

    /// Accepts what an identity provider signed for a tenant's application.
    pub fn federate(&self, tenant: TenantId, federation: Federation) {
        locked(&self.0.entra).federate(tenant, federation);
    }

    /// Accepts this text as the client assertion of a tenant's application, whatever it is.
    pub fn trust_federated(&self, tenant: TenantId, token: impl Into<String>) {
        locked(&self.0.entra).trust_federated(tenant, token.into());
    }

    /// Whose administrator consents at the authorize page; without this, the first tenant with the
    /// application.
    pub fn consent_as(&self, tenant: TenantId) {
        locked(&self.0.entra).consent_as(tenant);
    }

    /// The account of the administrator who consents, which the token then tells as `upn`.
    pub fn set_administrator(&self, account: &str) {
        locked(&self.0.entra).set_administrator(account.to_owned());
    }
}
