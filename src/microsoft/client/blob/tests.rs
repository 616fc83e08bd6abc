use std::{io::Write as _, time::Duration};

use super::*;
use crate::{
    content::ContentId,
    microsoft::{
        Disposition,
        world::{A, Reply, World, tenant},
    },
    reason::Reason,
};

pub(in crate::microsoft::client) async fn read(blob: &mut Blob) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = blob.chunk().await? {
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn id(text: &str) -> ContentId {
    ContentId::parse(text).unwrap()
}

#[tokio::test]
async fn pages_of_a_blob_that_never_end_are_an_error() {
    let world = World::api(|asked| {
        let next = format!("{}?{}0", asked.path, asked.query);
        Reply::new(200, "[]").header("NextPageUri", next)
    })
    .await;
    let mut blob = world.client().blob(tenant(A), &id("x")).await.unwrap();
    let end = timeout(Duration::from_secs(30), read(&mut blob)).await.expect("it is left");
    assert!(matches!(end, Err(ApiError::TooLarge)));
}

#[tokio::test]
async fn a_page_that_leads_back_to_itself_is_read_once() {
    let world = World::api(|asked| {
        let next = format!("{}?{}", asked.path, asked.query);
        Reply::new(200, "[1]").header("NextPageUri", next)
    })
    .await;
    let mut blob = world.client().blob(tenant(A), &id("x")).await.unwrap();
    assert_eq!(read(&mut blob).await.unwrap(), b"[1]");
}

#[tokio::test]
async fn what_another_operation_answers_is_no_page_of_a_blob() {
    let world = World::api(|asked| {
        let listed = asked.path.replace("audit/x", "subscriptions/list");
        Reply::new(200, "[1]").header("NextPageUri", listed)
    })
    .await;
    let mut blob = world.client().blob(tenant(A), &id("x")).await.unwrap();
    assert!(matches!(read(&mut blob).await, Err(ApiError::ForeignPage(_))));
}

#[tokio::test]
async fn blobs_arrive_in_chunks_and_compressed_ones_are_unpacked() {
    let plain: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    let body = plain.clone();
    let world = World::api(move |asked| {
        if asked.path.ends_with("gzip") {
            Reply::new(200, gzip.clone()).header("content-encoding", "gzip")
        } else {
            Reply::new(200, body.clone())
        }
    })
    .await;
    let client = world.client();
    for name in ["plain", "gzip"] {
        let mut blob = client.blob(tenant(A), &id(name)).await.unwrap();
        let first = blob.chunk().await.unwrap().unwrap();
        assert!(first.len() < 1024 * 1024, "streamed, not held: {}", first.len());
        let rest = read(&mut blob).await.unwrap();
        assert!(plain.starts_with(&first) && plain.ends_with(&rest));
        assert_eq!(first.len() + rest.len(), plain.len());
    }
}

#[tokio::test]
async fn a_body_cut_short_is_an_error_and_not_an_end() {
    let world = World::api(|asked| {
        if asked.path.ends_with("gzip") {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&[7; 100]).unwrap();
            let mut gzip = gzip.finish().unwrap();
            gzip.truncate(gzip.len() - 9);
            Reply::new(200, gzip).header("content-encoding", "gzip")
        } else {
            Reply::new(200, "[{").cut(10)
        }
    })
    .await;
    let client = world.client();
    for name in ["plain", "gzip"] {
        let mut blob = client.blob(tenant(A), &id(name)).await.unwrap();
        let error = read(&mut blob).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Retry(Reason::CutBody), "{name}");
    }
    let error = client.list_subscriptions(tenant(A)).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry(Reason::CutBody));
}
