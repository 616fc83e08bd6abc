//! What Entra's refusals ask of whom.

use super::Refusal;

impl Refusal {
    /// Every refusal that has words of its own, with the codes Entra says it by.
    pub const KNOWN: &[(&str, Self)] = &[
        ("AADSTS7000215", Self::WrongSecret),
        ("AADSTS7000222", Self::ExpiredSecret),
        ("AADSTS700016", Self::UnknownClient),
        ("AADSTS700027", Self::BadAssertion),
        ("AADSTS90002, AADSTS900023", Self::UnknownTenant),
        ("AADSTS65001", Self::ConsentMissing),
    ];

    /// Who has to do what, where that is known.
    pub const fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::BadAssertion => {
                "Entra administrator: upload the public part of the configured certificate to the \
                 application (Certificates & secrets), or configure the one that is registered"
            }
            Self::ConsentMissing => {
                "Entra administrator of the tenant: grant admin consent to the application (App \
                 registrations, API permissions, Grant admin consent)"
            }
            Self::ExpiredSecret => {
                "Entra administrator: make a new client secret for the application (Certificates \
                 & secrets); put its value where client_secret points, no restart is needed"
            }
            Self::Other(_) => return None,
            Self::UnknownClient => {
                "compare client_id and id of the tenant with the application's overview page; if \
                 it is registered in another tenant, an administrator of this one must consent to \
                 it first"
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
