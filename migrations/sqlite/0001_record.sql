-- Hosts, runs, their log and leases. The same numbers, tables and columns stand in ../postgres.
-- Times are microseconds since 1970-01-01 UTC. JSON is text. Flags and counts are integers.

-- One row a host. The five version columns are the summary of run_events, written in the same transaction.
CREATE TABLE subscriptions (
    name TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    port INTEGER,
    login_user TEXT,
    labels TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    current_version TEXT,
    target_version TEXT,
    update_status TEXT,
    previous_version TEXT,
    last_update_at INTEGER,
    proved_at INTEGER
) STRICT;

-- Runs over many hosts, in waves.
CREATE TABLE rollouts (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    plan_version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

-- One host going to one version. No reference to subscriptions: the history outlives its host.
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    host TEXT NOT NULL,
    goal TEXT NOT NULL,
    plan TEXT NOT NULL,
    plan_version INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER
) STRICT;

CREATE INDEX runs_of_host ON runs (host, number);
-- A host has at most one run that is not finished.
CREATE UNIQUE INDEX runs_unfinished ON runs (host) WHERE finished_at IS NULL;

-- The log: each transition of each run, written before its command is performed.
CREATE TABLE run_events (
    run TEXT NOT NULL REFERENCES runs (id),
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL,
    label TEXT NOT NULL,
    proved TEXT,
    PRIMARY KEY (run, seq)
) STRICT, WITHOUT ROWID;

-- Who drives a host now. beat counts what the holder writes; no time in here decides anything.
CREATE TABLE leases (
    host TEXT NOT NULL PRIMARY KEY REFERENCES subscriptions (name) ON DELETE CASCADE,
    token TEXT NOT NULL,
    owner_user TEXT NOT NULL,
    owner_machine TEXT NOT NULL,
    owner_pid INTEGER NOT NULL,
    owner_pid_started INTEGER NOT NULL,
    owner_boot_id TEXT NOT NULL,
    owner_machine_id TEXT NOT NULL,
    owner_pid_namespace TEXT NOT NULL,
    beat INTEGER NOT NULL,
    length INTEGER NOT NULL,
    taken_at INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- The hosts of a rollout. No reference to subscriptions, like runs.
CREATE TABLE rollout_hosts (
    rollout TEXT NOT NULL REFERENCES rollouts (id),
    host TEXT NOT NULL,
    wave INTEGER NOT NULL,
    place INTEGER NOT NULL,
    status TEXT NOT NULL,
    run TEXT REFERENCES runs (id),
    PRIMARY KEY (rollout, host)
) STRICT, WITHOUT ROWID;

CREATE INDEX rollout_hosts_by_place ON rollout_hosts (rollout, wave, place);
CREATE INDEX rollout_hosts_by_run ON rollout_hosts (run);
