//! The few top-level fields of a record that decisions are made on.
//!
//! One scan forward, as far as needed, without building anything: a record is forwarded, not
//! understood. What is not JSON ends the scan early and is no error here; the fields found before
//! it count. Keys are compared as spelled, so one written with escapes is not found.

use std::borrow::Cow;

use crate::split::block::{BLOCK, marks_at_front};

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
        let mut head = Self::default();
        let Some(mut fields) = Fields::of(record) else {
            return head;
        };
        while !head.is_complete()
            && let Some((key, value)) = fields.read_next()
        {
            let slot = match key {
                b"CreationTime" => &mut head.creation_time,
                b"Id" => &mut head.id,
                b"Workload" => &mut head.workload,
                _ => continue,
            };
            if slot.is_none() {
                *slot = value.map(unescaped);
            }
        }
        head
    }

    const fn is_complete(&self) -> bool {
        self.id.is_some() && self.creation_time.is_some() && self.workload.is_some()
    }
}

/// The top-level fields of an object, in order.
struct Fields<'a> {
    record: &'a [u8],
    at: usize,
    marks: Marks,
}

impl<'a> Fields<'a> {
    fn of(record: &'a [u8]) -> Option<Self> {
        let record = record.trim_ascii_start();
        record.starts_with(b"{").then(|| Self { record, at: 1, marks: Marks::new(record) })
    }

    /// A key as spelled, and its value as spelled between the quotes if it is a string.
    fn read_next(&mut self) -> Option<(&'a [u8], Option<&'a [u8]>)> {
        if self.skip_blanks()? == b',' {
            self.at += 1;
            self.skip_blanks()?;
        }
        let key = self.read_string()?;
        if self.skip_blanks()? != b':' {
            return None;
        }
        self.at += 1;
        if self.skip_blanks()? == b'"' {
            let value = self.read_string()?;
            return Some((key, Some(value)));
        }
        self.skip_value()?;
        Some((key, None))
    }

    /// Moves to the next byte that is no white space, and returns it.
    fn skip_blanks(&mut self) -> Option<u8> {
        loop {
            let byte = *self.record.get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn read_string(&mut self) -> Option<&'a [u8]> {
        if self.record.get(self.at) != Some(&b'"') {
            return None;
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            end = self.marks.next(self.record, end)?;
            if self.record[end] == b'"' {
                self.at = end + 1;
                return Some(&self.record[start..end]);
            }
            end += 2;
        }
    }

    /// Passes over a value that is no string, to what follows it.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            let telling = |byte: &u8| matches!(byte, b'"' | b',' | b'{' | b'}' | b'[' | b']');
            self.at += self.record[self.at..].iter().position(telling)?;
            match self.record[self.at] {
                b',' | b'}' | b']' if depth == 0 => return Some(()),
                b'"' => {
                    self.read_string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }
}

/// Where quotes and backslashes stand, found a block at a time.
struct Marks {
    base: usize,
    bits: u64,
}

impl Marks {
    fn new(record: &[u8]) -> Self {
        Self { base: 0, bits: marks_at_front(record) }
    }

    /// The first at or behind `from`, which never goes back to an earlier block.
    #[inline]
    fn next(&mut self, record: &[u8], from: usize) -> Option<usize> {
        if from < self.base + BLOCK {
            let bits = self.bits >> (from - self.base);
            if bits != 0 {
                return Some(from + bits.trailing_zeros() as usize);
            }
        }
        let mut base = (from / BLOCK * BLOCK).max(self.base + BLOCK);
        loop {
            let bits = marks_at_front(record.get(base..).filter(|rest| !rest.is_empty())?);
            (self.base, self.bits) = (base, bits);
            let bits = if from > base { bits >> (from - base) } else { bits };
            if bits != 0 {
                return Some(from.max(base) + bits.trailing_zeros() as usize);
            }
            base += BLOCK;
        }
    }
}

/// Resolves the escapes of a string; one that JSON does not know stays as it is.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', text) else {
        return Cow::Borrowed(text);
    };
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
    Cow::Owned(resolved)
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
        check(r#"{"Id\"":"no","XId":"no","id":"no","Id ":"no"}"#, ["-", "-", "-"]);
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

    proptest! {
        #[test]
        fn marks_are_where_quotes_and_backslashes_are(
            record in r#"\PC?["\\a]{1,300}"#,
            steps in prop::collection::vec(0_usize..150, 0..20),
        ) {
            let record = record.as_bytes();
            let mut marks = Marks::new(record);
            let mut from = 0;
            for step in steps {
                from += step;
                let expected = record.iter().skip(from).position(|byte| b"\"\\".contains(byte));
                let expected = expected.map(|position| from + position);
                prop_assert_eq!(marks.next(record, from), expected);
                let Some(found) = expected else { break };
                from = found;
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
