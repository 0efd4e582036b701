//! Tables as an ORM makes them, on both databases: quoted camelCase, ids of several kinds, columns that must not be null,
//! a trigger, rows that are no hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use uphaul_core::ids::HostName;
use uphaul_core::machine::{Input, Observation, Previous, step};
use uphaul_core::ports::{Entry, Journal as _};

use crate::adopted::{Adopted, Condition, Ident, Naming, TableName};
use crate::adopted_tables::{OURS, THEIRS, Theirs};
use crate::newer_tests::{new_host, run};
use crate::postgres_server::{self, Postgres};
use crate::texts::prefixed;
use crate::{HostEdit, Store, StoreError, process, sql};

fn ident(name: &str) -> Ident {
    name.parse().unwrap()
}

fn camel() -> Adopted {
    Adopted {
        table: "subscriptions".parse().unwrap(),
        id: ident("id"),
        name: ident("hostName"),
        address: ident("ipAddress"),
        port: Some(ident("sshPort")),
        user: Some(ident("sshUser")),
        filter: Some("\"active\" AND \"customerId\" <> 'c;--'".parse().unwrap()),
        columns: Naming::CamelCase,
    }
}

/// Takes a host to 2 from 1, as a driver does.
async fn updated(store: &Store, number: u64, name: &HostName) {
    let mut run = run(name);
    run.id = uphaul_core::ids::RunId::from_bits(number);
    let lease = store.acquire(name, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
    let lease = lease.unwrap().unwrap();
    store.create_run(&lease, &run, "ana", 10_000_000).await.unwrap();
    let ok = || Input::Succeeded(Observation::Nothing);
    let previous = Previous { revision: "1".repeat(40).parse().unwrap(), healthy: true };
    let proved = Input::Succeeded(Observation::Previous(previous));
    for input in [Input::Start, ok(), proved, ok(), ok(), ok(), ok(), ok()] {
        let moved = step(&run.plan, &run.state, input).unwrap();
        let (proved, at_us) = (moved.proved(&run.plan), 1_767_323_045_123_456);
        run.seq = run.seq.next();
        let (id, input, state) = (run.id.clone(), moved.input, moved.to.clone());
        store
            .append(&lease, &Entry { run: id, seq: run.seq, input, state, proved, at_us, evidence: None })
            .await
            .unwrap();
        run.state = moved.to;
    }
    store.release(&lease).await.unwrap();
}

/// The whole story of a table: planned, adopted, used, and nothing of it that is not Uphaul's was changed.
async fn story(theirs: Theirs) {
    let (url, adopted) = (theirs.url(), camel());
    let before = theirs.lines(THEIRS).await;
    let told = Store::open_adopted(&url, &adopted).await.unwrap_err().to_string();
    assert!(told.contains("uphaul db adopt --plan"), "{told}");
    let plan = Store::plan_adoption(&url, &adopted).await.unwrap();
    let on_it: Vec<&String> =
        plan.iter().filter(|text| text.starts_with("ALTER TABLE \"subscriptions\"")).collect();
    assert_eq!(on_it.len(), 5, "{plan:#?}");
    assert!(plan.iter().all(|text| on_it.contains(&text) || text.contains("uphaul_")), "{plan:#?}");
    assert_eq!(Store::plan_adoption(&url, &adopted).await.unwrap(), plan, "a plan changes nothing");
    assert_eq!(Store::adopt(&url, &adopted).await.unwrap(), plan);
    assert!(Store::adopt(&url, &adopted).await.unwrap().is_empty(), "a second time there is nothing to do");

    let store = Store::open_adopted(&url, &adopted).await.unwrap();
    let hosts = store.hosts().await.unwrap();
    let shown: Vec<String> = hosts
        .iter()
        .map(|host| {
            format!(
                "{} {} {:?} {:?}",
                host.name,
                host.address,
                host.port,
                host.user.as_ref().map(|u| u.as_str())
            )
        })
        .collect();
    assert_eq!(shown, ["acme 192.0.2.1 Some(2222) Some(\"deploy\")", "beta 2001:db8::2 None None"]);

    let (acme, beta): (HostName, HostName) = ("acme".parse().unwrap(), "beta".parse().unwrap());
    let labels_set = [("tier".to_owned(), "edge".to_owned())].into();
    let edited = store.edit_host(&acme, &HostEdit { labels_set, ..HostEdit::default() }).await.unwrap();
    assert_eq!(edited.labels["tier"], "edge");
    let named = Store::names(&url, Some(&adopted)).await.unwrap();
    assert_eq!(named, [("acme".to_owned(), edited.labels), ("beta".to_owned(), BTreeMap::new())]);
    updated(&store, 1, &acme).await;
    store.observe(&beta, &"7".repeat(40).parse().unwrap(), 99_000_000).await.unwrap();
    let host = store.host(&acme).await.unwrap().unwrap();
    assert_eq!(host.last_update_at_us, Some(1_767_323_045_123_456), "to the microsecond");
    assert_eq!((host.update_status.as_deref(), host.labels["tier"].as_str()), (Some("updated"), "edge"));
    assert_eq!(store.host(&beta).await.unwrap().unwrap().proved_at_us, Some(99_000_000));
    assert_eq!(store.check().await.unwrap().faults, Vec::<String>::new());

    // The rows of the others are as they were, the trigger fired, and the row of the same name that is no host was left alone.
    assert_eq!(theirs.lines(THEIRS).await, before);
    let ours = theirs.lines(OURS).await;
    assert_eq!(ours[0], "221|updated|touched");
    assert!(ours[1].starts_with("7--|-|"), "{ours:?}");
    assert_eq!(ours[2..], ["---|-|-", "---|-|-"]);

    for told in [
        store.add_hosts(&[new_host("new")], 0).await.unwrap_err(),
        store.import_hosts(&[new_host("new")], 0).await.unwrap_err(),
        store.remove_host(&acme, true).await.unwrap_err(),
        store
            .edit_host(&acme, &HostEdit { address: Some("x".into()), ..HostEdit::default() })
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(told, StoreError::NotOurs { .. }), "{told}");
    }
    let nobody =
        store.acquire(&"nobody".parse().unwrap(), &process::this_owner(), Duration::ZERO, &|_| false).await;
    assert!(matches!(nobody, Err(StoreError::NoSuchHost(_))), "{nobody:?}");

    row_moves(&theirs, &store, &acme).await;
    bad_rows(&theirs, &store).await;
    store.close().await;
}

/// In the middle of a run its row leaves the condition, and another takes its name: the run stays with its row.
async fn row_moves(theirs: &Theirs, store: &Store, acme: &HostName) {
    let lease = store.acquire(acme, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
    let (lease, mut run) = (lease.unwrap().unwrap(), run(acme));
    run.id = uphaul_core::ids::RunId::from_bits(2);
    store.create_run(&lease, &run, "ana", 20_000_000).await.unwrap();
    theirs
        .execute("UPDATE \"subscriptions\" SET \"active\" = NOT \"active\" WHERE \"hostName\" = 'acme'")
        .await;
    let moved = step(&run.plan, &run.state, Input::Start).unwrap();
    let (input, state, seq) = (moved.input, moved.to, run.seq.next());
    store
        .append(&lease, &Entry { run: run.id, seq, input, state, proved: None, at_us: 1, evidence: None })
        .await
        .unwrap();
    let ours = theirs.lines(OURS).await;
    assert!(ours[0].contains("|preparing|") && ours[2].starts_with("---|-|"), "{ours:?}");
    store.release(&lease).await.unwrap();
    let told = store.acquire(acme, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
    let told = told.unwrap_err().to_string();
    assert!(told.contains("another row has its name now"), "{told}");

    // Nobody has its name: the run is brought to its end on its row, which is no host of that name for anybody else.
    for change in [
        "UPDATE \"subscriptions\" SET \"active\" = false WHERE \"customerId\" = 'c3'",
        "UPDATE \"subscriptions\" SET \"hostName\" = 'renamed' WHERE \"customerId\" = 'c1'",
    ] {
        theirs.execute(change).await;
        assert_eq!(store.host(acme).await.unwrap().unwrap().address, "192.0.2.1");
        assert!(store.hosts().await.unwrap().iter().all(|host| host.name != *acme));
        let lease = store.acquire(acme, &process::this_owner(), Duration::from_secs(30), &|_| false).await;
        store.release(&lease.unwrap().unwrap()).await.unwrap();
    }
    assert_eq!(store.host(&"renamed".parse().unwrap()).await.unwrap(), None, "it is not active");
    theirs.execute("UPDATE \"subscriptions\" SET \"hostName\" = 'acme' WHERE \"customerId\" = 'c1'").await;
    theirs.execute("UPDATE \"subscriptions\" SET \"active\" = true WHERE \"customerId\" = 'c3'").await;
    theirs
        .execute("UPDATE \"subscriptions\" SET \"active\" = NOT \"active\" WHERE \"hostName\" = 'acme'")
        .await;
}

/// What cannot be a host is told with its name and the way out, and is never half of the answer.
async fn bad_rows(theirs: &Theirs, store: &Store) {
    for (change, back, words) in [
        (
            "UPDATE \"subscriptions\" SET \"active\" = true WHERE \"customerId\" = 'c3'",
            "UPDATE \"subscriptions\" SET \"active\" = false WHERE \"customerId\" = 'c3'",
            ["host acme cannot be read", "several rows have this name"],
        ),
        (
            "UPDATE \"subscriptions\" SET \"active\" = true WHERE \"customerId\" = 'c4'",
            "UPDATE \"subscriptions\" SET \"active\" = false WHERE \"customerId\" = 'c4'",
            ["Not a host", "leave it out by database.subscriptions.where"],
        ),
        (
            "UPDATE \"subscriptions\" SET \"sshPort\" = 70000 WHERE \"customerId\" = 'c2'",
            "UPDATE \"subscriptions\" SET \"sshPort\" = NULL WHERE \"customerId\" = 'c2'",
            ["port of host beta", "mend the row"],
        ),
        (
            "UPDATE \"subscriptions\" SET \"sshUser\" = '-oProxyCommand=x' WHERE \"customerId\" = 'c2'",
            "UPDATE \"subscriptions\" SET \"sshUser\" = NULL WHERE \"customerId\" = 'c2'",
            ["login_user of host beta", "mend the row"],
        ),
        (
            "UPDATE \"subscriptions\" SET \"ipAddress\" = NULL WHERE \"customerId\" = 'c2'",
            "UPDATE \"subscriptions\" SET \"ipAddress\" = '192.0.2.2' WHERE \"customerId\" = 'c2'",
            ["address of host beta", "must be 1 to 255 bytes"],
        ),
    ] {
        theirs.execute(change).await;
        let told = store.hosts().await.unwrap_err().to_string();
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        theirs.execute(back).await;
        store.hosts().await.unwrap();
    }
}

#[tokio::test]
async fn a_table_of_an_orm_in_postgres() {
    if let Some(theirs) = Theirs::postgres() {
        story(theirs).await;
    }
}

#[tokio::test]
async fn a_table_of_an_orm_in_sqlite() {
    story(Theirs::sqlite().await).await;
}

/// Serial and text ids, snake case, a schema, columns that the program has made itself, and times of each kind.
#[tokio::test]
async fn other_tables_in_postgres() {
    let server = match Postgres::start() {
        Ok(server) => server,
        Err(why) => return postgres_server::skip(&why),
    };
    for (place, (id, more, columns, added)) in [
        ("serial", "", Naming::SnakeCase, 5),
        ("bigserial", ", last_update_at timestamp", Naming::SnakeCase, 4),
        ("text", ", last_update_at bigint, update_status varchar(40)", Naming::SnakeCase, 3),
        ("varchar(30)", ", \"lastUpdateAt\" timestamp(6) with time zone", Naming::CamelCase, 4),
    ]
    .into_iter()
    .enumerate()
    {
        let key = if id.contains("serial") { "DEFAULT" } else { "'key'" };
        server.run(&format!(
            "CREATE SCHEMA s{place}; CREATE TABLE s{place}.\"Custo\"\"mers\" (id {id} PRIMARY KEY, name text, addr text{more}); \
             INSERT INTO s{place}.\"Custo\"\"mers\" (id, name, addr) VALUES ({key}, 'web-1', '192.0.2.1')"
        ));
        let adopted = Adopted {
            table: format!("s{place}.Custo\"mers").parse().unwrap(),
            name: ident("name"),
            address: ident("addr"),
            port: None,
            user: None,
            filter: None,
            columns,
            ..camel()
        };
        let url = server.url();
        let run = Store::adopt(&url, &adopted).await.unwrap();
        assert_eq!(run.iter().filter(|text| text.contains("Custo")).count(), added, "{run:#?}");
        let store = Store::open_adopted(&url, &adopted).await.unwrap();
        let name: HostName = "web-1".parse().unwrap();
        // Their row ids differ, and the row beside is the same: only a finished run lets go of the row.
        updated(&store, u64::try_from(place).unwrap() + 1, &name).await;
        let host = store.host(&name).await.unwrap().unwrap();
        assert_eq!(host.last_update_at_us, Some(1_767_323_045_123_456), "{id}");
        assert_eq!(host.current_version.unwrap().as_str(), "2".repeat(40));
        store.close().await;
    }
}

/// What would refuse a commit or a state at the first write is refused before anything is.
#[tokio::test]
async fn columns_that_are_too_short_are_told() {
    for (column, kind, fits) in [
        ("current_version", "character varying(40)", false),
        ("target_version", "character varying(63)", false),
        ("previous_version", "character varying(64)", true),
        ("update_status", "character varying(15)", false),
        ("update_status", "character varying(16)", true),
        ("update_status", "character varying", true),
        ("update_status", "text[]", false),
        ("update_status", "textual", false),
    ] {
        let adopted = Adopted { port: None, user: None, columns: Naming::SnakeCase, ..camel() };
        let columns = ["id", "hostName", "ipAddress"].map(|name| (name.to_owned(), "text".to_owned()));
        let columns = columns.into_iter().chain([(column.to_owned(), kind.to_owned())]).collect();
        let told = adopted.check(&columns, true).map_err(|why| why.to_string());
        assert_eq!(told.is_ok(), fits, "{column} {kind}: {told:?}");
        let words =
            |why: &str| why.contains(&format!("its column \"{column}\" is {kind}, and Uphaul writes"));
        assert!(told.err().is_none_or(|why| words(&why)), "{column} {kind}");
        // A length means nothing to SQLite.
        assert!(adopted.check(&columns, false).is_ok(), "{column} {kind}");
    }
    let Some(theirs) = Theirs::postgres() else { return };
    theirs.execute("ALTER TABLE \"subscriptions\" ADD COLUMN \"currentVersion\" varchar(10)").await;
    let told = Store::adopt(&theirs.url(), &camel()).await.unwrap_err().to_string();
    assert!(told.contains("\"currentVersion\" is character varying(10)"), "{told}");
    assert!(told.contains("Make it text, or varchar(64) at least"), "{told}");
}

#[tokio::test]
async fn what_is_described_wrongly_is_told_before_anything_is_touched() {
    let theirs = Theirs::sqlite().await;
    let mut told = String::new();
    let schema: TableName = "public.subscriptions".parse().unwrap();
    for adopted in [
        Adopted { table: "subscription".parse().unwrap(), ..camel() },
        Adopted { table: schema, ..camel() },
        Adopted { address: ident("address"), ..camel() },
        // SQLite would take this one for a text.
        Adopted { port: Some(ident("ssh_port")), ..camel() },
    ] {
        told += &format!("{}\n", Store::adopt(&theirs.url(), &adopted).await.unwrap_err());
    }
    theirs.execute("ALTER TABLE subscriptions ADD COLUMN updateStatus integer").await;
    told += &format!("{}\n", Store::adopt(&theirs.url(), &camel()).await.unwrap_err());
    let nowhere = "sqlite:/nowhere/saas.db";
    told += &format!("{}\n", Store::open_adopted(nowhere, &camel()).await.unwrap_err());
    let Theirs::Sqlite(folder) = &theirs else { unreachable!() };
    let told = told.replace(&folder.path().display().to_string(), "[FOLDER]");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("adopted_wrongly", told);
    });
    let tables = theirs.lines("SELECT name AS line FROM sqlite_schema WHERE name LIKE 'uphaul%'").await;
    assert!(tables.is_empty(), "{tables:?}");
}

/// Names are one name, whatever is in them; conditions are one expression.
#[test]
fn names_and_conditions_cannot_leave_their_place() {
    for (name, shown) in
        [("a", "\"a\""), ("a\"; DROP TABLE x; --", "\"a\"\"; DROP TABLE x; --\""), ("ü b", "\"ü b\"")]
    {
        assert_eq!(ident(name).to_string(), shown);
    }
    let long = "x".repeat(64);
    for bad in ["", "a\0b", "a\nb", long.as_str()] {
        assert!(bad.parse::<Ident>().is_err(), "{bad:?}");
    }
    assert_eq!("a.b".parse::<TableName>().unwrap().to_string(), "\"a\".\"b\"");
    for good in
        ["active", "(\"a\" = 'it''s; -- (' OR NOT b)", "plan IN ('a', 'b') AND x IS NULL", "a - b > 0"]
    {
        assert!(good.parse::<Condition>().is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        "1) OR (1",
        "a; DROP TABLE x",
        "a -- b",
        "a /* b",
        "'a",
        "\"a",
        "(a",
        "a = $1",
        "a = ?",
        "E'\\''",
        "a\0",
    ] {
        assert!(bad.parse::<Condition>().is_err(), "{bad}");
    }
}

/// Nothing of ours stands under a name that another program may have.
#[test]
fn all_our_names_are_prefixed() {
    for text in ["sqlite", "postgres"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(text);
        for file in std::fs::read_dir(folder).unwrap() {
            let text = prefixed(&std::fs::read_to_string(file.unwrap().path()).unwrap());
            for words in ["CREATE TABLE ", "INDEX ", "ALTER TABLE ", "REFERENCES ", " ON "] {
                for name in text.split(words).skip(1).map(|rest| rest.trim_start()) {
                    let ours = name.starts_with("uphaul_") || name.starts_with("DELETE");
                    assert!(ours, "{words}{}", name.lines().next().unwrap_or_default());
                }
            }
        }
    }
    for (name, text) in sql::ALL {
        let text = prefixed(text);
        for words in [" FROM ", "INTO ", "UPDATE ", "JOIN "] {
            for rest in text.split(words).skip(1) {
                let theirs = ["sqlite_schema", "pragma_table_info", "SET"];
                let fine = rest.starts_with("uphaul_") || theirs.iter().any(|word| rest.starts_with(word));
                assert!(fine, "{name}: {words}{rest}");
            }
        }
    }
}
