//! The stories of a run, each told twice: by real scripts, real git and a real `sh` on this machine, and by the
//! simulated host. Both must tell the same, so the simulation cannot flatter us.

use std::sync::Arc;

use uphaul_core::ids::Revision;
use uphaul_core::ports::RemoteExecutor;
use uphaul_exec_local::LocalExecutor;
use uphaul_tests::faults::{Fault, Faults};
use uphaul_tests::rig::{LoginExecutor, Rig};
use uphaul_tests::signing::SigningKey;
use uphaul_tests::simulated::SimulatedHost;
use uphaul_tests::story::{HostSide, story, story_called_off, story_with};

struct RigHost(Rig);

impl HostSide for RigHost {
    fn versions(&self) -> String {
        self.0.versions()
    }
    fn label(&self, revision: &Revision) -> String {
        let label = |name: &&str| self.0.revision(name) == *revision;
        ["v1", "v2"]
            .iter()
            .find(|name| label(name))
            .map_or_else(|| revision.to_string(), |name| (*name).to_owned())
    }
    fn executor(&self) -> Arc<dyn RemoteExecutor> {
        Arc::new(LoginExecutor { inner: Arc::new(LocalExecutor::new()), login: self.0.login() })
    }
}

async fn tell(title: &str, faults: &[(&str, Fault)]) -> String {
    let rig = Rig::new();
    let plan = rig.plan("v2");
    story(title, Arc::new(RigHost(rig)), plan, faults).await
}

async fn tell_simulated(title: &str, faults: &[(&str, Fault)]) -> String {
    let host = SimulatedHost::new();
    let plan = host.plan("v2");
    story(title, Arc::new(host), plan, faults).await
}

async fn tell_called_off(title: &str, faults: &[(&str, Fault)]) -> String {
    let rig = Rig::new();
    let (plan, by) = (rig.plan("v2"), rig.revision("v1"));
    story_called_off(title, Arc::new(RigHost(rig)), plan, faults, by).await
}

async fn tell_called_off_simulated(title: &str, faults: &[(&str, Fault)]) -> String {
    let host = SimulatedHost::new();
    let (plan, by) = (host.plan("v2"), host.plan("v1").target);
    story_called_off(title, Arc::new(host), plan, faults, by).await
}

/// Runs that are resumed by somebody who wants another target.
macro_rules! called_off {
    ($($name:ident: $title:literal, [$(($job:literal, $fault:ident)),* $(,)?];)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let told = tell_called_off($title, &[$(($job, Fault::$fault)),*]).await;
                snapshot(stringify!($name), $title, &told);
            }
        )*
        mod called_off_simulated {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let told = tell_called_off_simulated($title, &[$(($job, Fault::$fault)),*]).await;
                    snapshot(stringify!($name), $title, &told);
                }
            )*
        }
    };
}

called_off! {
    called_off_in_record: "called off before anything was touched", [("prepare-Record", CrashAfter)];
    called_off_in_fetch: "called off while it fetched: aborted", [("update-Fetch", CrashAfter)];
    called_off_before_the_checkout: "called off before its checkout was begun", [("update-Checkout", CrashBefore)];
    called_off_in_the_install: "called off in the install", [("update-Install", CrashAfter)];
    called_off_after_the_restart: "called off when the target runs and is not proved", [("update-Restart", CrashAfter)];
    called_off_while_away: "called off when its host is back", [("update-Install", AwayAfter)];
    called_off_on_its_way_back: "called off on its way back: it goes on",
        [("update-Verify", FailAfter), ("rollback-Install", CrashAfter)];
}

macro_rules! stories {
    ($($name:ident: $title:literal, [$(($job:literal, $fault:ident)),* $(,)?];)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                snapshot(stringify!($name), $title, &tell($title, &[$(($job, Fault::$fault)),*]).await);
            }
        )*
        mod simulated {
            use super::*;
            $(
                #[tokio::test]
                async fn $name() {
                    let told = tell_simulated($title, &[$(($job, Fault::$fault)),*]).await;
                    snapshot(stringify!($name), $title, &told);
                }
            )*
        }
    };
}

stories! {
    success: "a good update", [];
    preflight_fails: "preflight fails: nothing was touched", [("prepare-Preflight", FailBefore)];
    record_fails: "record fails: nothing was touched", [("prepare-Record", FailBefore)];
    fetch_fails: "fetch fails: the service was not touched and is not restarted", [("update-Fetch", FailBefore)];
    checkout_fails: "checkout fails half way", [("update-Checkout", FailAfter)];
    checkout_fails_at_once: "checkout fails before it did anything", [("update-Checkout", FailBefore)];
    install_fails: "install fails", [("update-Install", FailBefore)];
    install_fails_late: "install fails after it did its work", [("update-Install", FailAfter)];
    restart_fails: "restart fails", [("update-Restart", FailBefore)];
    restart_fails_late: "restart says that it failed, and the target runs", [("update-Restart", FailAfter)];
    verify_fails: "verify fails, the rollback succeeds", [("update-Verify", FailAfter)];
    rollback_checkout_fails: "the rollback's checkout fails", [("update-Install", FailAfter), ("rollback-Checkout", FailBefore)];
    rollback_install_fails_before_a_restart: "the rollback's install fails, and the service never stopped running",
        [("update-Install", FailAfter), ("rollback-Install", FailBefore)];
    rollback_install_fails_after_a_restart: "the rollback's install fails after a restart: it goes on, and says so",
        [("update-Verify", FailAfter), ("rollback-Install", FailBefore)];
    rollback_restart_fails: "the rollback's restart fails", [("update-Verify", FailAfter), ("rollback-Restart", FailBefore)];
    rollback_verify_fails: "the rollback's verify fails", [("update-Verify", FailAfter), ("rollback-Verify", FailAfter)];
    crash_before_preflight: "killed before preflight", [("prepare-Preflight", CrashBefore)];
    crash_after_preflight: "killed after preflight", [("prepare-Preflight", CrashAfter)];
    crash_before_record: "killed before record", [("prepare-Record", CrashBefore)];
    crash_after_record: "killed after record", [("prepare-Record", CrashAfter)];
    crash_before_fetch: "killed before fetch", [("update-Fetch", CrashBefore)];
    crash_after_fetch: "killed after fetch", [("update-Fetch", CrashAfter)];
    crash_before_checkout: "killed before checkout", [("update-Checkout", CrashBefore)];
    crash_after_checkout: "killed after checkout", [("update-Checkout", CrashAfter)];
    crash_before_install: "killed before install", [("update-Install", CrashBefore)];
    crash_after_install: "killed after install", [("update-Install", CrashAfter)];
    crash_before_restart: "killed before restart", [("update-Restart", CrashBefore)];
    crash_after_restart: "killed after restart", [("update-Restart", CrashAfter)];
    crash_before_verify: "killed before verify", [("update-Verify", CrashBefore)];
    crash_after_verify: "killed after verify", [("update-Verify", CrashAfter)];
    crash_before_rollback_checkout: "killed before the rollback's checkout", [("update-Verify", FailAfter), ("rollback-Checkout", CrashBefore)];
    crash_after_rollback_checkout: "killed after the rollback's checkout", [("update-Verify", FailAfter), ("rollback-Checkout", CrashAfter)];
    crash_before_rollback_install: "killed before the rollback's install", [("update-Verify", FailAfter), ("rollback-Install", CrashBefore)];
    crash_after_rollback_install: "killed after the rollback's install", [("update-Verify", FailAfter), ("rollback-Install", CrashAfter)];
    crash_before_rollback_restart: "killed before the rollback's restart", [("update-Verify", FailAfter), ("rollback-Restart", CrashBefore)];
    crash_after_rollback_restart: "killed after the rollback's restart", [("update-Verify", FailAfter), ("rollback-Restart", CrashAfter)];
    crash_before_rollback_verify: "killed before the rollback's verify", [("update-Verify", FailAfter), ("rollback-Verify", CrashBefore)];
    crash_after_rollback_verify: "killed after the rollback's verify", [("update-Verify", FailAfter), ("rollback-Verify", CrashAfter)];
    lost_in_the_install: "the connection is lost in the install, which goes on", [("update-Install", LoseAfter)];
    lost_before_the_install: "the connection is lost before the install was sent", [("update-Install", LoseBefore)];
    the_waiting_shell_is_killed: "whoever waits for the install on the host is killed, and the install goes on",
        [("update-Install", KillAfter)];
    attempts_exhausted: "the connection is lost three times in one step",
        [("update-Install", LoseBefore), ("update-Install", LoseBefore), ("update-Install", LoseBefore)];
    parked_and_back: "the host drops off after its restart, and comes back", [("update-Restart", AwayAfter)];
    parked_before_the_step: "the host drops off before its checkout, and comes back", [("update-Checkout", AwayBefore)];
    parked_in_the_rollback: "the host drops off in the rollback, and comes back",
        [("update-Verify", FailAfter), ("rollback-Install", AwayAfter)];
    evidence_lost: "the connection is lost while the evidence of a failed verify is read: the rollback goes on",
        [("update-Verify", FailAfter), ("evidence", LoseBefore)];
    evidence_fails: "the evidence of a failed restart cannot be read: the rollback goes on",
        [("update-Restart", FailAfter), ("evidence", FailBefore)];
    evidence_away: "the host drops off while the evidence is read, and comes back",
        [("update-Verify", FailAfter), ("evidence", AwayBefore)];
    evidence_crash: "killed while the evidence is read: the next driver reads it",
        [("update-Verify", FailAfter), ("evidence", CrashAfter), ("update-Verify", FailAfter)];
    crash_upon_crash: "killed in the checkout, and again in the resumed checkout",
        [("update-Checkout", CrashAfter), ("update-Checkout", CrashBefore)];
}

const ALREADY_THERE: &str = "already on the target, and proved";
const FIRST_UPDATE_EVER: &str = "first contact: nothing is recorded";
const UNSIGNED: &str = "the target is signed by nobody who may: refused before anything is touched";
const SIGNED: &str = "the target is signed by somebody who may";
const ILL_BEFORE_AND_AFTER: &str = "the service was ill before, and no version makes it well";

#[tokio::test]
async fn already_there() {
    let rig = Rig::new();
    let plan = rig.plan("v1");
    let told = story(ALREADY_THERE, Arc::new(RigHost(rig)), plan, &[]).await;
    snapshot("already_there", ALREADY_THERE, &told);
}

#[tokio::test]
async fn already_there_simulated() {
    let host = SimulatedHost::new();
    let plan = host.plan("v1");
    snapshot("already_there", ALREADY_THERE, &story(ALREADY_THERE, Arc::new(host), plan, &[]).await);
}

#[tokio::test]
async fn first_update_ever() {
    let rig = Rig::new();
    let mut plan = rig.plan("v2");
    plan.recorded = None;
    let told = story(FIRST_UPDATE_EVER, Arc::new(RigHost(rig)), plan, &[]).await;
    snapshot("first_update_ever", FIRST_UPDATE_EVER, &told);
}

#[tokio::test]
async fn first_update_ever_simulated() {
    let host = SimulatedHost::new();
    let mut plan = host.plan("v2");
    plan.recorded = None;
    let told = story(FIRST_UPDATE_EVER, Arc::new(host), plan, &[]).await;
    snapshot("first_update_ever", FIRST_UPDATE_EVER, &told);
}

#[tokio::test]
async fn ill_before_and_after() {
    let rig = Rig::new();
    rig.ill(true);
    let plan = rig.plan("v2");
    let told = story(ILL_BEFORE_AND_AFTER, Arc::new(RigHost(rig)), plan, &[]).await;
    snapshot("ill_before_and_after", ILL_BEFORE_AND_AFTER, &told);
}

#[tokio::test]
async fn ill_before_and_after_simulated() {
    let host = SimulatedHost::new();
    host.fleet.ill("web-1", Some("503"));
    let plan = host.plan("v2");
    let told = story(ILL_BEFORE_AND_AFTER, Arc::new(host), plan, &[]).await;
    snapshot("ill_before_and_after", ILL_BEFORE_AND_AFTER, &told);
}

/// The keys of one signer, who may sign.
fn signer() -> (tempfile::TempDir, SigningKey) {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::make(folder.path(), "good");
    (folder, key)
}

async fn tell_signed(title: &str, signed: bool) -> String {
    let ((_folder, key), rig) = (signer(), Rig::new());
    if signed {
        rig.sign("v2", &key);
    }
    let mut plan = rig.plan("v2");
    plan.signers = Some(key.line("").parse().unwrap());
    story(title, Arc::new(RigHost(rig)), plan, &[]).await
}

async fn tell_signed_simulated(title: &str, signed: bool) -> String {
    let ((_folder, key), host) = (signer(), SimulatedHost::new());
    let mut plan = host.plan("v2");
    if signed {
        host.fleet.sign(&plan.target, &key.public());
    }
    plan.signers = Some(key.line("").parse().unwrap());
    story(title, Arc::new(host), plan, &[]).await
}

#[tokio::test]
async fn unsigned() {
    snapshot("unsigned", UNSIGNED, &tell_signed(UNSIGNED, false).await);
}

#[tokio::test]
async fn unsigned_simulated() {
    snapshot("unsigned", UNSIGNED, &tell_signed_simulated(UNSIGNED, false).await);
}

#[tokio::test]
async fn signed() {
    snapshot("signed", SIGNED, &tell_signed(SIGNED, true).await);
}

#[tokio::test]
async fn signed_simulated() {
    snapshot("signed", SIGNED, &tell_signed_simulated(SIGNED, true).await);
}

fn snapshot(name: &str, title: &str, told: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, description => title }, {
        insta::assert_snapshot!(name, told);
    });
}

#[tokio::test]
async fn a_good_update_is_one_connection_and_few_commands() {
    let rig = Rig::new();
    let plan = rig.plan("v2");
    let faults = Faults::plan(&[]);
    story_with("a good update", Arc::new(RigHost(rig)), plan, faults.clone()).await;
    println!("a good update: {} connection, {} remote commands", faults.connections(), faults.commands());
    assert_eq!(faults.connections(), 1);
    assert!(faults.commands() <= 12, "{}", faults.commands());
}
