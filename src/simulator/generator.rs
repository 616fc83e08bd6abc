//! Makes audit records that look like real ones, from a seed.
//!
//! Every record is one line of compact JSON, or of what Microsoft sometimes sends instead, and
//! differs from every other in its bytes and in its identity (`Id` with `CreationTime`), so that
//! "exactly once" can be counted. People and addresses are from the ranges reserved for examples.

use jiff::{SignedDuration, Timestamp};
use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

use crate::content::{ContentType, TenantId};

mod cast;
mod general;
mod json;
mod reorder;
mod shape;
mod stream;
mod workloads;

pub use reorder::reordered;
pub use shape::Shape;
pub use stream::Records;

use cast::Cast;
use json::Json;

/// A source of records. The same seed and calls give the same bytes.
#[derive(Debug)]
pub struct Generator {
    rng: Xoshiro256PlusPlus,
    serial: u64,
    now: Timestamp,
    last_id: Option<String>,
}

impl Generator {
    /// A generator whose records begin on a Monday morning in January 2026.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            serial: 0,
            now: Timestamp::constant(BEGINNING, 0),
            last_id: None,
        }
    }

    /// Lets the records begin at this time instead.
    #[must_use]
    pub fn starting(mut self, at: Timestamp) -> Self {
        self.now = at;
        self
    }

    /// A record of the mix one meets: mostly plain, now and then of any other shape.
    pub fn record(&mut self, tenant: TenantId, content_type: ContentType) -> Vec<u8> {
        self.draw(tenant, content_type).bytes
    }

    /// A record of a certain shape.
    pub fn record_of(
        &mut self,
        tenant: TenantId,
        content_type: ContentType,
        shape: Shape,
    ) -> Vec<u8> {
        self.draw_of(tenant, content_type, shape).bytes
    }

    /// Records of the mix.
    pub fn records(
        &mut self,
        tenant: TenantId,
        content_type: ContentType,
        count: usize,
    ) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.record(tenant, content_type)).collect()
    }

    /// A key for signing tokens.
    pub(super) fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.rng.fill_bytes(&mut key);
        key
    }

    fn draw(&mut self, tenant: TenantId, content_type: ContentType) -> Drawn {
        let shape = if self.rng.random_ratio(PLAIN, 100) {
            Shape::Plain
        } else {
            cast::one_of(&mut self.rng, &Shape::ALL)
        };
        self.draw_of(tenant, content_type, shape)
    }

    fn draw_of(&mut self, tenant: TenantId, content_type: ContentType, shape: Shape) -> Drawn {
        self.serial += 1;
        let step = self.rng.random_range(0..2000_i64);
        // A repeated id must at least get a time of its own, or it would be one record.
        let step = step + if shape == Shape::RepeatedId { 1000 } else { 0 };
        let now = self.now.saturating_add(SignedDuration::from_millis(step));
        self.now = now.unwrap_or(Timestamp::MAX);

        let serial = format!("{:0SERIAL$x}", self.serial);
        let (id, repeats) = match (&self.last_id, shape) {
            (Some(last), Shape::RepeatedId) => (last.clone(), true),
            (_, Shape::IdWithoutGuid) => (format!("mdm:{}_{serial}", self.rng.next_u32()), false),
            _ => (cast::guid_with(&mut self.rng, &serial), false),
        };
        let cast = Cast::new(&mut self.rng, tenant, shape, self.serial);
        let mut json = Json::new(shape);
        let record =
            workloads::Record { cast: &cast, shape, id: &id, time: self.now, serial: &serial };
        json.object(|json| record.write(json, &mut self.rng, content_type));
        let bytes = json.into_bytes();
        // The id is written once and before anything that could hold the same digits.
        let serial_at = memchr::memmem::find(&bytes, serial.as_bytes()).filter(|_| !repeats);
        if shape != Shape::WithoutId {
            self.last_id = Some(id);
        }
        Drawn { bytes, serial_at }
    }
}

/// A record, and where its serial number stands if it has one of its own.
struct Drawn {
    bytes: Vec<u8>,
    serial_at: Option<usize>,
}

/// 2026-01-05T08:00:00Z.
const BEGINNING: i64 = 1_767_600_000;

/// Plain records in a hundred, before the plain ones among the rest.
const PLAIN: u32 = 70;

/// Hexadecimal digits of the serial number: the last group of a GUID.
const SERIAL: usize = 12;

#[cfg(test)]
mod tests;
