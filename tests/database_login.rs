//! Postgres over the network: TLS as libpq's `sslmode` means it, passwords, rights; and what a person is told.

use uphaul_store::{NewHost, Store};
use uphaul_tests::postgres::{Postgres, skip};

fn host(name: &str) -> NewHost {
    NewHost {
        name: name.parse().unwrap(),
        address: "192.0.2.1".into(),
        port: None,
        user: None,
        host_key: None,
        labels: Default::default(),
        settings: Default::default(),
    }
}

async fn told(url: &str) -> String {
    let told = Store::open(url).await.unwrap_err().to_string();
    assert!(!told.contains("s3cret") && !told.contains("wr0ng"), "{told}");
    told
}

/// Each cell of what may go wrong on the way in, and the one way that is right.
#[tokio::test]
async fn tls_and_passwords() {
    let server = match Postgres::start_tls() {
        Ok(server) => server,
        Err(why) => return skip(&why),
    };
    server.run("ALTER ROLE uphaul PASSWORD 's3cret'; CREATE ROLE weak LOGIN PASSWORD 's3cret'");
    let (port, folder) = (server.port(), server.folder().display().to_string());
    let url = |user: &str, at: &str, more: &str| format!("postgres://{user}@{at}:{port}/postgres?{more}");
    let ca = format!("sslmode=verify-full&sslrootcert={folder}/ca.crt");

    let store = Store::open(&url("uphaul:s3cret", "127.0.0.1", &ca)).await.unwrap();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE application_name = 'uphaul'";
    assert_eq!(server.run(encrypted).trim(), "t");
    assert_eq!(store.describe(), format!("Postgres database postgres at 127.0.0.1:{port} (as uphaul)"));

    let cases = [
        // Signed by nobody whom this machine knows.
        (url("uphaul:s3cret", "127.0.0.1", "sslmode=verify-full"), "could not be reached safely"),
        // The certificate is of another name.
        (url("uphaul:s3cret", "localhost", &ca), "could not be reached safely"),
        (url("uphaul:s3cret", "127.0.0.1", "sslmode=disable"), "refused the login"),
        (url("uphaul:wr0ng", "127.0.0.1", &ca), "refused the login"),
        (url("nobody:wr0ng", "127.0.0.1", &ca), "refused the login"),
        (url("uphaul:s3cret", "127.0.0.1", &ca).replace("/postgres?", "/none?"), "is not there"),
        (
            url("uphaul:s3cret", "127.0.0.1", "sslmode=verify-full&sslrootcert=/nowhere"),
            "cannot open the record",
        ),
        (url("uphaul:s3cret", "127.0.0.1", "sslmode=s3cret"), "database url: it cannot be read"),
    ];
    for (url, words) in cases {
        let told = told(&url).await;
        assert!(told.contains(words), "{words}: {told}");
    }

    // A user without the rights, and a server that takes no writes.
    server.run("REVOKE ALL ON uphaul_migrations FROM PUBLIC");
    let told = told(&url("weak:s3cret", "127.0.0.1", &ca)).await;
    assert!(told.contains("does not let this user do that"), "{told}");
    server.run("ALTER DATABASE postgres SET default_transaction_read_only = on");
    store.close().await;
    let store = Store::open(&url("uphaul:s3cret", "127.0.0.1", &ca)).await.unwrap();
    assert_eq!(store.hosts().await.unwrap().len(), 1);
    let told = store.add_hosts(&[host("web-2")], 0).await.unwrap_err().to_string();
    assert!(told.contains("is read-only (a standby, or set so)"), "{told}");
}

/// Another program has our names: it is left as it is.
#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let server = match Postgres::shared() {
        Ok(server) => server,
        Err(why) => return skip(why.as_str()),
    };
    let url = server.fresh();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server.run_in(name, "CREATE TABLE customers (id int)");
    // Its other tables are no hindrance.
    Store::open(&url).await.unwrap().close().await;
    let url = server.fresh();
    let name = url.split(['/', '?']).nth(3).unwrap();
    server.run_in(name, "CREATE TABLE subscriptions (id int)");
    let told = Store::open(&url).await.unwrap_err().to_string();
    assert!(told.contains("it has the table subscriptions"), "{told}");
    assert_eq!(server.run_in(name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(), "1");
    server.run_in(name, "DROP TABLE subscriptions");
    let store = Store::open(&url).await.unwrap();
    store.add_hosts(&[host("web-1")], 0).await.unwrap();
    store.close().await;
    // A newer Uphaul was here: what it wrote is shown and not changed.
    server.run_in(name, "INSERT INTO uphaul_migrations VALUES (9999, 'of tomorrow', now(), true, '', 0)");
    let store = Store::open(&url).await.unwrap();
    assert_eq!(store.hosts().await.unwrap().len(), 1);
    let told = store.add_hosts(&[host("web-2")], 0).await.unwrap_err().to_string();
    assert!(told.contains("was written by a newer Uphaul (its layout is 9999"), "{told}");
}
