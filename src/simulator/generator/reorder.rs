//! The same record with its members in another order, as Microsoft repeats records.

/// Moves the first member of a record behind the last. Its identity stays, its bytes differ.
/// Anything but an object of two members or more comes back as it is.
pub fn reordered(record: &[u8]) -> Vec<u8> {
    let inner = record.strip_prefix(b"{").and_then(|rest| rest.strip_suffix(b"}"));
    let Some((inner, comma)) = inner.and_then(|inner| Some((inner, first_comma(inner)?))) else {
        return record.to_vec();
    };
    [b"{", &inner[comma + 1..], b",", &inner[..comma], b"}"].concat()
}

/// Where the first member ends.
fn first_comma(members: &[u8]) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    members.iter().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => return depth == 0,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_goes_last() {
        let check = |record: &str, expected: &str| {
            let reordered = reordered(record.as_bytes());
            assert_eq!(String::from_utf8(reordered).unwrap(), expected);
        };
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#);
        check(r#"{"a":"x\",","b":2}"#, r#"{"b":2,"a":"x\","}"#);
        check(r#"{"a":[{"c":1},2],"b":2,"d":3}"#, r#"{"b":2,"d":3,"a":[{"c":1},2]}"#);
        check(r#"{"a":1}"#, r#"{"a":1}"#);
        check("[1,2]", "[1,2]");
    }
}
