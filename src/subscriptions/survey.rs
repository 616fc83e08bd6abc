//! What would be done, for who asks without doing it.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{CheckError, Observation, Subscriptions};
use crate::content::{ContentType, TenantId};

/// What a look at one tenant found.
#[derive(Debug)]
pub struct Survey {
    /// The tenant.
    pub tenant: TenantId,
    /// Its label.
    pub name: Arc<str>,
    /// One observation for each wanted content type.
    pub result: Result<Vec<Observation>, CheckError>,
    /// Content types that are listed as on and not wanted.
    pub unwanted: Vec<ContentType>,
}

impl Subscriptions {
    /// Looks at every tenant and says what would be done, without doing it.
    pub async fn survey(&self) -> Vec<Survey> {
        let tenants = self.0.tenants.iter().map(async |tenant| {
            let looked = self.look_whole(&tenant).await;
            let (result, unwanted) = match looked {
                Ok((seen, unwanted)) => (Ok(seen), unwanted),
                Err(error) => (Err(error), Vec::new()),
            };
            Survey { tenant: tenant.id, name: tenant.name.clone(), result, unwanted }
        });
        let mut surveys = join_all(tenants).await;
        surveys.sort_by(|one, other| one.name.cmp(&other.name));
        surveys
    }
}
