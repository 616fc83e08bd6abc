//! Looking again and again, and whose duty it is to start what is missing.
//!
//! Where replicas share the ledger, all of them look, so that each can say how the subscriptions
//! are; one of them starts. What it is about to start it notes under its duty, and a note that is
//! refused keeps it from starting.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::Subscriptions;
use crate::{
    content::TenantId,
    duties::Duties,
    ledger::{Duty, Fence},
};

/// What this process does about a tenant's subscriptions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    /// It only says how they are; another replica starts what is missing.
    Looks,
    /// It starts what is missing, and proves with this that it may still when it does.
    Starts(Option<Fence>),
}

impl Subscriptions {
    /// The same keeper, of the tenants whose subscriptions are a duty of this process. It looks at
    /// the others, and starts nothing there.
    ///
    /// # Panics
    ///
    /// When it has begun already.
    #[must_use]
    pub fn under(mut self, duties: Duties) -> Self {
        Arc::get_mut(&mut self.0).expect("it has not begun").duties = duties;
        self
    }

    pub(super) async fn keep(self, tenant: TenantId, noticed: Instant) {
        let duties = &self.0.duties;
        let duty = Duty::Subscriptions(tenant);
        duties.known().await;
        if Instant::now() < noticed {
            self.check_under(tenant, Role::Looks).await;
            sleep_until(noticed).await;
        }
        loop {
            match duties.held(duty) {
                Some(hold) => tokio::select! {
                    () = self.again_and_again(tenant, Role::Starts(hold.fence())) => {}
                    () = hold.lost() => {}
                },
                None => tokio::select! {
                    () = self.again_and_again(tenant, Role::Looks) => {}
                    _ = duties.hold(duty) => {}
                },
            }
        }
    }
}
