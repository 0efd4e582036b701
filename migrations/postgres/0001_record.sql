-- Hosts, runs, their log and leases. The same numbers, tables and columns stand in ../sqlite.
-- Times are microseconds since 1970-01-01 UTC. JSON is text. Names sort
-- by their bytes, as SQLite sorts them. Flags and counts are integers.

-- One row a host. The five version columns are the summary of run_events, written in the same transaction.
CREATE TABLE subscriptions (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    port BIGINT,
    login_user TEXT,
    labels TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    current_version TEXT,
    target_version TEXT,
    update_status TEXT,
    previous_version TEXT,
    last_update_at BIGINT,
    proved_at BIGINT
);

-- Runs over many hosts, in waves.
CREATE TABLE rollouts (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    plan_version BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT
);

-- One host going to one version. No reference to subscriptions: the history outlives its host.
CREATE TABLE runs (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    host TEXT COLLATE "C" NOT NULL,
    goal TEXT NOT NULL,
    plan TEXT NOT NULL,
    plan_version BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    state TEXT NOT NULL,
    status TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT
);

CREATE INDEX runs_of_host ON runs (host, number);
-- A host has at most one run that is not finished.
CREATE UNIQUE INDEX runs_unfinished ON runs (host) WHERE finished_at IS NULL;

-- The log: each transition of each run, written before its command is performed.
CREATE TABLE run_events (
    run TEXT NOT NULL REFERENCES runs (id),
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    input TEXT NOT NULL,
    state TEXT NOT NULL,
    label TEXT NOT NULL,
    proved TEXT,
    PRIMARY KEY (run, seq)
);

-- Who drives a host now. beat counts what the holder writes; no time in here decides anything.
CREATE TABLE leases (
    host TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES subscriptions (name) ON DELETE CASCADE,
    token TEXT NOT NULL,
    owner_user TEXT NOT NULL,
    owner_machine TEXT NOT NULL,
    owner_pid BIGINT NOT NULL,
    owner_pid_started BIGINT NOT NULL,
    owner_boot_id TEXT NOT NULL,
    owner_machine_id TEXT NOT NULL,
    owner_pid_namespace TEXT NOT NULL,
    beat BIGINT NOT NULL,
    length BIGINT NOT NULL,
    taken_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- The hosts of a rollout. No reference to subscriptions, like runs.
CREATE TABLE rollout_hosts (
    rollout TEXT NOT NULL REFERENCES rollouts (id),
    host TEXT COLLATE "C" NOT NULL,
    wave BIGINT NOT NULL,
    place BIGINT NOT NULL,
    status TEXT NOT NULL,
    run TEXT REFERENCES runs (id),
    PRIMARY KEY (rollout, host)
);

CREATE INDEX rollout_hosts_by_place ON rollout_hosts (rollout, wave, place);
CREATE INDEX rollout_hosts_by_run ON rollout_hosts (run);
