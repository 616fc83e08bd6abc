//! Whose consent it has to be, and whether it is.
//!
//! A tenant id is compared with the id that consented. A domain is looked up in Entra's directory,
//! and where that does not tell, the account that consents is compared with it.

use std::{
    fmt,
    io::{self, Write},
};

use super::{CommandError, ConsentError};
use crate::{
    content::TenantId,
    microsoft::tokens::{Account, Consented, Refusal, TokenError, Tokens},
};

/// Whose consent it has to be.
pub(super) enum Expected {
    /// That of an account of this domain; its tenant could not be looked up.
    Domain(String),
    Tenant(TenantId),
}

impl Expected {
    pub(super) async fn find(tokens: &Tokens, address: &str) -> Result<Self, CommandError> {
        if let Ok(id) = address.parse() {
            return Ok(Self::Tenant(id));
        }
        let domain = domain(address);
        match tokens.tenant_of(domain).await {
            Ok(id) => Ok(Self::Tenant(id)),
            Err(source @ TokenError::Refused(Refusal::UnknownTenant)) => {
                Err(ConsentError::Unknown { address: address.to_owned(), source }.into())
            }
            Err(error) => {
                writeln!(
                    io::stderr(),
                    "warning: the tenant of {domain} could not be looked up in Entra's directory \
                     ({}); the account that consents is compared with the domain instead",
                    unanswered(&error)
                )?;
                Ok(Self::Domain(domain.to_ascii_lowercase()))
            }
        }
    }

    /// Whose consent it is, if it is the one expected.
    pub(super) fn confirm(self, consented: Consented) -> Result<TenantId, CommandError> {
        let Consented { tenant: given, account } = consented;
        match (self, account) {
            (Self::Tenant(expected), _) if given == expected => {}
            (Self::Tenant(expected), _) => {
                return Err(ConsentError::Other { given, expected }.into());
            }
            (Self::Domain(expected), Account::Of(found)) if found == expected => {
                writeln!(io::stderr(), "the consent is of tenant {given}")?;
            }
            (Self::Domain(expected), Account::Of(found)) => {
                return Err(ConsentError::OtherDomain { given, found, expected }.into());
            }
            (Self::Domain(expected), Account::Guest) => {
                return Err(ConsentError::Guest { given, expected }.into());
            }
            (Self::Domain(expected), Account::Unknown) => {
                return Err(ConsentError::Uncompared { given, expected }.into());
            }
        }
        Ok(given)
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(_) => Ok(()),
            Self::Tenant(id) => write!(f, " ({id})"),
        }
    }
}

/// Why the directory does not tell, in words that are not those of the token endpoint.
fn unanswered(error: &TokenError) -> String {
    match error {
        TokenError::Refused(refusal) => format!("it refused: {refusal}"),
        TokenError::Status(status) => format!("it answered with status {status}"),
        TokenError::Timeout => "it did not answer in time".to_owned(),
        TokenError::Transient(code) => format!("it fails for a moment, AADSTS{code}"),
        TokenError::Unreachable(_) => "it cannot be reached".to_owned(),
        _ => "its answer names no tenant".to_owned(),
    }
}

/// What of an address says whose it is.
pub(super) fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain)
}
