//! The pages at which an administrator consents, and what can go wrong there.
//!
//! Whoever opens one has consented, or done what a fault says, at once: there is nobody to ask.

use std::collections::{HashMap, VecDeque};

use hyper::Response;

use super::{Microsoft, World, answers, entra};
use crate::{
    content::TenantId,
    simulator::{locked, server::Body},
};

/// What an administrator does other than consenting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentFault {
    /// Declines, as Entra then says in these words: `error` and `error_description`.
    Denied {
        /// The word of the protocol.
        error: String,
        /// Entra's sentence, with its number.
        description: String,
    },
    /// Comes back with a state of somebody else's making.
    OtherState,
}

/// What is not as usual.
#[derive(Debug, Default)]
pub(super) struct Consents {
    faults: VecDeque<ConsentFault>,
    domains: HashMap<String, TenantId>,
}

impl Microsoft {
    /// What becomes of the next consent.
    pub fn fail_consent(&self, fault: ConsentFault) {
        locked(&self.0.consents).faults.push_back(fault);
    }

    /// Makes a domain one of a tenant's.
    pub fn set_domain(&self, domain: &str, tenant: TenantId) {
        locked(&self.0.consents).domains.insert(domain.to_ascii_lowercase(), tenant);
    }
}

/// The tenant that a directory in an address is: its id, or one of its domains.
pub(super) fn tenant_at(world: &World, directory: &str) -> Option<TenantId> {
    let by_domain =
        || locked(&world.consents).domains.get(&directory.to_ascii_lowercase()).copied();
    let tenant = directory.parse().ok().or_else(by_domain)?;
    world.tenants.contains_key(&tenant).then_some(tenant)
}

/// Answers the administrator's browser at the authorize page of the first version of Entra.
pub(super) fn authorize(world: &World, query: &HashMap<String, String>) -> Response<Body> {
    let fault = locked(&world.consents).faults.pop_front();
    match fault {
        None => entra::authorize(world, query),
        Some(ConsentFault::OtherState) => {
            let mut query = query.clone();
            query.insert("state".to_owned(), "0".repeat(64));
            entra::authorize(world, &query)
        }
        Some(ConsentFault::Denied { error, description }) => {
            back(query, &[("error", &error), ("error_description", &description)])
        }
    }
}

/// Answers the administrator's browser at the page that asks for consent alone and brings no code.
pub(super) fn adminconsent(
    world: &World,
    directory: &str,
    query: &HashMap<String, String>,
) -> Response<Body> {
    let tenant = tenant_at(world, directory);
    let tenant = tenant.or_else(|| entra::consenting(world, query.get("client_id")?));
    match (locked(&world.consents).faults.pop_front(), tenant) {
        (Some(ConsentFault::Denied { error, description }), _) => {
            back(query, &[("error", &error), ("error_description", &description)])
        }
        (_, Some(tenant)) => {
            back(query, &[("admin_consent", "True"), ("tenant", &tenant.to_string())])
        }
        (_, None) => answers::entra(entra::UNKNOWN_TENANT),
    }
}

/// Sends the browser back with this, and the state it came with.
fn back(query: &HashMap<String, String>, fields: &[(&str, &str)]) -> Response<Body> {
    let redirect = query.get("redirect_uri").and_then(|text| url::Url::parse(text).ok());
    let Some(mut location) = redirect else {
        return answers::entra(entra::MALFORMED);
    };
    location.query_pairs_mut().extend_pairs(fields);
    if let Some(state) = query.get("state") {
        location.query_pairs_mut().append_pair("state", state);
    }
    answers::redirect(location.as_str())
}
