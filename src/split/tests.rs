use proptest::{collection::vec, prelude::*};
use serde_json::Value;

use super::*;

#[test]
fn bodies_of_records() {
    check("[]", "= 0");
    check(" [ ] ", "= 0");
    check(r#"[{"a":1},{"b":[2,{}]}]"#, r#"{"a":1} | {"b":[2,{}]} = 2"#);
    check(r#"{"a":1}"#, r#"{"a":1} = 1"#);
    check("\u{feff}[{}]", "{} = 1");
    check("\u{feff}\r\n{}", "{} = 1");
    check("[{}][{}]\n{}{}\n[]", "{} | {} | {} | {} = 4");
    check("{\"a\":1}\n{\"b\":2}\r\n", r#"{"a":1} | {"b":2} = 2"#);
}

#[test]
fn what_stands_in_no_array_is_marked() {
    let mut splitter = Splitter::new(100);
    let mut rest = &b"\xef\xbb\xbf {} [{},1] {}"[..];
    let mut marks = Vec::new();
    while let Some(piece) = splitter.next(&mut rest).unwrap() {
        marks.push(matches!(piece, Piece::Record { bare: true, .. }));
    }
    assert_eq!(marks, [true, false, false, true]);
}

#[test]
fn white_space_between_tokens_is_dropped() {
    check(
        "[\r\n  {\r\n\t\"a b\" : [ 1 , 2 ] ,\n    \"c\": \" x \"\n  }\n]\n",
        r#"{"a b":[1,2],"c":" x "} = 1"#,
    );
}

#[test]
fn spelling_is_kept() {
    for record in [
        r#"{"b":1,"a":2,"b":3}"#,
        r#"{"n":[1.0,1e5,-0,12345678901234567890123]}"#,
        r#"{"e":"\/\u00e9\ud800\"\\"}"#,
        r#"{"k\"}":"]}{[,"}"#,
        "{\"u\":\"é\u{2028}\u{7f}\u{85}𝄞\"}",
    ] {
        check(&format!("[{record}]"), &format!("{record} = 1"));
    }
    let invalid = b"{\"a\":\"\xff\xed\xa0\x80\xc3\"}";
    let body = [&b"["[..], invalid, b"]"].concat();
    let (pieces, end) = split(&[&body], 100);
    assert_eq!((pieces, end), (vec![Ok(invalid.to_vec())], Ok(1)));
}

#[test]
fn elements_that_are_no_objects_are_records() {
    check(
        r#"[null,true , false,-1.5e+3,"a,]\"b",[1,[2]],0]"#,
        r#"null | true | false | -1.5e+3 | "a,]\"b" | [1,[2]] | 0 = 7"#,
    );
    check("[[],{},\"\"]", "[] | {} | \"\" = 3");
}

#[test]
fn raw_control_characters_in_strings_are_escaped() {
    check(
        "[{\"a\":\"1\n2\r3\t4\u{8}5\u{c}6\0\u{1f}\"}]",
        r#"{"a":"1\n2\r3\t4\b5\f6\u0000\u001f"} = 1"#,
    );
    check("[\"\n\"]", r#""\n" = 1"#);
    // A backslash before a raw newline is no escape; both stay what they are.
    check("[\"a\\\nb\"]", r#""a\\\nb" = 1"#);
}

#[test]
fn a_control_character_outside_strings_kills_its_record_only() {
    check(
        "[{\"a\":1},{\"b\":\0 2,\"c\":\"}\"},{\"d\":3}]",
        r#"{"a":1} | !malformed_record | {"d":3} = 3"#,
    );
    check("[nu\u{1}ll,1]", "!malformed_record | 1 = 2");
    check("{\u{1}}", "!malformed_record = 1");
}

#[test]
fn a_large_record_is_skipped_alone() {
    let fits = r#"{"a":"12345678"}"#;
    let large = r#"{"a":"123456789"}"#;
    assert_eq!(fits.len(), 16);
    let body = format!("[{fits},{large},{fits}]");
    let outcome = format!("{fits} | !record_too_large | {fits} = 3");
    check_capped(&body, 16, &outcome);
    // Its size is the forwarded one: white space does not count, escapes do.
    check_capped("[ { \"a\" : \"12345678\" } ]", 16, &format!("{fits} = 1"));
    check_capped("[{\"a\":\"123456\n\"}]", 16, r#"{"a":"123456\n"} = 1"#);
    check_capped("[{\"a\":\"1234567\n\"}]", 16, "!record_too_large = 1");
    check_capped("[12345,123456,1]", 5, "12345 | !record_too_large | 1 = 3");
    // The first thing wrong with a record is the reason.
    check_capped("[[1,\0 2,3,4,5,6,7]]", 5, "!malformed_record = 1");
    check_capped("[[1 ,2,3,4,5,6,7,\0 8]]", 5, "!record_too_large = 1");
}

#[test]
fn commas_between_elements_carry_no_information() {
    check("[{}{}]", "{} | {} = 2");
    check("[,{},,{},]", "{} | {} = 2");
    check("[1 2]", "1 | 2 = 2");
    check(r#"[null"a"[1]]"#, r#"null | "a" | [1] = 3"#);
}

#[test]
fn a_body_without_its_end_was_cut() {
    for body in [
        "",
        " \r\n\t",
        "\u{feff}",
        "[",
        "[{}",
        "[{},",
        "[{\"a",
        "[{\"a\\",
        "{",
        "{\"a\":[1}",
        "[1",
        "[{}][",
    ] {
        let (_, end) = split(&[body.as_bytes()], 100);
        assert_eq!(end, Err(SplitError::Cut), "{body:?}");
    }
    assert_eq!(split(&[b"\xef\xbb"], 100).1, Err(SplitError::Cut));
    assert_eq!(SplitError::Cut.reason(), Reason::CutBody);
}

#[test]
fn a_body_of_something_else_is_undecodable() {
    check("<html>[{}]</html>", "undecodable at 0");
    check("Service Unavailable", "undecodable at 0");
    check("null", "undecodable at 0");
    check("\"text\"", "undecodable at 0");
    check("[{}] x", "{} undecodable at 5");
    check("[{}],[{}]", "{} undecodable at 4");
    check("[{}]]", "{} undecodable at 4");
    check("[{}]\0", "{} undecodable at 4");
    check("[{}\0,{}]", "{} undecodable at 3");
    check("[1:2]", "1 undecodable at 2");
    check("[}]", "undecodable at 1");
    check("{}\u{feff}{}", "{} | {} = 2");
    check("[{}\u{feff}]", "{} undecodable at 3");
    let utf16: Vec<u8> = "\u{feff}[]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let undecodable = SplitError::Undecodable { offset: 0 };
    assert_eq!(split(&[&utf16], 100).1, Err(undecodable));
    assert_eq!(undecodable.reason(), Reason::Undecodable);
}

#[test]
fn an_error_is_repeated() {
    let mut splitter = Splitter::new(100);
    let mut input: &[u8] = b" x";
    for _ in 0..2 {
        let error = splitter.next(&mut input).unwrap_err();
        assert_eq!(error, SplitError::Undecodable { offset: 1 });
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let (pieces, end) = split(&[b"[", deep.as_bytes(), b"]"], usize::MAX);
    assert_eq!(pieces, [Ok(deep.into_bytes())]);
    assert_eq!(end, Ok(1));
}

#[test]
fn memory_after_a_large_record_shrinks() {
    let mut splitter = Splitter::new(16 << 20);
    let mut large: &[u8] = &[&b"[\""[..], &vec![b'x'; 8 << 20]].concat();
    assert_eq!(splitter.next(&mut large), Ok(None));
    assert!(splitter.carried() >= 8 << 20);
    let mut rest: &[u8] = b"\",1]";
    assert!(matches!(splitter.next(&mut rest), Ok(Some(Piece::Record { index: 0, .. }))));
    assert!(splitter.next(&mut rest).is_ok());
    assert!(splitter.carried() <= 64 * 1024, "{}", splitter.carried());
}

#[test]
fn a_record_within_a_chunk_is_not_copied() {
    let body = br#"[{"a":1},{"b":2}]"#;
    let mut splitter = Splitter::new(100);
    let mut input: &[u8] = body;
    while splitter.next(&mut input).unwrap().is_some() {}
    assert_eq!(splitter.carried(), 0);
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_pieces(body in near_json(), cuts in vec(0_usize..40, 0..40)) {
        let whole = split(&[&body], 24);
        prop_assert_eq!(&split(&cut(&body, &cuts), 24), &whole);
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        prop_assert_eq!(&split(&bytes, 24), &whole);
    }

    #[test]
    fn records_are_the_compact_serialisation(
        records in vec(value(), 0..8),
        cuts in vec(0_usize..200, 0..20),
    ) {
        let compact: Vec<_> = records
            .iter()
            .map(|record| Ok(serde_json::to_vec(record).unwrap()))
            .collect();
        let expected = (compact, Ok(records.len() as u64));
        for body in [
            serde_json::to_vec(&records).unwrap(),
            serde_json::to_vec_pretty(&records).unwrap(),
        ] {
            prop_assert_eq!(&split(&cut(&body, &cuts), 1 << 20), &expected);
        }
    }

    #[test]
    fn escaping_keeps_the_meaning_of_a_string(text: String) {
        let raw = text.replace('\\', r"\\").replace('"', r#"\""#);
        let (pieces, end) = split(&[b"[\"", raw.as_bytes(), b"\"]"], 1 << 20);
        prop_assert_eq!(end, Ok(1));
        let record = pieces[0].as_ref().unwrap();
        prop_assert_eq!(serde_json::from_slice::<String>(record).unwrap(), text);
    }

    #[test]
    fn whatever_comes_is_one_line_and_capped(
        body in prop_oneof![near_json(), vec(any::<u8>(), 0..400)],
        cuts in vec(0_usize..40, 0..40),
        max in 0_usize..40,
    ) {
        for piece in split(&cut(&body, &cuts), max).0 {
            let Ok(record) = piece else { continue };
            prop_assert!(record.len() <= max);
            prop_assert!(!record.is_empty());
            prop_assert!(record.iter().all(|&byte| byte >= b' '));
        }
    }
}

type Pieces = Vec<Result<Vec<u8>, Reason>>;

/// Splits a body given in chunks, watching that never more than the cap is carried.
fn split(chunks: &[&[u8]], max: usize) -> (Pieces, Result<u64, SplitError>) {
    let mut splitter = Splitter::new(max);
    let mut pieces = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        loop {
            let (index, piece) = match splitter.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Piece::Record { index, bytes, .. })) => (index, Ok(bytes.to_vec())),
                Ok(Some(Piece::Dead { index, reason })) => (index, Err(reason)),
                Err(error) => return (pieces, Err(error)),
            };
            assert_eq!(index, pieces.len() as u64);
            pieces.push(piece);
            assert!(splitter.carried() <= max);
        }
        assert!(input.is_empty(), "all input is consumed");
        assert!(splitter.carried() <= max);
    }
    (pieces, splitter.finish())
}

fn cut<'a>(mut body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &length in cuts {
        let (chunk, rest) = body.split_at(length.min(body.len()));
        chunks.push(chunk);
        body = rest;
    }
    chunks.push(body);
    chunks
}

#[track_caller]
fn check(body: &str, expected: &str) {
    check_capped(body, 1000, expected);
}

#[track_caller]
fn check_capped(body: &str, max: usize, expected: &str) {
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    for chunks in [&[body.as_bytes()][..], &bytes] {
        let (pieces, end) = split(chunks, max);
        let pieces: Vec<String> = pieces
            .into_iter()
            .map(|piece| match piece {
                Ok(record) => String::from_utf8(record).unwrap(),
                Err(reason) => format!("!{reason}"),
            })
            .collect();
        let end = match end {
            Ok(seen) => format!("= {seen}"),
            Err(SplitError::Cut) => "cut".to_owned(),
            Err(SplitError::Undecodable { offset }) => format!("undecodable at {offset}"),
        };
        let outcome = format!("{} {end}", pieces.join(" | "));
        assert_eq!(outcome.trim_start(), expected, "{body:?}");
    }
}

/// Bytes that often look like JSON.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        &b"["[..],
        b"]",
        b"{",
        b"}",
        b"\"",
        b"\\",
        b",",
        b":",
        b" ",
        b"\n",
        b"\0",
        b"1",
        b"nul",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\"ab\"",
        b"{}",
        b"{\"k\":\"v\\n\"}",
        b"\\u00",
        b"\xc3\xa9",
        b"\"0123456789012345678901234\"",
        b"],[",
        b"},{",
    ]);
    (any::<bool>(), vec(token, 0..40)).prop_map(|(array, tokens)| {
        let body = tokens.concat();
        if array { [b"[", &body[..]].concat() } else { body }
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        r#"[\\"\[\]{}:, a]{0,12}"#.prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((r#"[\\"{}a-c]{0,4}"#, inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}
