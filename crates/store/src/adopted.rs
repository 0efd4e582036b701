//! Hosts that are rows of a table of another program.
//!
//! That table gets the five version columns and nothing else; its rows are the program's. What Uphaul needs beside
//! them (labels, settings, leases, runs) stands in tables of its own, all of whose names begin with `uphaul_`. This is
//! the one place where a name out of the configuration becomes part of a statement: each is checked, and quoted.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use uphaul_core::ids::InvalidName;

use crate::conn::{Conn, query};
use crate::db::Fault;
use crate::error::Cause;
use crate::sql;

/// A name of a table, a schema or a column, as it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ident(String);

impl FromStr for Ident {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = |why: &str| Err(InvalidName::new("name in the database", text, why));
        // Postgres cuts a longer one, and would then speak of another.
        if text.is_empty() || text.len() > 63 {
            return bad("must be 1 to 63 bytes");
        }
        if text.chars().any(char::is_control) {
            return bad("has a control character");
        }
        Ok(Self(text.to_owned()))
    }
}

/// Quoted, as it stands in a statement: whatever is in it, it is one name.
impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A table, with its schema where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableName {
    schema: Option<Ident>,
    table: Ident,
}

impl FromStr for TableName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('.') {
            Some((schema, table)) => Ok(Self { schema: Some(schema.parse()?), table: table.parse()? }),
            None => Ok(Self { schema: None, table: text.parse()? }),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        write!(f, "{}", self.table)
    }
}

/// A condition on rows, in the words of the database: one expression, which cannot end the statement that it is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition(String);

impl FromStr for Condition {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bad = |why: &str| Err(InvalidName::new("condition", text, why));
        if text.trim().is_empty() || text.len() > 2000 {
            return bad("must be 1 to 2000 bytes");
        }
        let (mut depth, mut quote) = (0_i32, None);
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if let Some(open) = quote {
                // A doubled quote closes and opens again.
                quote = (letter != open).then_some(open);
                continue;
            }
            match (letter, letters.peek()) {
                ('\'' | '"', _) => quote = Some(letter),
                ('(', _) => depth += 1,
                (')', _) => depth -= 1,
                (';' | '\0' | '$' | '?' | '\\', _) | ('-', Some('-')) | ('/', Some('*')) => {
                    return bad("has a `;`, a comment, a placeholder or a backslash outside of quotes");
                }
                _ => {}
            }
            if depth < 0 {
                break;
            }
        }
        if depth != 0 || quote.is_some() {
            return bad("has a parenthesis or a quote without its other half");
        }
        Ok(Self(text.trim().to_owned()))
    }
}

/// How the five columns are named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Naming {
    /// `current_version`
    #[default]
    SnakeCase,
    /// `"currentVersion"`
    CamelCase,
}

/// A table of another program, and which of its columns say what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// The table.
    pub table: TableName,
    /// The column that tells its rows apart for ever: the primary key.
    pub id: Ident,
    /// The column with the name of the host.
    pub name: Ident,
    /// The column with its address.
    pub address: Ident,
    /// The column with its port, if there is one.
    pub port: Option<Ident>,
    /// The column with the user that logs in, if there is one.
    pub user: Option<Ident>,
    /// Which rows are hosts; without it all are.
    pub filter: Option<Condition>,
    /// How the five columns are named.
    pub columns: Naming,
}

/// The five columns, in one naming and the other.
const FIVE: [(&str, &str); 5] = [
    ("current_version", "currentVersion"),
    ("target_version", "targetVersion"),
    ("update_status", "updateStatus"),
    ("previous_version", "previousVersion"),
    ("last_update_at", "lastUpdateAt"),
];

/// The columns of the table as they are, with their types.
pub(crate) type Columns = BTreeMap<String, String>;

impl Adopted {
    fn five(&self) -> [Ident; 5] {
        FIVE.map(|(snake, camel)| match self.columns {
            Naming::SnakeCase => Ident(snake.to_owned()),
            Naming::CamelCase => Ident(camel.to_owned()),
        })
    }

    /// Looks at the table; nothing is written.
    pub(crate) async fn describe(&self, conn: &mut Conn) -> Result<Columns, Fault> {
        // SQLite takes the bare name, Postgres one that is quoted.
        let name = if conn.is_postgres() { self.table.to_string() } else { self.table.table.0.clone() };
        let rows = query(sql::COLUMNS_OF).bind(name).fetch_all(conn).await?;
        rows.iter().map(|row| Ok((row.text("name")?, row.text("type")?.to_lowercase()))).collect()
    }

    /// Says what is wrong with the table: it is not there, lacks a column that is named, or has one of the five that is
    /// of another kind.
    pub(crate) fn check(&self, columns: &Columns, postgres: bool) -> Result<(), Cause> {
        let table = self.table.to_string();
        if self.table.schema.is_some() && !postgres {
            let detail = "a SQLite database has no schemas; name the table alone".to_owned();
            return Err(Cause::Table { table, detail });
        }
        if columns.is_empty() {
            let detail = "it is not there. Check database.subscriptions.table".to_owned();
            return Err(Cause::Table { table, detail });
        }
        let mapped = [("id", Some(&self.id)), ("name", Some(&self.name)), ("address", Some(&self.address))];
        let maybe = [("port", self.port.as_ref()), ("user", self.user.as_ref())];
        for (key, column) in mapped.into_iter().chain(maybe) {
            let Some(column) = column else { continue };
            if !columns.contains_key(&column.0) {
                let has: Vec<&str> = columns.keys().map(String::as_str).collect();
                let detail = format!(
                    "it has no column {column} (database.subscriptions.{key}); it has {}",
                    has.join(", ")
                );
                return Err(Cause::Table { table, detail });
            }
        }
        for (column, room) in self.five().iter().zip(ROOM) {
            let Some(kind) = columns.get(&column.0) else { continue };
            let rename = "Rename it, or choose the other database.subscriptions.columns";
            let (wants, mend) = match room {
                None if time_of(kind, postgres).is_none() => {
                    (TIMES[usize::from(postgres)], rename.to_owned())
                }
                Some(_) if !is_text(kind, postgres) => ("text", rename.to_owned()),
                Some(room) if !holds(kind, room, postgres) => {
                    ("more than it holds", format!("Make it text, or varchar({room}) at least"))
                }
                None | Some(_) => continue,
            };
            let detail = format!("its column {column} is {kind}, and Uphaul writes {wants}. {mend}");
            return Err(Cause::Table { table, detail });
        }
        Ok(())
    }

    /// The statements that add what is missing of the five columns.
    pub(crate) fn missing(&self, columns: &Columns, postgres: bool) -> Vec<String> {
        let time = if postgres { "timestamp with time zone" } else { "integer" };
        let five = self.five();
        let missing = five.iter().enumerate().filter(|(_, column)| !columns.contains_key(&column.0));
        missing
            .map(|(place, column)| {
                let kind = if place == 4 { time } else { "text" };
                format!("ALTER TABLE {} ADD COLUMN {column} {kind}", self.table)
            })
            .collect()
    }

    /// The names and labels of the hosts, at most `$1` of them.
    pub(crate) fn names(&self) -> String {
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE ({})", filter.0)).unwrap_or_default();
        let named = format!("CAST(t.{} AS TEXT)", self.name);
        format!(
            "SELECT {named} AS name, COALESCE(e.labels, '{{}}') AS labels FROM (SELECT * FROM {}{filter}) t \
             LEFT JOIN uphaul_subscriptions e ON e.name = {named} ORDER BY {named} LIMIT $1",
            self.table
        )
    }

    /// The statements of `sql` that speak of hosts, for this table.
    pub(crate) fn texts(&self, columns: &Columns, postgres: bool) -> Vec<(&'static str, String)> {
        let [current, target, status, previous, last] = self.five();
        let (table, name, id) = (&self.table, &self.name, &self.id);
        let filter = self.filter.as_ref().map(|filter| format!(" WHERE ({})", filter.0)).unwrap_or_default();
        let time = columns.get(&last.0).and_then(|kind| time_of(kind, postgres)).unwrap_or(Time::Micros);
        let optional = |column: &Option<Ident>, kind: &str| match column {
            Some(column) => format!("CAST(t.{column} AS {kind})"),
            None => format!("CAST(NULL AS {kind})"),
        };
        let named = format!("CAST(t.{name} AS TEXT)");
        // As text, Postgres gives an address of this type the length of its net.
        let address = match columns.get(&self.address.0).map(String::as_str) {
            Some("inet") => format!("host(t.{})", self.address),
            Some(_) | None => format!("CAST(t.{} AS TEXT)", self.address),
        };
        // The condition speaks of the columns of its own table alone.
        let from = format!("FROM (SELECT * FROM {table}{filter}) t");
        let row = format!(
            "COALESCE({address}, '') AS address, {} AS port, \
             {} AS login_user, COALESCE(e.labels, '{{}}') AS labels, COALESCE(e.settings, '{{}}') AS settings, \
             CAST(t.{current} AS TEXT) AS current_version, CAST(t.{target} AS TEXT) AS target_version, \
             CAST(t.{status} AS TEXT) AS update_status, CAST(t.{previous} AS TEXT) AS previous_version, \
             {} AS last_update_at, e.proved_at AS proved_at, e.host_key AS host_key",
            optional(&self.port, "BIGINT"),
            optional(&self.user, "TEXT"),
            time.read(&format!("t.{last}")),
        );
        let beside = format!("LEFT JOIN uphaul_subscriptions e ON e.name = {named}");
        let select = format!("SELECT COALESCE({named}, '') AS name, {row} {from} {beside}");
        let bytes = if postgres { " COLLATE \"C\"" } else { "" };
        // The row that was pinned when the host was taken: the condition may not hold any more, the name be another's.
        let kind = columns.get(&id.0).map_or("text", String::as_str);
        let row_id = "(SELECT row_id FROM uphaul_subscriptions WHERE name = $1)";
        let pinned = if postgres {
            format!("WHERE {id} = CAST({row_id} AS {kind})")
        } else {
            format!("WHERE {id} = {row_id}")
        };
        let lock = if postgres { " FOR NO KEY UPDATE" } else { "" };
        vec![
            (sql::HOST, format!("{select} WHERE {named} = $1")),
            (
                sql::PINNED_HOST,
                format!(
                    "SELECT e.name AS name, {row} FROM (SELECT * FROM {table} {pinned}) t \
                     JOIN uphaul_subscriptions e ON e.name = $1 \
                     WHERE EXISTS (SELECT 1 FROM uphaul_runs r WHERE r.host = $1 AND r.finished_at IS NULL)"
                ),
            ),
            (sql::HOSTS, format!("{select} ORDER BY {named}{bytes}")),
            (
                sql::HOSTS_AFTER,
                format!("{select} WHERE {named}{bytes} > $1 ORDER BY {named}{bytes} LIMIT $2"),
            ),
            (sql::LOCK_HOST, format!("SELECT 1 FROM {table} {pinned}{lock}")),
            (sql::ASK, format!("UPDATE {table} SET {target} = $2, {status} = $3 {pinned}")),
            (
                sql::SUMMARISE,
                format!(
                    "UPDATE {table} SET {status} = $2, {current} = COALESCE($3, {current}), \
                     {previous} = COALESCE($5, {previous}), {last} = COALESCE({}, {last}) {pinned} \
                     AND (CAST($4 AS BIGINT) IS NULL OR CAST($4 AS BIGINT) IS NOT NULL)",
                    time.write("$6"),
                ),
            ),
            (
                sql::OBSERVE,
                format!(
                    "UPDATE {table} SET {current} = $2, {status} = COALESCE($4, {status}) {pinned} \
                     AND CAST($3 AS BIGINT) IS NOT NULL"
                ),
            ),
            (
                sql::PIN,
                format!(
                    "INSERT INTO uphaul_subscriptions (name, address, labels, settings, created_at, row_id) \
                     SELECT CAST($1 AS TEXT), '', '{{}}', '{{}}', CAST($2 AS BIGINT), CAST(t.{id} AS TEXT) {from} \
                     WHERE {named} = $1 ON CONFLICT (name) DO UPDATE SET row_id = excluded.row_id \
                     WHERE uphaul_subscriptions.row_id IS NULL OR uphaul_subscriptions.row_id = excluded.row_id \
                     OR NOT EXISTS (SELECT 1 FROM uphaul_runs r WHERE r.host = $1 AND r.finished_at IS NULL)"
                ),
            ),
        ]
    }
}

const TIMES: [&str; 2] =
    ["integer (microseconds since 1970)", "timestamp or bigint (microseconds since 1970)"];

/// How many characters are written at most into each of the five: a commit of SHA-256, a word of a state; none is the time.
const ROOM: [Option<usize>; 5] = [Some(64), Some(64), Some(16), Some(64), None];

fn is_text(kind: &str, postgres: bool) -> bool {
    if postgres {
        // By its whole name: an array of texts is none, nor is what somebody called textual.
        return matches!(kind.split('(').next(), Some("text" | "character varying")) && !kind.ends_with(']');
    }
    ["text", "character varying", "varchar"].iter().any(|text| kind.starts_with(text))
}

/// Whether a text of that length can be written there. SQLite enforces no length, whatever is declared.
fn holds(kind: &str, room: usize, postgres: bool) -> bool {
    let length = kind.split_once('(').and_then(|(_, rest)| rest.trim_end_matches(')').parse::<usize>().ok());
    !postgres || length.is_none_or(|length| length >= room)
}

/// How a time is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    /// Microseconds since 1970.
    Micros,
    /// `timestamp with time zone`
    Zoned,
    /// `timestamp without time zone`, taken as UTC
    Unzoned,
}

fn time_of(kind: &str, postgres: bool) -> Option<Time> {
    match (postgres, kind) {
        (true, "bigint") | (false, "integer" | "bigint") => Some(Time::Micros),
        (true, _) if kind.starts_with("timestamp") && kind.ends_with("with time zone") => Some(Time::Zoned),
        (true, _) if kind.starts_with("timestamp") => Some(Time::Unzoned),
        (true | false, _) => None,
    }
}

impl Time {
    fn read(self, column: &str) -> String {
        match self {
            Self::Micros => format!("CAST({column} AS BIGINT)"),
            Self::Zoned | Self::Unzoned => format!("CAST(EXTRACT(EPOCH FROM {column}) * 1000000 AS BIGINT)"),
        }
    }

    fn write(self, value: &str) -> String {
        match self {
            Self::Micros => format!("CAST({value} AS BIGINT)"),
            Self::Zoned => {
                format!("TIMESTAMPTZ 'epoch' + CAST({value} AS BIGINT) * INTERVAL '1 microsecond'")
            }
            Self::Unzoned => {
                format!("TIMESTAMP 'epoch' + CAST({value} AS BIGINT) * INTERVAL '1 microsecond'")
            }
        }
    }
}
