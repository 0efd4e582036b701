//! Tables of another program, as an ORM makes them.

use sqlx::{Connection as _, Executor as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use crate::postgres_server::{self, Postgres};

/// As Drizzle writes it for Postgres.
const POSTGRES: &str = r#"
CREATE TYPE "plan" AS ENUM('free', 'pro');
CREATE TABLE "subscriptions" (
    "id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
    "customerId" text NOT NULL,
    "hostName" varchar(64) NOT NULL,
    "ipAddress" inet,
    "sshPort" integer,
    "sshUser" text,
    "plan" "plan" DEFAULT 'free' NOT NULL,
    "active" boolean DEFAULT true NOT NULL,
    "createdAt" timestamp with time zone DEFAULT now() NOT NULL,
    "touched" integer DEFAULT 0 NOT NULL,
    CONSTRAINT "subscriptions_customerId_unique" UNIQUE("customerId")
);
CREATE TABLE "runs" ("id" serial PRIMARY KEY, "leases" text NOT NULL);
CREATE FUNCTION touch() RETURNS trigger AS $$ BEGIN NEW."touched" = OLD."touched" + 1; RETURN NEW; END $$ LANGUAGE plpgsql;
CREATE TRIGGER touched BEFORE UPDATE ON "subscriptions" FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO "subscriptions" ("customerId", "hostName", "ipAddress", "sshPort", "sshUser", "plan", "active") VALUES
    ('c1', 'acme', '192.0.2.1', 2222, 'deploy', 'pro', true),
    ('c2', 'beta', '2001:db8::2', NULL, NULL, 'free', true),
    ('c3', 'acme', '192.0.2.3', NULL, NULL, 'free', false),
    ('c4', 'Not a host', NULL, NULL, NULL, 'free', false);
"#;

/// As Drizzle writes it for SQLite; backquotes are read as double quotes there.
const SQLITE: &str = r#"
CREATE TABLE `subscriptions` (
    `id` text PRIMARY KEY NOT NULL,
    `customerId` text NOT NULL,
    `hostName` text NOT NULL,
    `ipAddress` text,
    `sshPort` integer,
    `sshUser` text,
    `plan` text DEFAULT 'free' NOT NULL,
    `active` integer DEFAULT true NOT NULL,
    `createdAt` integer DEFAULT (unixepoch()) NOT NULL,
    `touched` integer DEFAULT 0 NOT NULL
);
CREATE UNIQUE INDEX `subscriptions_customerId_unique` ON `subscriptions` (`customerId`);
CREATE TABLE `runs` (`id` integer PRIMARY KEY, `leases` text NOT NULL);
CREATE TRIGGER `touch` AFTER UPDATE OF `createdAt`, `plan`, `updateStatus` ON `subscriptions`
    BEGIN UPDATE `subscriptions` SET `touched` = OLD.`touched` + 1 WHERE `id` = OLD.`id`; END;
INSERT INTO `subscriptions` (`id`, `customerId`, `hostName`, `ipAddress`, `sshPort`, `sshUser`, `plan`, `active`) VALUES
    ('k1', 'c1', 'acme', '192.0.2.1', 2222, 'deploy', 'pro', true),
    ('k2', 'c2', 'beta', '2001:db8::2', NULL, NULL, 'free', true),
    ('k3', 'c3', 'acme', '192.0.2.3', NULL, NULL, 'free', false),
    ('k4', 'c4', 'Not a host', NULL, NULL, NULL, 'free', false);
"#;

/// What of the table is not Uphaul's, a line each row.
pub(crate) const THEIRS: &str = r#"SELECT "customerId" || '|' || "hostName" || '|' || COALESCE(CAST("sshPort" AS TEXT), '-') || '|' ||
    COALESCE("sshUser", '-') || '|' || CAST("plan" AS TEXT) AS line FROM "subscriptions" ORDER BY "customerId""#;
pub(crate) const OURS: &str = r#"SELECT COALESCE(substr("currentVersion", 1, 1), '-') || COALESCE(substr("targetVersion", 1, 1), '-') ||
    COALESCE(substr("previousVersion", 1, 1), '-') || '|' || COALESCE("updateStatus", '-') || '|' ||
    CASE WHEN "touched" > 0 THEN 'touched' ELSE '-' END AS line FROM "subscriptions" ORDER BY "customerId""#;

/// A database of another program.
pub(crate) enum Theirs {
    Postgres(Box<Postgres>),
    Sqlite(TempDir),
}

impl Theirs {
    pub(crate) fn postgres() -> Option<Self> {
        match Postgres::start() {
            Ok(server) => {
                server.run(POSTGRES);
                Some(Self::Postgres(Box::new(server)))
            }
            Err(why) => {
                postgres_server::skip(&why);
                None
            }
        }
    }

    pub(crate) async fn sqlite() -> Self {
        let theirs = Self::Sqlite(TempDir::new().unwrap());
        theirs.execute(SQLITE).await;
        theirs
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Sqlite(folder) => format!("sqlite:{}", folder.path().join("saas.db").display()),
        }
    }

    pub(crate) async fn execute(&self, text: &'static str) {
        match self {
            Self::Postgres(server) => drop(server.run(text)),
            Self::Sqlite(_) => {
                let url = format!("{}?mode=rwc", self.url());
                let mut conn = SqliteConnection::connect(&url).await.unwrap();
                conn.execute(text).await.unwrap();
                conn.close().await.unwrap();
            }
        }
    }

    pub(crate) async fn lines(&self, text: &'static str) -> Vec<String> {
        match self {
            Self::Postgres(server) => server.run(text).lines().map(str::to_owned).collect(),
            Self::Sqlite(_) => {
                let mut conn = SqliteConnection::connect(&self.url()).await.unwrap();
                let rows = conn.fetch_all(text).await.unwrap();
                rows.iter().map(|row| row.get("line")).collect()
            }
        }
    }
}
