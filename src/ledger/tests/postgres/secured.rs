//! The way to the server: encrypted, and to nobody else.

use super::{server::Postgres, *};
use crate::ledger::{OpenError, Server, sql::query};

/// The first value that a ledger at this address answers with.
async fn asked<T>(address: &str, sql: &'static str) -> Result<T, OpenError>
where
    T: for<'r> crate::ledger::sql::Column<'r>,
{
    let location = Location::Postgres(Server::parse(address).unwrap());
    let directory = tempfile::tempdir().unwrap();
    let config = Config { location, ..config(directory.path()) };
    let (_ledger, mut writer) = Ledger::open(&config).await?;
    let row = query(sql).fetch_one(writer.connection.as_mut().unwrap()).await.unwrap();
    Ok(row.first().unwrap())
}

#[tokio::test]
async fn the_certificate_is_looked_at_as_the_address_says() {
    let plain = Postgres::shared().database().await;
    // Its authority is beside it.
    let certificate: String = asked(&plain, "SHOW ssl_cert_file").await.unwrap();
    let authority = Path::new(&certificate).with_file_name("ca.crt");
    let authority = format!("&sslrootcert={}", authority.display());
    let (plain, _) = plain.split_once('?').unwrap();
    let is_encrypted = async |host: &str, mode: &str, authority: &str| {
        let plain = plain.replace("127.0.0.1", host);
        let address = format!("{plain}?sslmode={mode}{authority}");
        asked::<bool>(&address, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").await
    };
    assert!(is_encrypted("localhost", "verify-full", &authority).await.unwrap());
    assert!(is_encrypted("127.0.0.1", "verify-ca", &authority).await.unwrap(), "no name counts");
    assert!(is_encrypted("127.0.0.1", "require", "").await.unwrap(), "no authority counts");
    assert!(!is_encrypted("127.0.0.1", "disable", "").await.unwrap());
    for (host, authority) in [("127.0.0.1", &*authority), ("localhost", "")] {
        let refused = is_encrypted(host, "verify-full", authority).await;
        let refused = format!("{:?}", refused.expect_err("it is somebody else"));
        assert!(refused.to_lowercase().contains("certificate"), "{refused}");
    }
}
