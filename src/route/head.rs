//! The few top-level fields of a record that decisions are made on.
//!
//! One scan forward, as far as needed, without building anything: a record is forwarded, not
//! understood. A block of bytes at a time, only brackets are followed and the few strings at the top
//! that begin like one of the keys are looked at. What is not JSON is no error here, and what reads
//! like a field at its top counts. Keys are compared as spelled, so one written with escapes is not
//! found.

use std::borrow::Cow;

use fearless_simd::{Level, Simd, dispatch};

use crate::split::{
    block::{BLOCK, Block, any_at_front, marks_at_front},
    strings::Strings,
};

#[cfg(test)]
mod fields;

/// What is known of a record.
///
/// Values are texts with their escapes resolved; a value of another kind counts as absent, and of
/// a repeated key the first text counts. They are bytes because invalid UTF-8 is passed on; a lone
/// surrogate escape becomes the three bytes it would have in UTF-8, so that different texts stay
/// different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head<'a> {
    /// `Id`
    pub id: Option<Cow<'a, [u8]>>,
    /// `CreationTime`
    pub creation_time: Option<Cow<'a, [u8]>>,
    /// `Workload`
    pub workload: Option<Cow<'a, [u8]>>,
}

impl<'a> Head<'a> {
    /// Reads the head of a record; of anything but an object it is empty.
    pub fn read(record: &'a [u8]) -> Self {
        let record = record.trim_ascii_start();
        if !record.starts_with(b"{") {
            return Self::default();
        }
        dispatch!(Level::new(), simd => Self::read_with(simd, record))
    }

    #[inline(always)]
    fn read_with<S: Simd>(simd: S, record: &'a [u8]) -> Self {
        let mut head = Self::default();
        let mut strings = Strings::outside();
        let mut depth = 0_usize;
        for base in (0..record.len()).step_by(BLOCK) {
            let bytes = &record[base..];
            let block = Block::at_front(simd, bytes);
            let text = strings.read(&block, bytes.len());
            let closing = block.closing & !text.inside;
            let opening = block.opening & !text.inside;
            // Of a quote at the end of the block it is not known here what follows.
            let before_initial = any_at_front(simd, bytes, INITIALS) >> 1 | 1 << (BLOCK - 1);
            let keys = block.quotes & text.inside & !text.escaped & before_initial;
            let closed = closing.count_ones() as usize;
            if closed + usize::from(keys != 0) < depth {
                // However the brackets stand, there is no top here, or no key at it.
                depth = depth - closed + opening.count_ones() as usize;
                continue;
            }
            let mut stops = closing | opening | keys;
            while stops != 0 {
                let bit = stops & stops.wrapping_neg();
                stops ^= bit;
                let at = base + bit.trailing_zeros() as usize;
                if bit & keys != 0 {
                    if depth == 1 && head.note(simd, record, at + 1) && head.is_complete() {
                        return head;
                    }
                } else if bit & opening != 0 {
                    depth += 1;
                } else {
                    depth -= 1;
                    if depth == 0 {
                        return head;
                    }
                }
            }
        }
        head
    }

    /// Notes the field whose key begins here, if it is one of ours; whether it is.
    #[inline(always)]
    fn note<S: Simd>(&mut self, simd: S, record: &'a [u8], at: usize) -> bool {
        let rest = &record[at..];
        let (slot, after) = if let Some(after) = rest.strip_prefix(b"Id\"") {
            (&mut self.id, after)
        } else if let Some(after) = rest.strip_prefix(b"CreationTime\"") {
            (&mut self.creation_time, after)
        } else if let Some(after) = rest.strip_prefix(b"Workload\"") {
            (&mut self.workload, after)
        } else {
            return false;
        };
        // What no colon follows is no key, but a text that reads like one.
        let value = after.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        let text = value.and_then(|value| value.strip_prefix(b"\"")).and_then(
            #[inline(always)]
            |text| until_quote(simd, text),
        );
        if let Some(text) = text
            && slot.is_none()
        {
            *slot = Some(text);
        }
        true
    }

    const fn is_complete(&self) -> bool {
        self.id.is_some() && self.creation_time.is_some() && self.workload.is_some()
    }
}

/// The string that begins here, up to its quote, with its escapes resolved; none if it does not end.
#[inline(always)]
fn until_quote<S: Simd>(simd: S, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut at = 0;
    let mut first_escape = None;
    loop {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
        match marks_at_front(simd, rest) {
            0 => at += BLOCK,
            marks => {
                at += marks.trailing_zeros() as usize;
                if bytes[at] == b'"' {
                    let text = &bytes[..at];
                    return Some(match first_escape {
                        Some(first) => unescaped(text, first).into(),
                        None => text.into(),
                    });
                }
                first_escape.get_or_insert(at);
                at += 2;
            }
        }
    }
}

/// Resolves the escapes of a string, given where the first one is; one that JSON does not know stays
/// as it is.
#[cold]
fn unescaped(text: &[u8], first: usize) -> Vec<u8> {
    let (plain, mut rest) = text.split_at(first);
    let mut resolved = Vec::with_capacity(text.len());
    resolved.extend_from_slice(plain);
    while let [byte, after @ ..] = rest {
        rest = match escape(rest) {
            Some((code_point, after)) => {
                push(&mut resolved, code_point);
                after
            }
            None => {
                resolved.push(*byte);
                after
            }
        };
    }
    resolved
}

/// The code point of the escape at the front, and what follows it.
fn escape(text: &[u8]) -> Option<(u32, &[u8])> {
    let (code_point, after) = match text.strip_prefix(b"\\")? {
        [byte @ (b'"' | b'\\' | b'/'), after @ ..] => (u32::from(*byte), after),
        [b'b', after @ ..] => (0x08, after),
        [b'f', after @ ..] => (0x0C, after),
        [b'n', after @ ..] => (0x0A, after),
        [b'r', after @ ..] => (0x0D, after),
        [b't', after @ ..] => (0x09, after),
        _ => {
            let (unit, after) = code_unit(text)?;
            match (unit, code_unit(after)) {
                (high @ 0xD800..0xDC00, Some((low @ 0xDC00..0xE000, after))) => {
                    (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), after)
                }
                _ => (unit, after),
            }
        }
    };
    Some((code_point, after))
}

/// The UTF-16 code unit of the `\uXXXX` at the front, and what follows it.
fn code_unit(text: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, after) = text.strip_prefix(b"\\u")?.split_first_chunk::<4>()?;
    let unit = digits
        .iter()
        .try_fold(0, |unit, &digit| Some(unit << 4 | char::from(digit).to_digit(16)?))?;
    Some((unit, after))
}

/// Appends a code point in UTF-8; a surrogate in the same pattern, although UTF-8 has none.
fn push(text: &mut Vec<u8>, code_point: u32) {
    match char::from_u32(code_point) {
        Some(char) => text.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        None => {
            let continuation = |bits: u32| 0x80 | (bits & 0x3F) as u8;
            text.extend([0xED, continuation(code_point >> 6), continuation(code_point)]);
        }
    }
}

/// What the keys begin with.
const INITIALS: [u8; 3] = *b"CIW";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_fields_are_found_wherever_they_are() {
        check(
            r#"{"CreationTime":"2024-05-01T10:00:00","Id":"a","Workload":"Exchange"}"#,
            ["a", "2024-05-01T10:00:00", "Exchange"],
        );
        check(
            r#"{"x":[1,{"Id":"no"},"]}"],"Workload":"W","y":{"z":{}},"Id":"i","n":-1.5,"t":true,"CreationTime":"c"}"#,
            ["i", "c", "W"],
        );
        check("{ \"Id\" : \"i\" ,\n\t\"n\" : 1 , \"Workload\" :\"W\" }", ["i", "-", "W"]);
    }

    #[test]
    fn texts_and_nested_objects_do_not_pass_for_fields() {
        check(
            r#"{"a":"\"Workload\":\"no\"","b":",\"Id\":\"no\",","c":{"Workload":"no"}}"#,
            ["-", "-", "-"],
        );
        check(r#"{"a":"x\\","Id":"i"}"#, ["i", "-", "-"]);
        check(r#"{"Id\"":"no","\"Id":"no","XId":"no","id":"no","Id ":"no"}"#, ["-", "-", "-"]);
        check(r#"{"a":"Id","Workload":"CreationTime","b":"no"}"#, ["-", "-", "CreationTime"]);
        check(r#"{"\u0049d":"not looked for"}"#, ["-", "-", "-"]);
    }

    #[test]
    fn the_first_text_of_a_repeated_key_counts() {
        check(r#"{"Id":"first","Id":"second"}"#, ["first", "-", "-"]);
        check(r#"{"Id":"","Id":"second"}"#, ["", "-", "-"]);
        check(r#"{"Id":null,"Id":5,"Id":["x"],"Id":"text"}"#, ["text", "-", "-"]);
    }

    #[test]
    fn what_is_no_object_has_no_head() {
        for record in
            ["", "null", "1", r#""Id""#, r#"["Id","x"]"#, "{", "{}", "{]", r#"[{"Id":"x"}]"#]
        {
            check(record, ["-", "-", "-"]);
        }
    }

    #[test]
    fn what_comes_before_malformed_text_counts() {
        for rest in [
            "",
            ",",
            ",\"",
            ",\"W",
            ",\"Workload\"",
            ",\"Workload\":",
            ",\"Workload\":\"W",
            ",\"Workload\":\"W\\",
            ",x",
            ":",
            "]",
            ",\"a\":[",
            ",\"a\":{\"Workload\":\"W\"",
            ",\"a\":]]",
        ] {
            check(&format!(r#"{{"Id":"i"{rest}"#), ["i", "-", "-"]);
        }
    }

    #[test]
    fn escapes_are_resolved() {
        check(
            r#"{"Id":"a\/\"\\b\b\f\n\r\t","Workload":"\u0057\u00e9\ud834\uDD1E","CreationTime":"\q\u12\u123g\"}"#,
            ["a/\"\\b\u{8}\u{c}\n\r\t", "-", "Wé𝄞"],
        );
        check(r#"{"Id":"\q\u12\u123g\u"}"#, [r"\q\u12\u123g\u", "-", "-"]);
        let lone = Head::read(br#"{"Id":"\ud834x\udd1e\ud834\ud834\udd1e"}"#).id.unwrap();
        assert_eq!(&*lone, b"\xed\xa0\xb4x\xed\xb4\x9e\xed\xa0\xb4\xf0\x9d\x84\x9e");
    }

    #[test]
    fn without_escapes_nothing_is_copied() {
        let head = Head::read(b"{\"Id\":\"\xff\xc3\"}");
        assert!(matches!(head.id, Some(Cow::Borrowed(b"\xff\xc3"))));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_without_panic(
            text in r#"\{?("(Id|Workload)?"?|[:,{}\[\]\\"a ]|\\u[dD]8|00){0,30}"#,
            bytes: Vec<u8>,
        ) {
            Head::read(text.as_bytes());
            Head::read(&bytes);
        }

        #[test]
        fn any_text_is_read_as_meant(id: String, time: String, other: String) {
            let record = serde_json::json!({
                "A": { "Id": other, "Workload": [other] },
                "CreationTime": time,
                "Id": id,
                "Z": other,
            });
            for record in [record.to_string(), format!("{record:#}")] {
                let head = Head::read(record.as_bytes());
                prop_assert_eq!(head.id.as_deref(), Some(id.as_bytes()));
                prop_assert_eq!(head.creation_time.as_deref(), Some(time.as_bytes()));
                prop_assert_eq!(head.workload, None);
            }
        }
    }

    /// Values with keys of ours at any depth, and strings that read like them.
    fn json() -> impl Strategy<Value = serde_json::Value> {
        let text = r#"Id|CreationTime|Workload|"Id":"[a-z\\\\"\[\]{},:\PC]{0,70}"#;
        let leaf = prop_oneof![Just(serde_json::Value::Null), text.prop_map(Into::into)];
        leaf.prop_recursive(3, 40, 8, move |inner| {
            let object = prop::collection::btree_map(text, inner.clone(), 0..8);
            prop_oneof![
                prop::collection::vec(inner, 0..4).prop_map(Into::into),
                object.prop_map(|fields| serde_json::Map::from_iter(fields).into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_scan_by_blocks_finds_what_one_by_fields_does(record in json()) {
            for record in [record.to_string(), format!("{record:#}")] {
                let fields = fields::Fields::of(record.as_bytes());
                let expected = fields.map(fields::Fields::head).unwrap_or_default();
                prop_assert_eq!(Head::read(record.as_bytes()), expected, "{}", record);
            }
        }
    }

    /// Expects id, creation time and workload; "-" for an absent one.
    #[track_caller]
    fn check(record: &str, expected: [&str; 3]) {
        let head = Head::read(record.as_bytes());
        let found = [head.id, head.creation_time, head.workload].map(|field| {
            field.map_or_else(|| "-".to_owned(), |text| String::from_utf8_lossy(&text).into_owned())
        });
        assert_eq!(found, expected, "{record}");
    }
}
