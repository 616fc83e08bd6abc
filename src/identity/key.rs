//! The identity of a record as 128 bits.
//!
//! A keyed hash, because `Id`s come from the network: who does not know the [`Secret`] cannot make
//! two records with one key, which would suppress the second. `SipHash` is made for exactly this
//! (short inputs, a secret key, a tag of 128 bits), and 128 bits leave no room for chance: among
//! five million keys two are equal with a probability below 10⁻²⁵.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::{content::Announcement, route::Head};

/// The identity of one record under a [`Secret`]. Equal keys mean the same record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key([u64; 2]);

impl Key {
    /// How many bytes a key is packed into.
    pub const SIZE: usize = 16;

    /// The packed form.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let [a, b] = self.0;
        (u128::from(a) | u128::from(b) << 64).to_le_bytes()
    }

    /// Reads the packed form.
    pub fn from_bytes(bytes: [u8; Self::SIZE]) -> Self {
        let (low, high) = bytes.split_at(Self::SIZE / 2);
        let half = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte));
        Self([half(low), half(high)])
    }

    /// Two numbers that are each spread evenly and know nothing of one another.
    pub(super) const fn halves(self) -> [u64; 2] {
        self.0
    }
}

impl Hash for Key {
    /// One half is even enough for any table.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[1], self.0[0])
    }
}

/// Makes the keys of the records of one content.
pub struct Keys<'a> {
    secret: &'a Secret,
    content: &'a Announcement,
    /// Has hashed what every record's identity begins with.
    record: SipHasher24,
}

impl<'a> Keys<'a> {
    /// Hashes what is common to all.
    pub fn new(secret: &'a Secret, content: &'a Announcement) -> Self {
        Self { secret, content, record: Message::of(secret, content, b"record").hashed() }
    }

    /// The identity of a record that came with this content; none if it has none.
    ///
    /// `Id` and `CreationTime` must both be there as texts, and not empty. Their escapes are
    /// resolved, so `\/` and `/` are one. Times are compared as texts: a trailing `Z` makes another
    /// record, because nobody has seen one record in both spellings, and a wrong merge loses a
    /// record where a missed one only sends it twice.
    pub fn of(&self, head: &Head<'_>) -> Option<Key> {
        let id = head.id.as_deref().filter(|id| !id.is_empty())?;
        let time = head.creation_time.as_deref().filter(|time| !time.is_empty())?;
        let mut message = Message::after(self.record);
        message.push_part(id);
        message.push_part(time);
        Some(message.key())
    }

    /// What a record without an identity has instead: its place in its content, and its bytes. It
    /// tells only that a content which is fetched once more has the same record in the same place.
    pub fn of_place(&self, index: u64, record: &[u8]) -> Key {
        let mut message = Message::of(self.secret, self.content, b"place");
        message.push_part(self.content.id.canonical().as_str().as_bytes());
        message.push_part(&index.to_le_bytes());
        message.push_part(record);
        message.key()
    }
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The state of the hasher is as good as the secret.
        f.debug_struct("Keys").field("content", self.content).finish_non_exhaustive()
    }
}

/// What the keys of one ledger are made with. Keys of another are of no use.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 16]);

impl From<[u8; 16]> for Secret {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is hashed, gathered: the hasher takes many short parts at several times the price of one.
struct Message {
    hasher: SipHasher24,
    gathered: [u8; GATHERED],
    length: usize,
}

impl Message {
    /// One of this kind that came with this content.
    fn of(secret: &Secret, content: &Announcement, kind: &[u8]) -> Self {
        let mut message = Self::after(SipHasher24::new_with_key(&secret.0));
        message.push(content.tenant.as_uuid().as_bytes());
        message.push_part(kind);
        message.push_part(content.content_type.as_str().as_bytes());
        message
    }

    /// Goes on where this hasher is.
    const fn after(hasher: SipHasher24) -> Self {
        Self { hasher, gathered: [0; GATHERED], length: 0 }
    }

    /// With its length before it no part can run into the next.
    fn push_part(&mut self, part: &[u8]) {
        self.push(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.push(part);
    }

    fn push(&mut self, part: &[u8]) {
        if part.len() > GATHERED - self.length {
            self.hasher.write(&self.gathered[..self.length]);
            self.length = 0;
        }
        match self.gathered[self.length..].split_at_mut_checked(part.len()) {
            Some((room, _)) => {
                room.copy_from_slice(part);
                self.length += part.len();
            }
            None => self.hasher.write(part),
        }
    }

    fn hashed(mut self) -> SipHasher24 {
        self.hasher.write(&self.gathered[..self.length]);
        self.hasher
    }

    fn key(self) -> Key {
        let hash = self.hashed().finish128();
        Key([hash.h1, hash.h2])
    }
}

/// Room for the usual identity; a longer one, and a whole record, is hashed from where it lies.
const GATHERED: usize = 128;

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::content::{ContentId, ContentType};

    fn content(tenant: u128, content_type: ContentType, id: &str) -> Announcement {
        Announcement {
            tenant: Uuid::from_u128(tenant).into(),
            content_type,
            id: ContentId::parse(id).unwrap(),
            created: Timestamp::UNIX_EPOCH,
            expires: Timestamp::UNIX_EPOCH,
        }
    }

    fn key(record: &str) -> Option<Key> {
        key_in(&content(1, ContentType::Exchange, "a"), record)
    }

    fn key_in(content: &Announcement, record: &str) -> Option<Key> {
        Keys::new(&Secret::from([7; 16]), content).of(&Head::read(record.as_bytes()))
    }

    const RECORD: &str = r#"{"Id":"a/b","CreationTime":"2026-01-05T08:00:00","Workload":"X"}"#;

    #[test]
    fn the_rest_of_a_record_and_its_spelling_do_not_matter() {
        for same in [
            r#"{"Workload":"Y","CreationTime":"2026-01-05T08:00:00","Id":"a/b"}"#,
            r#"{ "x": [1, {"Id": 2}], "Id" : "a\/b", "CreationTime":"2026-01-05T08:00:00" }"#,
            r#"{"CreationTime":"2026-01-05T08:00:\u00300","Id":"\u0061/b"}"#,
        ] {
            assert_eq!(key(same), key(RECORD), "{same}");
        }
    }

    #[test]
    fn each_part_of_the_identity_tells_records_apart() {
        for other in [
            r#"{"Id":"a/c","CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":"A/b","CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":"a/b","CreationTime":"2026-01-05T08:00:01"}"#,
            r#"{"Id":"a/b","CreationTime":"2026-01-05T08:00:00Z"}"#,
            // The border between the two moved.
            r#"{"Id":"a/b2","CreationTime":"026-01-05T08:00:00"}"#,
        ] {
            assert!(key(other).is_some());
            assert_ne!(key(other), key(RECORD), "{other}");
        }
        let here = key_in(&content(1, ContentType::Exchange, "a"), RECORD);
        assert_eq!(here, key_in(&content(1, ContentType::Exchange, "another"), RECORD));
        assert_ne!(here, key_in(&content(2, ContentType::Exchange, "a"), RECORD));
        assert_ne!(here, key_in(&content(1, ContentType::General, "a"), RECORD));
        let other_secret = Secret::from([8; 16]);
        let head = Head::read(RECORD.as_bytes());
        let content = content(1, ContentType::Exchange, "a");
        assert_ne!(here, Keys::new(&other_secret, &content).of(&head));
    }

    #[test]
    fn without_an_id_or_a_time_there_is_no_identity() {
        for record in [
            "{}",
            "null",
            r#"{"CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":"","CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":7,"CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":null,"CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"id":"a","CreationTime":"2026-01-05T08:00:00"}"#,
            r#"{"Id":"a"}"#,
            r#"{"Id":"a","CreationTime":""}"#,
            r#"{"Id":"a","CreationTime":1767600000}"#,
        ] {
            assert_eq!(key(record), None, "{record}");
        }
    }

    #[test]
    fn a_place_is_one_of_its_content_and_of_what_is_there() {
        let secret = Secret::from([7; 16]);
        let here = content(1, ContentType::Exchange, "a$na0018");
        let place = Keys::new(&secret, &here).of_place(1, b"{}");
        let notified = content(1, ContentType::Exchange, "a$na0018$na0018");
        assert_eq!(place, Keys::new(&secret, &notified).of_place(1, b"{}"));
        assert_ne!(place, Keys::new(&secret, &here).of_place(2, b"{}"));
        assert_ne!(place, Keys::new(&secret, &here).of_place(1, b"[]"));
        let other = content(1, ContentType::Exchange, "b");
        assert_ne!(place, Keys::new(&secret, &other).of_place(1, b"{}"));
    }

    #[test]
    fn keys_stay_the_same_from_version_to_version() {
        // Stored keys would be worthless otherwise.
        let packed = key(RECORD).unwrap().to_bytes();
        assert_eq!(u128::from_le_bytes(packed), EXPECTED);
    }

    const EXPECTED: u128 = 0xea0f_96cc_95a3_c750_4072_3649_0495_b7d3;

    proptest! {
        #[test]
        fn gathering_changes_no_key(parts in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..200), 0..8,
        )) {
            let secret = Secret::from([7; 16]);
            let mut hasher = SipHasher24::new_with_key(&secret.0);
            let mut message = Message::after(hasher);
            for part in &parts {
                hasher.write(part);
                message.push(part);
            }
            let hash = hasher.finish128();
            prop_assert_eq!(message.key(), Key([hash.h1, hash.h2]));
        }

        /// The whole message at once, as it was from the beginning.
        #[test]
        fn what_is_common_is_hashed_as_if_it_were_not(
            tenant: u128, id in "[ -~]{1,300}", time in "[ -~]{1,40}", index: u64,
        ) {
            let secret = Secret::from([7; 16]);
            for content_type in ContentType::ALL {
                let content = content(tenant, content_type, "a$b");
                let whole = |kind: &str, parts: [&[u8]; 2], record: &[u8]| {
                    let mut bytes = tenant.to_be_bytes().to_vec();
                    let all = [kind.as_bytes(), content_type.as_str().as_bytes()].into_iter();
                    for part in all.chain(parts).chain((kind == "place").then_some(record)) {
                        bytes.extend((part.len() as u64).to_le_bytes());
                        bytes.extend(part);
                    }
                    let hash = SipHasher24::new_with_key(&secret.0).hash(&bytes);
                    Key([hash.h1, hash.h2])
                };
                let keys = Keys::new(&secret, &content);
                let head = Head {
                    id: Some(id.as_bytes().into()),
                    creation_time: Some(time.as_bytes().into()),
                    workload: None,
                };
                let record = whole("record", [id.as_bytes(), time.as_bytes()], b"");
                prop_assert_eq!(keys.of(&head), Some(record));
                let place = whole("place", [b"a$b", &index.to_le_bytes()], id.as_bytes());
                prop_assert_eq!(keys.of_place(index, id.as_bytes()), place);
            }
        }

        #[test]
        fn packing_loses_nothing(bytes: [u8; 16]) {
            prop_assert_eq!(Key::from_bytes(bytes).to_bytes(), bytes);
        }
    }
}
