use proptest::{collection::vec, prelude::*};

use super::*;

proptest! {
    #[test]
    fn blocks_find_what_byte_by_byte_is_found(
        tokens in vec(token(), 0..60),
        cuts in vec(0_usize..130, 0..6),
        max in prop_oneof![0_usize..100, Just(10_000)],
        close in any::<bool>(),
    ) {
        let mut body = [b"{", &*tokens.concat()].concat();
        if close {
            body.extend(b"\"}]}]}]}");
        }
        let bytewise = read(&body, &cuts, max, Record::scan_bytes);
        prop_assert_eq!(read(&body, &cuts, max, Record::scan_blocks), bytewise);
        prop_assert_eq!(read(&body, &[], max, Record::scan_blocks), read(&body, &[], max, Record::scan_bytes));
    }
}

/// What comes of a record, and how many bytes behind it are left.
type Outcome = (Option<Result<Vec<u8>, Reason>>, usize);

fn read(
    mut body: &[u8],
    cuts: &[usize],
    max: usize,
    scan: fn(&mut Record, &[u8]) -> Scanned,
) -> Outcome {
    let mut record = Record::new(max);
    record.open(body[0]);
    // The first byte is always there when a record is opened.
    for length in cuts.iter().map(|length| length.max(&1)).chain([&usize::MAX]) {
        let (mut chunk, rest) = body.split_at((*length).min(body.len()));
        body = rest;
        if let Some(outcome) = record.read_with(&mut chunk, scan) {
            let outcome = outcome.map(<[u8]>::to_vec);
            return (Some(outcome), chunk.len() + body.len());
        }
        assert!(chunk.is_empty(), "all input is consumed");
    }
    (None, 0)
}

/// Pieces of JSON, so long that they meet the borders of blocks in every way.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let plain = (1_usize..70).prop_map(|length| vec![b'x'; length]);
    let blanks = (1_usize..150).prop_map(|length| vec![b' '; length]);
    let backslashes = (1_usize..70).prop_map(|length| vec![b'\\'; length]);
    let text = r#""([a-z{}\[\] ]|\\["\\nu]){0,40}""#.prop_map(String::into_bytes);
    let short = prop::sample::select(vec![
        &b"{"[..],
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b"\\\"",
        b",",
        b":",
        b" ",
        b"\r\n\t",
        b"\0",
        b"\x1f",
        b"\x7f",
        b"\xff",
        b"1",
    ]);
    prop_oneof![
        2 => plain,
        1 => blanks,
        1 => backslashes,
        4 => text,
        6 => short.prop_map(<[u8]>::to_vec),
    ]
}
