//! Why Entra does not accept us, and what somebody has to do about it. Pure.

use std::fmt;

/// Why Entra does not accept our credentials: what an operator has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// AADSTS7000112: an administrator has disabled the application.
    ApplicationDisabled,
    /// AADSTS700023: the assertion was made for another token endpoint.
    AssertionAudience,
    /// AADSTS700024: the assertion is past its life or not yet in it.
    AssertionTime,
    /// AADSTS700027: the assertion's certificate is not the registered one.
    BadAssertion,
    /// AADSTS65001: nobody with the right to do so has consented.
    ConsentMissing,
    /// AADSTS700027 with that reason: the certificate has expired.
    ExpiredCertificate,
    /// AADSTS7000222: the client secret has expired.
    ExpiredSecret,
    /// AADSTS70021, 700211, 700212, 700213: no federated credential is registered for the token.
    FederationMissing,
    /// Another code, 0 if there was none.
    Other(u32),
    /// AADSTS700016: the application is not known in this tenant.
    UnknownClient,
    /// AADSTS500011: the API is not known in this tenant, or not in this cloud.
    UnknownResource,
    /// AADSTS90002, 900023: there is no such tenant in this cloud.
    UnknownTenant,
    /// AADSTS7000215: the client secret is wrong.
    WrongSecret,
}

impl Refusal {
    /// Every refusal that has words of its own, with the codes Entra says it by.
    pub const KNOWN: &[(&str, Self)] = &[
        ("AADSTS7000215", Self::WrongSecret),
        ("AADSTS7000222", Self::ExpiredSecret),
        ("AADSTS700027", Self::BadAssertion),
        ("AADSTS700027, the key used is expired", Self::ExpiredCertificate),
        ("AADSTS700023", Self::AssertionAudience),
        ("AADSTS700024", Self::AssertionTime),
        ("AADSTS70021, AADSTS700211, AADSTS700212, AADSTS700213", Self::FederationMissing),
        ("AADSTS700016", Self::UnknownClient),
        ("AADSTS7000112", Self::ApplicationDisabled),
        ("AADSTS90002, AADSTS900023", Self::UnknownTenant),
        ("AADSTS500011", Self::UnknownResource),
        ("AADSTS65001", Self::ConsentMissing),
    ];

    pub(super) fn read(code: u32, text: &str) -> Self {
        match code {
            65001 => Self::ConsentMissing,
            70021 | 700_211 | 700_212 | 700_213 => Self::FederationMissing,
            90002 | 900_023 => Self::UnknownTenant,
            500_011 => Self::UnknownResource,
            700_016 => Self::UnknownClient,
            700_023 => Self::AssertionAudience,
            700_024 => Self::AssertionTime,
            // Nothing but the sentence tells these two apart.
            700_027 if text.contains(KEY_EXPIRED) => Self::ExpiredCertificate,
            700_027 => Self::BadAssertion,
            7_000_112 => Self::ApplicationDisabled,
            7_000_215 => Self::WrongSecret,
            7_000_222 => Self::ExpiredSecret,
            code => Self::Other(code),
        }
    }

    /// Who has to do what, where that is known.
    pub const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::ApplicationDisabled => {
                "Entra administrator: enable the application (Enterprise applications, Properties, \
                 Enabled for users to sign-in)"
            }
            Self::AssertionAudience => {
                "set microsoft.cloud and microsoft.login_url to those of the tenant's cloud"
            }
            Self::AssertionTime => {
                "set this machine's clock by NTP; with a federated token, see that its file is \
                 renewed"
            }
            Self::BadAssertion => {
                "Entra administrator: upload the public part of the configured certificate to the \
                 application (Certificates & secrets), or configure the one that is registered"
            }
            Self::ConsentMissing => {
                "Entra administrator of the tenant: grant admin consent to the application (App \
                 registrations, API permissions, Grant admin consent)"
            }
            Self::ExpiredCertificate => {
                "make a new certificate and replace the files of tenants[].certificate, no restart \
                 is needed; Entra administrator: upload its public part to the application \
                 (Certificates & secrets)"
            }
            Self::ExpiredSecret => {
                "Entra administrator: make a new client secret for the application (Certificates \
                 & secrets); put its value where client_secret points, no restart is needed"
            }
            Self::FederationMissing => {
                "Entra administrator: add a federated credential to the application whose issuer, \
                 subject and audience are those of the token in federated_token"
            }
            Self::Other(_) => return None,
            Self::UnknownClient => {
                "compare client_id and id of the tenant with the application's overview page; if \
                 it is registered in another tenant, an administrator of this one must consent to \
                 it first"
            }
            Self::UnknownResource => {
                "compare microsoft.cloud with the cloud the tenant lives in; Entra administrator: \
                 give the application permissions of the Office 365 Management APIs"
            }
            Self::UnknownTenant => {
                "compare id of the tenant with Entra's overview page (Tenant ID), and \
                 microsoft.cloud with the cloud the tenant lives in"
            }
            Self::WrongSecret => {
                "put the secret's value, not its id, where client_secret points; if it is lost, \
                 the Entra administrator makes a new one (Certificates & secrets)"
            }
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApplicationDisabled => "the application is disabled (AADSTS7000112)",
            Self::AssertionAudience => "the assertion is for another token endpoint (AADSTS700023)",
            Self::AssertionTime => {
                "the assertion is expired or not yet valid; a clock may be wrong (AADSTS700024)"
            }
            Self::BadAssertion => "the certificate is not the one registered (AADSTS700027)",
            Self::ConsentMissing => "admin consent is missing (AADSTS65001)",
            Self::ExpiredCertificate => "the certificate has expired (AADSTS700027)",
            Self::ExpiredSecret => "the client secret has expired (AADSTS7000222)",
            Self::FederationMissing => {
                "no federated credential is registered for the token (AADSTS70021)"
            }
            Self::Other(0) => "the credentials, without a code",
            Self::Other(code) => return write!(f, "the credentials (AADSTS{code})"),
            Self::UnknownClient => "the client id is not known in the tenant (AADSTS700016)",
            Self::UnknownResource => "the API is not known in the tenant (AADSTS500011)",
            Self::UnknownTenant => "the tenant is not known in this cloud (AADSTS90002)",
            Self::WrongSecret => {
                "the client secret is wrong; its value is needed, not its id (AADSTS7000215)"
            }
        })
    }
}

const KEY_EXPIRED: &str = "key used is expired";
