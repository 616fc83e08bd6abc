//! The attacks, each by its name, against the real binary.
//!
//! Every target has listeners on the addresses that an attack would like to see dialled; each test
//! ends by asking them, and the memory of the process.

mod bombs;
mod certificates;
mod crowd;
mod entries;
mod flood;
mod logs;
mod requests;
mod smuggling;
mod sources;
mod target;
