//! Whether a record is one that was delivered before.
//!
//! Microsoft puts one record into several contents, and announces records again days later under
//! other content ids and with another key order; removing the repetitions is the receiver's job. A
//! record is known by its [`Key`]: tenant, content type, `Id` and `CreationTime`. The rest of the
//! record, the order of its keys and their spelling do not matter. A record that lacks one of them
//! is no duplicate of any other; it is only known again in its own place, when its content has to
//! be fetched once more after a part of it arrived.
//!
//! A [`Window`] remembers the keys of confirmed records, bounded in time and in number, and
//! compares them exactly: a filter that errs now and then would lose a record each time. It costs
//! at most 32 bytes for each record it may remember (I7).
//!
//! Nothing here knows what a confirmation is or where keys are kept; time is an argument.

use std::{num::NonZeroUsize, time::Duration};

mod key;
mod window;

pub use key::{Key, Keys, Secret};
pub use window::{Met, Owner, Window};

/// How long and how many delivered records are remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The window in time: a record that comes again within it is recognised. It is forgotten
    /// within a hundredth of this afterwards.
    pub remember: Duration,
    /// The window in number, which bounds its memory. When it is full, the oldest hundredth is
    /// forgotten at once.
    pub remember_max: NonZeroUsize,
}
