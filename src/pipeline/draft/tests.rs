//! Whatever is known, what remains is sent whole and in order.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    content::ContentType,
    identity::{Config, Secret},
    pipeline::identities::Identities,
    route::Tables,
};

/// One content after the other; returns what was sent of each.
fn send(contents: &[Vec<u8>]) -> Vec<(String, u64, Tally)> {
    let config = Config {
        remember: std::time::Duration::from_secs(3600),
        remember_max: 10_000.try_into().unwrap(),
    };
    let identities = Identities::new(&config, Secret::from([7; 16]));
    identities.advance(jiff::Timestamp::UNIX_EPOCH);
    let tables = Arc::new(Tables::try_new(crate::route::Config::default()).unwrap());
    let buffers = Draft::buffers();
    let sent = contents.iter().map(|records| {
        let (mut flight, mut draft, mut tally) =
            (identities.flight(), Draft::new(buffers.clone()), Tally::default());
        for &record in records {
            // Of different lengths, and for different tables.
            let line = format!("{}\n", char::from(b'a' + record).to_string().repeat(record.into()));
            let workload = [b"Exchange".as_slice(), b"SharePoint"][usize::from(record % 2)];
            let table = tables.table(ContentType::General, Some(workload));
            draft.add(Key::from_bytes([record; 16]), &table, |out| {
                out.extend_from_slice(line.as_bytes());
            });
        }
        let sent = draft.judge(&mut flight, &mut tally);
        let (batch, lines) = sent
            .unwrap_or_else(|| (Batch { lines: 0, bytes: bytes::Bytes::new() }, Lines::default()));
        assert_eq!(batch.lines, lines.total());
        assert!(lines.iter().all(|(_, lines)| lines > 0));
        flight.batch_sent(lines);
        flight.land(&[FIRST], None);
        (String::from_utf8(batch.bytes.to_vec()).unwrap(), batch.lines, tally)
    });
    sent.collect()
}

proptest! {
    #[test]
    fn the_lines_of_duplicates_are_taken_out(contents in vec(vec(0..26_u8, 0..30), 0..6)) {
        let mut known = std::collections::HashSet::new();
        for (records, (text, lines, tally)) in contents.iter().zip(send(&contents)) {
            let new: Vec<_> = records.iter().filter(|record| known.insert(**record)).collect();
            let expected: String = new
                .iter()
                .map(|&&record| {
                    format!("{}\n", char::from(b'a' + record).to_string().repeat(record.into()))
                })
                .collect();
            prop_assert_eq!(text, expected);
            prop_assert_eq!(lines, new.len() as u64);
            prop_assert_eq!(tally.duplicates, (records.len() - new.len()) as u64);
        }
    }
}

const FIRST: std::ops::Range<usize> = 0..1;
