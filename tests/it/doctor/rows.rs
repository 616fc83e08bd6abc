//! The table: how each world is broken, and what has to be said first about it.

use std::{future::Future, pin::Pin};

use m365_collector::simulator;

use super::world::World;

mod address;
mod devo;
mod feeds;
mod machine;
mod microsoft;
mod tenants;

/// One misconfiguration.
pub struct Row {
    pub name: &'static str,
    /// What the simulated world is like from the start.
    pub world: fn(&mut simulator::Config),
    /// What is done to it.
    pub harm: for<'w> fn(&'w mut World) -> Pin<Box<dyn Future<Output = ()> + 'w>>,
    pub outcome: &'static str,
    pub check: &'static str,
    /// Words of the cause.
    pub cause: &'static [&'static str],
    /// Words of the remedy.
    pub remedy: &'static [&'static str],
}

pub fn rows() -> Vec<Row> {
    [
        machine::rows(),
        microsoft::rows(),
        tenants::rows(),
        address::rows(),
        feeds::rows(),
        devo::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// `row!(name, failed check, [cause], [remedy], |world| …)`; with a change of the simulated world
/// before the last.
macro_rules! row {
    ($name:literal, $outcome:ident $check:ident, $cause:expr, $remedy:expr, |$w:ident| $harm:expr) => {
        row!($name, $outcome $check, $cause, $remedy, |_| (), |$w| $harm)
    };
    ($name:literal, $outcome:ident $check:ident, $cause:expr, $remedy:expr, $world:expr,
     |$w:ident| $harm:expr) => {
        $crate::doctor::rows::Row {
            name: $name,
            world: $world,
            harm: |$w| Box::pin(async move { $harm }),
            outcome: stringify!($outcome),
            check: stringify!($check),
            cause: &$cause,
            remedy: &$remedy,
        }
    };
}

use row;
