//! The public port through the real app: who is let in, what is answered, what reaches the ledger.

mod answers;
mod entries;
mod recording;
mod sources;
mod starting;
