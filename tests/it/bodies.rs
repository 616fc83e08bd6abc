//! Every shape a body was seen in, and what comes of it: at the receiver, in the ledger, in the
//! metrics.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use m365_collector::{
    content::{ContentId, ContentType},
    simulator::{
        Blob, Fault, Generator, Operation, Shape,
        microsoft::{Announcing, Publication},
    },
};

use crate::support::{Service, books::Ends, records};

const TYPE: ContentType = ContentType::Exchange;

/// Publishes a body as it stands.
fn publish(service: &Service, body: impl Into<Vec<u8>>) -> ContentId {
    let blob = Blob::Bytes(body.into().into());
    service.simulator.microsoft().publish_raw(service.tenant(0), TYPE, blob)
}

/// Publishes records whose content first meets a fault so many times.
fn publish_faulty<R: AsRef<[u8]>>(
    service: &mut Service,
    records: &[R],
    fault: Fault,
    times: u32,
) -> ContentId {
    service.expect(records);
    let fault = Some((fault, times));
    let publication = Publication { fault, ..Publication::of(Blob::array(records)) };
    service.simulator.microsoft().publish_as(service.tenant(0), TYPE, publication)
}

/// An answer of 200 with exactly this body.
fn ok(body: &[u8]) -> Fault {
    Fault::Status { status: 200, headers: Vec::new(), body: body.to_vec() }
}

/// The body of these records.
fn array<R: AsRef<[u8]>>(records: &[R]) -> Vec<u8> {
    let Blob::Bytes(body) = Blob::array(records) else { unreachable!("an array is bytes") };
    body.into()
}

fn requests(service: &Service, id: &ContentId) -> u64 {
    service.simulator.microsoft().count(None, &Operation::BlobOf(id.clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_bodies_give_their_records_byte_for_byte() {
    const PRETTY: &str =
        "[\r\n  {\r\n    \"Id\" : \"pretty\",\r\n\t\"a b\" : [ 1 , 2 ]\r\n  }\r\n]\r\n";
    type Case<'a> = (&'a str, &'a [u8], &'a [&'a [u8]]);
    let cases: &[Case<'_>] = &[
        ("a bare object", br#"{"Id":"bare"}"#, &[br#"{"Id":"bare"}"#]),
        ("an empty array", b"[]", &[]),
        ("a byte order mark", b"\xef\xbb\xbf[{\"Id\":\"mark\"}]", &[br#"{"Id":"mark"}"#]),
        ("pretty-printed", PRETTY.as_bytes(), &[br#"{"Id":"pretty","a b":[1,2]}"#]),
        (
            "raw control characters in a string",
            b"[{\"Id\":\"control\",\"t\":\"a\nb\rc\0d\te\x1f\"}]",
            &[br#"{"Id":"control","t":"a\nb\rc\u0000d\te\u001f"}"#],
        ),
        (
            "invalid UTF-8",
            b"[{\"Id\":\"latin\",\"t\":\"caf\xe9 \xff\xfe \xc3(\"}]",
            &[b"{\"Id\":\"latin\",\"t\":\"caf\xe9 \xff\xfe \xc3(\"}"],
        ),
        (
            "lone surrogates",
            br#"[{"Id":"half","t":"\ud83d \udc00"}]"#,
            &[br#"{"Id":"half","t":"\ud83d \udc00"}"#],
        ),
        (
            "repeated keys",
            br#"[{"Id":"twice","k":1,"k":2,"Id":"again"}]"#,
            &[br#"{"Id":"twice","k":1,"k":2,"Id":"again"}"#],
        ),
        (
            "numbers beyond any type",
            br#"[{"Id":"big","n":[9007199254740993,1234567890123456789012345678901,1.50E+03,-0.0]}]"#,
            &[br#"{"Id":"big","n":[9007199254740993,1234567890123456789012345678901,1.50E+03,-0.0]}"#],
        ),
        (
            "escapes that need not be",
            br#"[{"Id":"slash","t":"\/\u0041\u00e9"}]"#,
            &[br#"{"Id":"slash","t":"\/\u0041\u00e9"}"#],
        ),
        (
            "elements that are no objects",
            br#"[null,"text",-1.5e3,[1,{"x":2}],{"Id":"last"}]"#,
            &[b"null", b"\"text\"", b"-1.5e3", br#"[1,{"x":2}]"#, br#"{"Id":"last"}"#],
        ),
        (
            "several texts one after another",
            b"[{\"Id\":\"s1\"}]\n{\"Id\":\"s2\"}{\"Id\":\"s3\"}",
            &[br#"{"Id":"s1"}"#, br#"{"Id":"s2"}"#, br#"{"Id":"s3"}"#],
        ),
        (
            "a record that only looks like an error",
            br#"{"error":{"code":"AF50000"},"Id":"real"}"#,
            &[br#"{"error":{"code":"AF50000"},"Id":"real"}"#],
        ),
        (
            "an error within an array, which is content",
            br#"[{"Message":"as a record"}]"#,
            &[br#"{"Message":"as a record"}"#],
        ),
    ];
    let mut service = Service::builder().start().await;
    for (_, body, records) in cases {
        service.expect(records);
        publish(&service, *body);
    }
    let delivered = cases.len() as u64;
    service.ended(Ends { delivered, ..Ends::default() }).await;
    for (what, _, records) in cases {
        for record in *records {
            assert_eq!(service.simulator.devo().times_received(record), 1, "{what}");
        }
    }
    let total: u64 = cases.iter().map(|(_, _, records)| records.len() as u64).sum();
    assert_eq!(service.records_delivered().await, total);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_every_type_arrives_unchanged() {
    let mut service = Service::builder().start().await;
    let mut generator = Generator::new(7);
    for content_type in ContentType::ALL {
        let tenant = service.tenant(0);
        let shapes = Shape::ALL.iter().cycle().take(3 * Shape::ALL.len());
        let records: Vec<_> =
            shapes.map(|shape| generator.record_of(tenant, content_type, *shape)).collect();
        service.publish(0, content_type, &records);
    }
    service.delivered().await;
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_no_json_is_tried_five_times_and_then_dead() {
    let mut service = Service::builder().with("fetch.retry_max", "1s").start().await;
    let beside = records(1, service.tenant(0), TYPE, 20);
    let fault = Some((Fault::Html(200), u32::MAX));
    let publication = Publication { fault, ..Publication::of(Blob::array(&beside)) };
    let page = service.simulator.microsoft().publish_as(service.tenant(0), TYPE, publication);
    service.publish(0, TYPE, &records(2, service.tenant(0), TYPE, 20));
    service.ended(Ends { delivered: 1, dead: 1, expired: 0 }).await;
    assert_eq!(requests(&service, &page), 5);
    assert_eq!(service.failed_attempts(0, "split", "undecodable").await, 4);
    assert_eq!(service.given_up(0, "split", "undecodable").await, 1);
    assert_eq!(service.dead_letters().await, [(None, "undecodable".to_owned())]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_cut_short_are_fetched_again() {
    for http2 in [false, true] {
        let mut service = Service::builder().world(|world| world.http2 = http2).start().await;
        let tenant = service.tenant(0);
        let [one, two, three] = [1, 2, 3].map(|seed| records(seed, tenant, TYPE, 10));
        let broken = Fault::CutBody { after: array(&one).len() / 2 };
        let broken = publish_faulty(&mut service, &one, broken, 2);
        // Half a text in a body that ends as it should, and none at all.
        let half = array(&two);
        let early = publish_faulty(&mut service, &two, ok(&half[..half.len() / 2]), 1);
        let empty = publish_faulty(&mut service, &three, ok(b""), 1);
        service.delivered().await;
        assert_eq!(requests(&service, &broken), 3);
        assert_eq!(requests(&service, &early), 2);
        assert_eq!(requests(&service, &empty), 2);
        assert_eq!(service.failed_attempts(0, "split", "cut_body").await, 4);
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_under_a_good_status_are_no_records() {
    const ERRORS: &[&str] = &[
        r#"{"error":{"code":"AF50000","message":"An internal server error occurred."}}"#,
        "\u{feff}{\r\n  \"error\" : {\r\n    \"code\" : \"AF429\"\r\n  }\r\n}",
        r#"{"Message":"Authorization has been denied for this request."}"#,
    ];
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let mut ids = Vec::new();
    for (seed, error) in (1..).zip(ERRORS) {
        let records = records(seed, tenant, TYPE, 5);
        ids.push(publish_faulty(&mut service, &records, ok(error.as_bytes()), 1));
    }
    service.delivered().await;
    assert!(ids.iter().all(|id| requests(&service, id) == 2));
    assert_eq!(service.failed_attempts(0, "fetch", "bad_answer").await, 3);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_is_a_dead_letter_of_its_own() {
    let mut service = Service::builder().with("fetch.max_record", "64 KiB").start().await;
    let good = records(1, service.tenant(0), TYPE, 6);
    let large = [b"{\"Id\":\"large\",\"t\":\"", &[b'x'; 64 * 1024][..], b"\"}"].concat();
    let malformed = b"{\"Id\":\"malformed\",\"n\":\x01 1}".to_vec();
    let mut all = good.clone();
    all.insert(2, large.clone());
    all.insert(5, malformed);
    service.expect(&good);
    service.simulator.microsoft().publish(service.tenant(0), TYPE, &all);
    service.ended(Ends { delivered: 1, ..Ends::default() }).await;
    let letters = [(Some(2), "record_too_large".into()), (Some(5), "malformed_record".into())];
    assert_eq!(service.dead_letters().await, letters);
    assert_eq!(service.given_up(0, "split", "record_too_large").await, 1);
    assert_eq!(service.given_up(0, "split", "malformed_record").await, 1);
    assert_eq!(service.records_delivered().await, 6);
    assert_eq!(service.simulator.devo().times_received(&large), 0);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_are_unpacked() {
    let mut service = Service::builder().world(|world| world.gzip = true).start().await;
    let tenant = service.tenant(0);
    service.publish(0, TYPE, &records(1, tenant, TYPE, 200));
    // Compressed whether asked for or not; and cut within the compressed text.
    let records = records(2, tenant, TYPE, 200);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&array(&records)).unwrap();
    let packed = encoder.finish().unwrap();
    let gzip = |body: &[u8]| Fault::Status {
        status: 200,
        headers: vec![("content-encoding".into(), "gzip".into())],
        body: body.to_vec(),
    };
    let id = publish_faulty(&mut service, &records, gzip(&packed[..packed.len() / 2]), 1);
    service.simulator.microsoft().fail(Operation::BlobOf(id.clone()), gzip(&packed), 1);
    service.delivered().await;
    assert_eq!(requests(&service, &id), 2, "the second answer was good");
    assert_eq!(service.failed_attempts(0, "split", "cut_body").await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn further_pages_of_a_blob_belong_to_it_and_foreign_ones_are_not_asked() {
    let mut service = Service::builder().start().await;
    let tenant = service.tenant(0);
    let microsoft = service.simulator.microsoft().clone();
    let hidden = |records: &[Vec<u8>]| {
        let blob = Blob::array(records);
        let announcing = Some(Announcing::LOST);
        let publication = Publication { listed: false, announcing, ..Publication::of(blob) };
        microsoft.publish_as(tenant, TYPE, publication)
    };
    let (first, second) = (records(1, tenant, TYPE, 5), records(2, tenant, TYPE, 5));
    let page = hidden(&second);
    service.expect(&second);
    let path = format!("api/v1.0/{tenant}/activity/feed/audit/{page}");
    let with_next = |next: String| Fault::Status {
        status: 200,
        headers: vec![("NextPageUri".into(), next)],
        body: array(&first),
    };
    let next = with_next(format!("{}{path}", service.simulator.management_url()));
    publish_faulty(&mut service, &first, next, 1);
    service.delivered().await;
    assert_eq!(requests(&service, &page), 1);
    assert_eq!(microsoft.without_publisher(), 0);

    // A page elsewhere: the content is tried again, and nobody is asked there. Records of the
    // first page are not sent either, for less than a batch was gathered.
    let third = records(3, tenant, TYPE, 5);
    let elsewhere = with_next(format!("https://elsewhere.example.com/{path}"));
    let id = publish_faulty(&mut service, &third, elsewhere, 1);
    service.delivered().await;
    assert_eq!((requests(&service, &id), requests(&service, &page)), (2, 1));
    assert_eq!(service.failed_attempts(0, "fetch", "bad_answer").await, 1);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workload_or_else_the_content_type_decides_the_table() {
    let mut service = Service::builder()
        .with("devo.tables.prefix", "my.own")
        .with("devo.tables.fallback", "unsorted")
        .with("devo.tables.workload.MicrosoftTeams", "teams")
        .start()
        .await;
    let cases = [
        (ContentType::General, "AzureActiveDirectory", "azure_active_directory"),
        (ContentType::General, "MICROSOFTteams", "teams"),
        (ContentType::General, "Power-Platform v2.1", "powerplatformv21"),
        (ContentType::SharePoint, "OneDrive", "onedrive"),
        (ContentType::Exchange, "", "exchange"),
        (ContentType::SharePoint, "", "sharepoint"),
        (ContentType::AzureActiveDirectory, "", "azure_active_directory"),
        (ContentType::General, "", "unsorted"),
        (ContentType::Dlp, "", "unsorted"),
    ];
    for (n, (content_type, workload, _)) in cases.iter().enumerate() {
        let workload = match *workload {
            "" => String::new(),
            workload => format!(r#","Workload":"{workload}""#),
        };
        service.publish(0, *content_type, &[format!(r#"{{"Id":"{n}"{workload}}}"#)]);
    }
    service.delivered().await;
    let tags = service.simulator.devo().received().tags;
    for (content_type, workload, table) in cases {
        let expected = cases.iter().filter(|case| case.2 == table).count();
        let expected = u32::try_from(expected).unwrap();
        let arrived = tags.get(&format!("my.own.{table}")).copied();
        assert_eq!(arrived, Some(u64::from(expected)), "{content_type} {workload:?}");
        assert_eq!(service.delivered_to(table).await, expected, "{table}");
    }
    service.finish().await;
}
