use std::collections::HashSet;

use serde_json::Value;

use super::*;
use crate::simulator::Feed;

fn tenant() -> TenantId {
    "11111111-2222-4333-8444-555555555555".parse().unwrap()
}

fn parsed(record: &[u8]) -> Value {
    serde_json::from_slice(record)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(record)))
}

fn text(record: &[u8]) -> String {
    String::from_utf8_lossy(record).into_owned()
}

/// Depth of nesting; a record without any is 1.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

#[test]
fn the_same_seed_gives_the_same_records_and_another_gives_others() {
    let records = |seed| Generator::new(seed).records(tenant(), ContentType::General, 50);
    assert_eq!(records(1), records(1));
    assert_ne!(records(1), records(2));
}

#[test]
fn records_differ_in_their_bytes_and_their_identity() {
    let mut generator = Generator::new(3);
    let (mut bytes, mut identities) = (HashSet::new(), HashSet::new());
    for content_type in ContentType::ALL {
        for record in generator.records(tenant(), content_type, 2000) {
            assert!(!record.contains(&b'\n') && !record.contains(&b'\r'));
            if let Ok(value) = serde_json::from_slice::<Value>(&record)
                && value.get("Id").is_some()
            {
                let identity = (value["Id"].to_string(), value["CreationTime"].to_string());
                assert!(identities.insert(identity), "{}", text(&record));
            }
            assert!(bytes.insert(record));
        }
    }
}

#[test]
fn sizes_are_those_of_real_records() {
    let mut generator = Generator::new(4);
    let mut sizes: Vec<usize> = ContentType::ALL
        .into_iter()
        .flat_map(|content_type| generator.records(tenant(), content_type, 1000))
        .map(|record| record.len())
        .collect();
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2];
    let largest = sizes[sizes.len() - 1];
    assert!((1000..1600).contains(&median), "median {median}");
    assert!((12_000..=20_000).contains(&largest), "largest {largest}");
}

#[test]
fn keys_come_from_a_long_tail() {
    let mut generator = Generator::new(5);
    let mut keys = HashSet::new();
    for content_type in ContentType::ALL {
        for record in generator.records(tenant(), content_type, 2000) {
            if let Ok(Value::Object(members)) = serde_json::from_slice(&record) {
                keys.extend(members.into_iter().map(|(key, _)| key));
            }
        }
    }
    assert!(keys.len() >= 290, "{} keys", keys.len());
}

#[test]
fn every_shape_of_every_feed_is_json_where_it_should_be() {
    let mut generator = Generator::new(6);
    for shape in Shape::ALL {
        for content_type in ContentType::ALL {
            let record = generator.record_of(tenant(), content_type, shape);
            let strict = serde_json::from_slice::<Value>(&record).is_ok();
            assert_eq!(strict, shape.is_strict_json(), "{shape:?}: {}", text(&record));
            let utf8 = std::str::from_utf8(&record).is_ok();
            assert_eq!(utf8, shape != Shape::InvalidUtf8, "{shape:?}");
        }
    }
}

#[test]
fn no_key_repeats_unless_the_shape_says_so() {
    let mut generator = Generator::new(7);
    for shape in Shape::ALL.into_iter().filter(|s| s.is_strict_json()) {
        for content_type in ContentType::ALL {
            for _ in 0..20 {
                let record = generator.record_of(tenant(), content_type, shape);
                let Value::Object(members) = parsed(&record) else {
                    panic!("a record is an object")
                };
                // Turning through all members meets each spelled key once.
                let mut turned = record.clone();
                let mut turns = 0;
                loop {
                    turned = reordered(&turned);
                    turns += 1;
                    if turned == record {
                        break;
                    }
                }
                let repeated = turns - members.len();
                let expected = usize::from(shape == Shape::RepeatedKey);
                assert_eq!(repeated, expected, "{shape:?}: {}", text(&record));
            }
        }
    }
}

#[test]
fn shapes_hold_what_they_promise() {
    let mut generator = Generator::new(8);
    let mut of = |shape| generator.record_of(tenant(), ContentType::Exchange, shape);

    let escaped = text(&of(Shape::Escaped));
    assert!(escaped.contains(r"https:\/\/") && escaped.contains(r"\ud83d\ude00"));
    assert!(escaped.is_ascii());
    assert!(text(&of(Shape::CrlfInString)).contains(r"[\r\n  {"));
    assert!(text(&of(Shape::NonAscii)).contains("日本語"));
    assert!(text(&of(Shape::LoneSurrogate)).contains(r"\ud83d of"));
    assert!(text(&of(Shape::KeyWithSpace)).contains(r#""Data State":"#));
    assert!(text(&of(Shape::HugeIntegers)).contains(":9007199254740993,"));
    assert!(text(&of(Shape::LargeIntegers)).contains(":4294967296,"));
    assert!(text(&of(Shape::NegativeNumbers)).contains(":-2147217390,"));
    assert!(text(&of(Shape::Decimals)).contains(":0.87300,"));

    assert!(parsed(&of(Shape::ParametersAsString))["Parameters"].is_string());
    assert!(parsed(&of(Shape::StringsForObjects))["ExtendedProperties"][0].is_string());
    assert!(parsed(&of(Shape::Nulls))["CorrelationId"].is_null());
    assert!(parsed(&of(Shape::WithoutId)).get("Id").is_none());
    assert!(parsed(&of(Shape::WithoutWorkload)).get("Workload").is_none());
    let id = parsed(&of(Shape::IdWithoutGuid))["Id"].clone();
    assert!(uuid::Uuid::parse_str(id.as_str().unwrap()).is_err());
    let time = parsed(&of(Shape::CreationTimeWithZone))["CreationTime"].clone();
    assert!(time.as_str().unwrap().ends_with('Z'));
    assert_eq!(depth(&parsed(&of(Shape::DeepNesting))), 9);

    let json = parsed(&of(Shape::JsonInString))["AdditionalDetails"].clone();
    parsed(json.as_str().unwrap().as_bytes());
    let xml = parsed(&of(Shape::XmlInString))["PolicyXml"].clone();
    assert!(xml.as_str().unwrap().ends_with("</Rules>"));

    let before = parsed(&of(Shape::Plain));
    let again = parsed(&of(Shape::RepeatedId));
    assert_eq!(before["Id"], again["Id"]);
    assert_ne!(before["CreationTime"], again["CreationTime"]);
}

#[test]
fn addresses_take_every_odd_form() {
    let mut generator = Generator::new(9);
    let addresses: Vec<String> = (0..7)
        .map(|_| generator.record_of(tenant(), ContentType::Exchange, Shape::ClientIp))
        .map(|record| parsed(&record)["ClientIP"].as_str().unwrap().to_owned())
        .collect();
    let met = |form: fn(&str) -> bool| addresses.iter().any(|address| form(address));
    assert!(met(|a| a.parse::<std::net::Ipv4Addr>().is_ok()));
    assert!(met(|a| a.parse::<std::net::SocketAddrV4>().is_ok()));
    assert!(met(|a| a.parse::<std::net::SocketAddrV6>().is_ok()));
    assert!(met(|a| a.starts_with("2001:db8:")));
    assert!(met(|a| a.starts_with("::ffff:")));
    assert!(met(str::is_empty));
    assert!(met(|a| a == "<null>"));
}

#[test]
fn records_by_the_megabyte_differ_too_and_end_where_they_should() {
    let feed = Feed { tenant: tenant(), content_type: ContentType::SharePoint };
    let records: Vec<Vec<u8>> = Records::new(10, feed, 5_000_000).collect();
    assert!(records.len() > 2000, "far more than are drawn");
    let total: usize = records.iter().map(Vec::len).sum();
    let last = records.last().unwrap().len();
    assert!(total >= 5_000_000 && total - last < 5_000_000);
    let mut identities = HashSet::new();
    for record in &records {
        if let Ok(value) = serde_json::from_slice::<Value>(record) {
            let identity = match value.get("Id") {
                Some(id) => format!("{id} {}", value["CreationTime"]),
                None => value["EventSerial"].to_string(),
            };
            assert!(identities.insert(identity), "{}", text(record));
        }
    }
    assert_eq!(records.iter().collect::<HashSet<_>>().len(), records.len());
}
