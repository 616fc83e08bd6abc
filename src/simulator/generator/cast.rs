//! Who acts in a record and from where: users of example domains, addresses of example networks.

use std::fmt::Write as _;

use rand::{Rng as _, RngExt as _, rngs::Xoshiro256PlusPlus};
use uuid::Builder;

use super::Shape;
use crate::content::TenantId;

/// The people and machines of one record.
pub(super) struct Cast {
    pub(super) tenant: String,
    pub(super) domain: String,
    pub(super) user: String,
    pub(super) user_key: String,
    pub(super) client_ip: String,
}

impl Cast {
    pub(super) fn new(
        rng: &mut Xoshiro256PlusPlus,
        tenant: TenantId,
        shape: Shape,
        serial: u64,
    ) -> Self {
        let tenant = tenant.to_string();
        let mark: String = tenant.chars().take(8).collect();
        let domain = format!("t{mark}.example.com");
        let user = format!("{}.{:02}@{domain}", one_of(rng, &ROLES), rng.random_range(1..60));
        let user_key = format!("1003{:012X}", rng.random_range(0..0xffff_ffff_ffff_u64));
        let client_ip = match shape {
            Shape::ClientIp => odd_address(rng, serial),
            _ => usual_address(rng),
        };
        Self { tenant, domain, user, user_key, client_ip }
    }
}

pub(super) fn one_of<T: Copy>(rng: &mut Xoshiro256PlusPlus, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}

pub(super) fn guid(rng: &mut Xoshiro256PlusPlus) -> String {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A GUID whose last group is this serial number.
pub(super) fn guid_with(rng: &mut Xoshiro256PlusPlus, serial: &str) -> String {
    let mut guid = guid(rng);
    guid.truncate(guid.len() - super::SERIAL);
    guid.push_str(serial);
    guid
}

pub(super) fn word(rng: &mut Xoshiro256PlusPlus) -> String {
    let mut word = one_of(rng, &WORDS).to_string();
    write!(word, "-{}", rng.random_range(1..1000)).expect("writing to a string does not fail");
    word
}

pub(super) fn user_agent(rng: &mut Xoshiro256PlusPlus) -> &'static str {
    one_of(rng, &AGENTS)
}

fn v4(rng: &mut Xoshiro256PlusPlus) -> String {
    let network = one_of(rng, &["192.0.2", "198.51.100", "203.0.113"]);
    format!("{network}.{}", rng.random_range(1..255))
}

fn v6(rng: &mut Xoshiro256PlusPlus) -> String {
    let [one, other] = [0; 2].map(|_| rng.random_range(1..0xffff));
    format!("2001:db8:{one:x}::{other:x}")
}

fn port(rng: &mut Xoshiro256PlusPlus) -> u16 {
    rng.random_range(1024..u16::MAX)
}

fn usual_address(rng: &mut Xoshiro256PlusPlus) -> String {
    match rng.random_range(0..10) {
        0..=1 => v6(rng),
        2 => format!("{}:{}", v4(rng), port(rng)),
        _ => v4(rng),
    }
}

fn odd_address(rng: &mut Xoshiro256PlusPlus, serial: u64) -> String {
    match serial % 7 {
        0 => v4(rng),
        1 => v6(rng),
        2 => format!("{}:{}", v4(rng), port(rng)),
        3 => format!("[{}]:{}", v6(rng), port(rng)),
        4 => format!("::ffff:{}", v4(rng)),
        5 => String::new(),
        _ => "<null>".to_owned(),
    }
}

const ROLES: [&str; 8] = [
    "accounts",
    "backoffice",
    "frontdesk",
    "helpdesk",
    "logistics",
    "payroll",
    "planning",
    "warehouse",
];

const WORDS: [&str; 12] = [
    "amber", "basalt", "cedar", "delta", "ember", "fjord", "granite", "harbor", "indigo",
    "juniper", "kelp", "lagoon",
];

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/17.5 Safari/605.1.15",
    "ExampleSync/4.2 (Windows 11; en-US)",
    "ExampleMail/16.0 (build 17726; Android 14)",
];
