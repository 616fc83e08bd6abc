//! Any body of a blob, in any chunks: cut into records, read, framed. serde_json is the oracle for
//! what is well-formed.

#![no_main]

use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use m365_collector::{
    content::ContentType,
    frame::{Frame, Framer},
    route::{Config, Head, Tables},
    split::{Piece, Splitter},
};
use serde_json::{Value, value::RawValue};

const MAX_RECORD: usize = 4096;

fuzz_target!(|input: (u8, &[u8])| {
    let (chunk, body) = input;
    let mut splitter = Splitter::new(MAX_RECORD);
    let mut records: Vec<Option<Vec<u8>>> = Vec::new();
    let mut broken = false;
    'body: for mut chunk in body.chunks(usize::from(chunk).max(1)) {
        loop {
            match splitter.next(&mut chunk) {
                Ok(Some(Piece::Record { index, bytes, .. })) => {
                    assert_eq!(index as usize, records.len());
                    assert!(bytes.len() <= MAX_RECORD);
                    records.push(Some(bytes.to_vec()));
                }
                Ok(Some(Piece::Dead { index, .. })) => {
                    assert_eq!(index as usize, records.len());
                    records.push(None);
                }
                Ok(None) => break,
                Err(_) => {
                    broken = true;
                    break 'body;
                }
            }
        }
        assert!(splitter.carried() <= MAX_RECORD, "more than one record is held");
    }
    let count = records.len();
    let complete = !broken && splitter.finish() == Ok(count as u64);

    let tables = Tables::try_new(Config {
        prefix: "cloud.office365.management".into(),
        fallback: "other".into(),
        workload: Default::default(),
    });
    let tables = tables.expect("the names are names");
    let mut framer = Framer::new("host", "cloud.office365.management");
    for record in records.iter().flatten() {
        let head = Head::read(record);
        let table = tables.table(ContentType::General, head.workload.as_deref());
        let mut line = Vec::new();
        framer.frame(&mut line, Timestamp::UNIX_EPOCH, table.as_str(), record);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line a record");
        let frame = Frame::parse(&line).expect("what is framed can be read");
        assert_eq!(frame.record, record);
        if let Ok(Value::Object(fields)) = serde_json::from_slice(record) {
            // Of a key that is repeated or written with escapes, the two see different ones.
            let plain = |key: &str| {
                let quoted = format!("\"{key}\"");
                let text = String::from_utf8_lossy(record);
                text.matches(&quoted).count() == 1 && !text.contains("\\u")
            };
            if plain("Workload") && plain("Id") && plain("CreationTime") {
                let text = fields.get("Workload").and_then(Value::as_str).map(str::as_bytes);
                assert_eq!(head.workload.as_deref(), text);
            }
        }
    }

    let Ok(elements) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
        return;
    };
    assert!(complete, "a well-formed array is split to its end");
    assert_eq!(elements.len(), count, "one piece an element");
    for (element, record) in elements.iter().zip(&records) {
        let Some(record) = record else {
            let is_object = element.get().starts_with('{');
            assert!(!is_object || element.get().len() > MAX_RECORD, "a good record is refused");
            continue;
        };
        let element: Result<Value, _> = serde_json::from_str(element.get());
        if let Ok(element) = element {
            let record: Value = serde_json::from_slice(record).expect("it is still JSON");
            assert_eq!(element, record, "the record is another one");
        }
    }
});
