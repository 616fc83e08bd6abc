//! Everything that is said to Microsoft: Entra for tokens, the Management Activity API for content
//! and subscriptions.
//!
//! Guarantees:
//! - I6: every address is built from the configured roots; what an answer or a notification says is
//!   compared with them, never dialled. Redirects are not followed and no proxy is taken from the
//!   environment.
//! - I7: error bodies, listings and token answers are read up to a cap; blobs are streamed.
//! - I9: tokens, client secrets and keys have types that do not print; no error holds a body.
//! - A throttled or misconfigured tenant slows nobody but itself: tokens and pacing are per tenant.
//!
//! It decides nothing about content: what an answer means for a lease is [`ApiError::disposition`],
//! what to do about it is the caller's.

pub mod answer;
pub mod client;
pub mod cloud;
pub mod metrics;
pub mod pacing;
pub mod tokens;
mod trace;

pub use client::{ApiError, Client, ClientError, Config, Disposition};
pub use metrics::Metrics;
pub use tokens::{ClientCertificate, Credential};

#[cfg(test)]
pub(crate) mod world;
