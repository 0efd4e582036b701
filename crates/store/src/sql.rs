//! The SQL that every dialect understands as it stands: `$N` placeholders, integers of 64 bits, times in
//! microseconds, JSON as text, and counts of affected rows where another database would lock.

/// The columns of a host, in the order of [`ADD_HOST`].
macro_rules! host_columns {
    () => {
        "name, address, port, login_user, labels, settings, current_version, target_version, update_status, \
         previous_version, last_update_at, proved_at, host_key"
    };
}
/// The columns of a run.
macro_rules! run_columns {
    () => {
        "id, host, plan, plan_version, seq, state, requested_by, started_at, finished_at"
    };
}
/// The columns of a lease.
macro_rules! lease_columns {
    () => {
        "host, token, owner_user, owner_machine, owner_pid, owner_pid_started, owner_boot_id, owner_machine_id, \
         owner_pid_namespace, beat, length, taken_at, heartbeat_at, expires_at"
    };
}

pub(crate) use lease_columns;

/// Gives each text a name, and all of them to the test that shows them to each dialect.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(crate) const $name: &str = $text;)*
        /// All of them, by name.
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

/// The tables of our own; nobody else's may stand in their place.
pub(crate) const OUR_TABLES: [&str; 7] =
    ["subscriptions", "rollouts", "runs", "run_events", "run_evidence", "leases", "rollout_hosts"];

/// The indexes of our own.
pub(crate) const OUR_INDEXES: [&str; 4] =
    ["runs_of_host", "runs_unfinished", "rollout_hosts_by_place", "rollout_hosts_by_run"];

texts! {
    /// The columns of a table, and their types.
    COLUMNS_OF = "SELECT name, type FROM pragma_table_info($1)";
    /// Where the hosts are rows of another program's table: makes the row that Uphaul keeps beside, and notes which
    /// row of that table is meant from now on. Affects one row, or the name is another row's in the middle of a run. Told
    /// only to a database that has such a table.
    PIN = "SELECT 1 FROM subscriptions WHERE name = $1 AND created_at > $2";
    /// Likewise: the one thing of a summary that stands in a table of our own then.
    PROVED = "UPDATE subscriptions SET proved_at = COALESCE($2, proved_at) WHERE name = $1";
    /// The tables that are there.
    TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
        ORDER BY name LIMIT 10000";
    /// The migrations that this database has had.
    APPLIED = "SELECT version, checksum FROM uphaul_migrations ORDER BY version LIMIT 10000";
    /// The time of the server that all use, in microseconds since 1970. SQLite has none of its own, and nothing there
    /// is decided by it.
    NOW = "SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now";
    /// Holds the row of a host until the transaction ends, so that what is read of it stays true. SQLite has locked the
    /// whole database already.
    LOCK_HOST = "SELECT 1 FROM subscriptions WHERE name = $1";
    /// The same of the lease of a host. Whoever needs several locks takes them in this order: lease, run, host.
    LOCK_LEASE = "SELECT 1 FROM leases WHERE host = $1";
    ADD_HOST = "INSERT INTO subscriptions (name, address, port, login_user, labels, settings, created_at, \
        host_key, runs_after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, \
        (SELECT COALESCE(MAX(number), 0) FROM runs)) ON CONFLICT (name) DO NOTHING";
    COUNT_HOSTS = "SELECT COUNT(*) AS hosts FROM subscriptions";
    HOST = concat!("SELECT ", host_columns!(), " FROM subscriptions WHERE name = $1");
    /// Where the hosts are rows of another program's table: the row that the unfinished run of this name keeps to, whatever
    /// it is called now and whether the condition holds. Told only to a database that has such a table.
    PINNED_HOST = concat!("SELECT ", host_columns!(), " FROM subscriptions WHERE name = $1 AND address = ''");
    HOSTS = concat!("SELECT ", host_columns!(), " FROM subscriptions ORDER BY name");
    HOSTS_AFTER =
        concat!("SELECT ", host_columns!(), " FROM subscriptions WHERE name > $1 ORDER BY name LIMIT $2");
    RUNS_ARE_AFTER = "SELECT name, runs_after FROM subscriptions";
    EDIT_HOST = "UPDATE subscriptions SET address = $2, port = $3, login_user = $4, labels = $5, settings = $6, \
        host_key = $7 WHERE name = $1";
    REMOVE_HOST = "DELETE FROM subscriptions WHERE name = $1";
    /// What was asked for; the run is written in the same transaction.
    ASK = "UPDATE subscriptions SET target_version = $2, update_status = $3 WHERE name = $1";
    /// The summary of one transition. A column whose value is NULL here keeps what it has.
    SUMMARISE = "UPDATE subscriptions SET update_status = $2, current_version = COALESCE($3, current_version), \
        proved_at = COALESCE($4, proved_at), previous_version = COALESCE($5, previous_version), \
        last_update_at = COALESCE($6, last_update_at) WHERE name = $1";
    /// What was seen outside of a run.
    OBSERVE = "UPDATE subscriptions SET current_version = $2, proved_at = $3, \
        update_status = COALESCE($4, update_status) WHERE name = $1";

    CREATE_RUN = "INSERT INTO runs (id, host, goal, plan, plan_version, seq, state, status, requested_by, \
        started_at) VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";
    RUN = concat!("SELECT ", run_columns!(), " FROM runs WHERE id = $1");
    RUNS_OF_HOST =
        concat!("SELECT ", run_columns!(), " FROM runs WHERE host = $1 ORDER BY number DESC LIMIT $2");
    RECENT_RUNS = concat!("SELECT ", run_columns!(), " FROM runs ORDER BY number DESC LIMIT $1");
    RUNS_AFTER =
        concat!("SELECT number, ", run_columns!(), " FROM runs WHERE number > $1 ORDER BY number LIMIT $2");
    UNFINISHED_RUNS =
        concat!("SELECT ", run_columns!(), " FROM runs WHERE finished_at IS NULL ORDER BY number");
    UNFINISHED_RUN_OF =
        concat!("SELECT ", run_columns!(), " FROM runs WHERE host = $1 AND finished_at IS NULL");
    UNFINISHED_ID_OF = "SELECT id FROM runs WHERE host = $1 AND finished_at IS NULL";
    /// The compare-and-swap of the log: it affects one row, or this driver has lost.
    ADVANCE = "UPDATE runs SET seq = $2, state = $3, status = $4, finished_at = $5 \
        WHERE id = $1 AND host = $6 AND seq = $7 AND plan_version <= $8 AND finished_at IS NULL";
    WHERE_RUN_IS = "SELECT host, seq, plan_version, status FROM runs WHERE id = $1";
    ADD_EVENT = "INSERT INTO run_events (run, seq, at, input, state, label, proved) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    /// The last transition of a run, while this token holds its host.
    LAST_EVENT = "SELECT e.seq, e.at, e.input, e.state, e.proved FROM runs r \
        JOIN run_events e ON e.run = r.id AND e.seq = r.seq JOIN leases l ON l.host = r.host \
        WHERE r.id = $1 AND l.token = $2";
    EVENTS = "SELECT seq, at, input, state, proved FROM run_events WHERE run = $1 ORDER BY seq LIMIT $2";
    EVENTS_AFTER = "SELECT seq, at, input, state, proved FROM run_events WHERE run = $1 AND seq > $2 \
        ORDER BY seq LIMIT $3";

    ADD_EVIDENCE = "INSERT INTO run_evidence (run, seq, at, step, seen) VALUES ($1, $2, $3, $4, $5)";
    EVIDENCE = "SELECT seq, at, seen FROM run_evidence WHERE run = $1 ORDER BY seq LIMIT $2";
    HAS_EVIDENCE = "SELECT seq FROM run_evidence WHERE run = $1 LIMIT 1";

    LOST_EVENTS = "SELECT DISTINCT e.run AS lost FROM run_events e \
        WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = e.run) LIMIT 100";
    LOST_EVIDENCE = "SELECT DISTINCT v.run AS lost FROM run_evidence v \
        WHERE NOT EXISTS (SELECT 1 FROM run_events e WHERE e.run = v.run AND e.seq = v.seq) LIMIT 100";
    LOST_LEASES = "SELECT l.host AS lost FROM leases l \
        WHERE NOT EXISTS (SELECT 1 FROM subscriptions s WHERE s.name = l.host) LIMIT 100";
    LOST_ROLLOUT_HOSTS = "SELECT DISTINCT h.rollout AS lost FROM rollout_hosts h \
        WHERE NOT EXISTS (SELECT 1 FROM rollouts r WHERE r.id = h.rollout) LIMIT 100";

    TAKE = concat!("INSERT INTO leases (", lease_columns!(), ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, \
        $10, $11, $11, $12) ON CONFLICT (host) DO NOTHING");
    /// The compare-and-swap of a takeover: whoever wrote since `$13` and `$14` were read keeps the host.
    TAKE_OVER = "UPDATE leases SET token = $2, owner_user = $3, owner_machine = $4, owner_pid = $5, \
        owner_pid_started = $6, owner_boot_id = $7, owner_machine_id = $8, owner_pid_namespace = $9, \
        beat = beat + 1, length = $10, taken_at = $11, heartbeat_at = $11, expires_at = $12 \
        WHERE host = $1 AND token = $13 AND beat = $14";
    /// `expired` is never said here: SQLite has no clock that two machines share.
    LEASE = concat!("SELECT ", lease_columns!(), ", 0 AS expired FROM leases WHERE host = $1");
    LEASES = concat!("SELECT ", lease_columns!(), ", 0 AS expired FROM leases ORDER BY host");
    /// Affects one row while the token holds. Writing the row also holds off a takeover until the transaction ends.
    BEAT = "UPDATE leases SET beat = beat + 1, heartbeat_at = $3, expires_at = $3 + length \
        WHERE host = $1 AND token = $2";
    RELEASE = "DELETE FROM leases WHERE host = $1 AND token = $2";
}
