//! From nothing to records: consents, tenants that come and go, subscriptions by hand, the file of
//! another collector.

mod consent;
mod import;
mod readme;
mod subscriptions;
mod tenants;
