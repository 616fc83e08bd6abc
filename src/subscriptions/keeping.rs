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

/// Whether a look may start what is missing.
#[derive(Clone, Copy, Debug)]
pub(super) enum Starting {
    /// It may, and proves with this that it may still when it does.
    Allowed(Option<Fence>),
    /// Another replica does.
    LeftToOthers,
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
            self.check_under(tenant, Starting::LeftToOthers).await;
            sleep_until(noticed).await;
        }
        loop {
            match duties.held(duty) {
                Some(hold) => tokio::select! {
                    () = self.again_and_again(tenant, Starting::Allowed(hold.fence())) => {}
                    () = hold.lost() => {}
                },
                None => tokio::select! {
                    () = self.again_and_again(tenant, Starting::LeftToOthers) => {}
                    _ = duties.hold(duty) => {}
                },
            }
        }
    }
}
