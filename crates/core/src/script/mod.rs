//! What a command of the machine looks like on a host: small POSIX scripts and the values they are given.
//!
//! # Protocol
//!
//! Every [`RemoteCommand`] made here is `sh -c SCRIPT uphaul`, with all values in its environment as `U_*`; a
//! simulated host reads those and needs no shell:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `U_ACTION` | `preflight`, `resolve`, `fix`, `evidence`, `release`, or the action of a step: `record`, `fetch`, `checkout`, `install`, `restart`, `verify`, `arm`, `confirm` |
//! | `U_STEP` | the name of the job: `prepare-Record`, `update-Fetch`, ..., `rollback-Verify`; `release` |
//! | `U_PHASE` | `prepare`, `update` or `rollback` |
//! | `U_RUN`, `U_FENCE` | the run, and the fencing number or `new` |
//! | `U_SEQ` | the number of the run's last transition |
//! | `U_SIGNERS`, `U_REFERENCE` | by whom the target must be signed, or empty; how it was asked for (`fetch`) |
//! | `U_TARGET`, `U_TO` | the run's target; the commit that this step is about |
//! | `U_RECORDED` | what the record says the host runs, or empty |
//! | `U_SETTLED` | runs known to be over, whose claim on the host is worth nothing |
//! | `U_WINDOW` | how long the dead-man's switch waits for a driver, in seconds; empty where the run has none |
//! | `U_OF`, `U_EACH_S` | of `evidence`: the job that failed; how long each question may take, in seconds |
//! | `U_KNOWS_REVERTED` | 1 where the driver knows that the switch acted; one that does not is only told |
//!
//! The answer on stdout is `key=value` lines, then, after a line `--`, the end of what the job printed; see
//! [`Answer`]. A step is begun as a job of its own (`sh/runner.sh` begins it or finds the one that was begun, and
//! waits; `sh/job.sh` is that job; the rest of `sh/` are the bodies of the steps).

mod answer;
mod evidence;
mod preflight;
mod size;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

pub use answer::{Answer, JobState};
pub use evidence::evidence;
pub use preflight::{Finding, Preflight, preflight_of};
pub use words::words;

use crate::ids::{Fence, RefName, RunId, Seq};
use crate::machine::{Action, Command, RollbackStep, Running, State, Step, UpdateStep};
use crate::plan::{Dirty, Health, Manager, Plan, RelPath, RestartLimit, Scope, Service};
use crate::ports::RemoteCommand;
use crate::quote::word;

const CLOCK: &str = include_str!("sh/clock.sh");
const LIB: &str = concat!(include_str!("sh/clock.sh"), include_str!("sh/lib.sh"));
const WAY: &str = include_str!("sh/way.sh");
const SIGNED: &str = include_str!("sh/signed.sh");
const RUNNER: &str = include_str!("sh/runner.sh");
const JOB: &str = include_str!("sh/job.sh");
const BODY: &str = include_str!("sh/body.sh");
const CHECKOUT: &str = include_str!("sh/checkout.sh");
const INSTALL: &str = include_str!("sh/install.sh");
const RESTART: &str = include_str!("sh/restart.sh");
const PREFLIGHT: &str = include_str!("sh/preflight.sh");
const RESOLVE: &str = include_str!("sh/resolve.sh");
const DEAD: &str = include_str!("sh/dead.sh");
const FIX: &str = include_str!("sh/fix.sh");

/// The longest that the units' own limits may make a restart, in seconds; systemd's default is 180.
pub const RESTART_LIMIT_MAX_S: u32 = 900;
/// How long the copying of the folders of `service.keep` may take, once there and once back, in seconds.
const KEEP_LIMIT_S: u32 = 120;
/// What an answer may have; our scripts print less.
const ANSWER_MAX: usize = 64 * 1024;
/// How long the waiting may take beyond the step's own limit: the lock, the beginning of the job, its last words.
const SLACK_S: u32 = 150;

/// Who runs a command, beside the plan.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The number of the run's last transition; a driver that slept comes with an older one.
    pub seq: Seq,
    /// The number that the host gave to this driver; none until the first command that takes the host.
    pub fence: Option<Fence>,
    /// Who drives, for the person who finds the host held: `user@machine (pid)`.
    pub owner: &'a str,
    /// Runs of this host that the record knows to be over.
    pub settled: &'a [RunId],
    /// Whether this driver knows that the host's own switch went back. One that does not is told so, and nothing
    /// else is done.
    pub knows_reverted: bool,
}

/// The words of a command, ready to send.
pub fn lower(plan: &Plan, command: &Command, context: &Context<'_>) -> RemoteCommand {
    let (action, script, to) = match &command.action {
        Action::Preflight => return preflight(plan, context),
        Action::Record => ("record", include_str!("sh/record.sh"), None),
        Action::Fetch(to) => ("fetch", include_str!("sh/fetch.sh"), Some(to)),
        Action::Checkout(to) => ("checkout", CHECKOUT, Some(to)),
        Action::Install => ("install", INSTALL, None),
        Action::Restart => ("restart", RESTART, None),
        Action::Verify(to) => ("verify", include_str!("sh/verify.sh"), Some(to)),
        Action::Arm(to) => ("arm", include_str!("sh/arm.sh"), Some(to)),
        Action::Confirm => ("confirm", include_str!("sh/confirm.sh"), None),
    };
    let limit = limit_s(plan, &command.action);
    let mut env = values(plan, context, action);
    env.insert("U_STEP".into(), job_name(command.step));
    env.insert("U_PHASE".into(), phase(command.step).into());
    env.insert("U_TO".into(), to.map(ToString::to_string).unwrap_or_default());
    env.insert("U_LIMIT".into(), limit.to_string());
    // A switch that takes the host back is waited for.
    let back = plan.deadman.map_or(0, |_| switch_limit_s(plan));
    env.insert("U_WAIT_S".into(), (limit + 30 + back).to_string());
    let signed = match &command.action {
        Action::Fetch(_) => {
            env.insert(
                "U_SIGNERS".into(),
                plan.signers.as_ref().map(ToString::to_string).unwrap_or_default(),
            );
            env.insert("U_REFERENCE".into(), plan.reference.to_string());
            SIGNED
        }
        Action::Preflight
        | Action::Record
        | Action::Checkout(_)
        | Action::Install
        | Action::Restart
        | Action::Verify(_)
        | Action::Arm(_)
        | Action::Confirm => "",
    };
    // Both the runner and the body begin with it, and the switch; each command carries it once.
    env.insert("U_LIB".into(), LIB.into());
    env.insert("U_BODY".into(), [WAY, BODY, signed, script].concat());
    env.insert("U_JOB_TEXT".into(), [CLOCK, JOB].concat());
    if matches!(command.action, Action::Arm(_)) {
        env.extend(switch(plan));
    }
    remote(plan, ["eval \"$U_LIB\"\n", RUNNER].concat(), env, limit + SLACK_S + back)
}

/// What the dead-man's switch is made of: how it waits, and the steps of a rollback as a driver would have them done.
fn switch(plan: &Plan) -> BTreeMap<String, String> {
    let limits = revert_limits(plan);
    [
        ("U_SHARED", BODY.to_owned()),
        ("U_SWITCH", include_str!("sh/switch.sh").to_owned()),
        ("U_REVERT_CHECKOUT", CHECKOUT.to_owned()),
        ("U_REVERT_INSTALL", INSTALL.to_owned()),
        ("U_REVERT_RESTART", RESTART.to_owned()),
        ("U_REVERT_GIT_S", limits[0].to_string()),
        ("U_REVERT_INSTALL_S", limits[1].to_string()),
        ("U_REVERT_RESTART_S", limits[2].to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The limits of the switch's own checkout, install and restart, in seconds.
fn revert_limits(plan: &Plan) -> [u32; 3] {
    let target = plan.target.clone();
    [Action::Checkout(target), Action::Install, Action::Restart].map(|action| limit_s(plan, &action))
}

/// How long the switch waits, in seconds, before it goes back again after a try that failed: 30, then 120 (`sh/switch.sh`).
const SWITCH_WAITS_S: u32 = 150;

/// The longest that one try of the switch to take the host back may take, in seconds, with what is around it and the
/// waiting before it.
pub fn switch_limit_s(plan: &Plan) -> u32 {
    revert_limits(plan).iter().sum::<u32>() + SWITCH_WAITS_S + 60
}

/// The command that gives the host back when a run is over, so that another database need not wait for the claim to
/// grow old.
pub fn release(plan: &Plan, context: &Context<'_>) -> RemoteCommand {
    let mut env = values(plan, context, "release");
    env.insert("U_STEP".into(), "release".into());
    env.insert("U_LIMIT".into(), "10".into());
    env.insert("U_WAIT_S".into(), "10".into());
    remote(plan, [LIB, RUNNER].concat(), env, 30)
}

/// The read-only command that tells everything about the host that could stop an update.
pub fn preflight(plan: &Plan, context: &Context<'_>) -> RemoteCommand {
    let mut env = values(plan, context, "preflight");
    env.insert("U_STEP".into(), "prepare-Preflight".into());
    env.insert("U_TOOL".into(), install_tool(plan.service.install.as_str()).unwrap_or_default());
    env.insert("U_GIT_S".into(), plan.limits.git_s.to_string());
    remote(plan, [LIB, WAY, DEAD, PREFLIGHT].concat(), env, plan.limits.git_s + 3 * plan.limits.probe_s + 60)
}

/// The read-only command that finds the one commit a ref means, as seen from this host. `plan.target` is not looked
/// at.
pub fn resolve(plan: &Plan, context: &Context<'_>, reference: &RefName) -> RemoteCommand {
    let mut env = values(plan, context, "resolve");
    env.insert("U_REF".into(), reference.to_string());
    env.insert("U_GIT_S".into(), plan.limits.git_s.to_string());
    env.insert("U_TARGET".into(), String::new());
    remote(plan, [LIB, RESOLVE].concat(), env, 4 * plan.limits.git_s + 30)
}

/// The command that takes away what the dead-man's switch of a run that is over left behind, or one that acts no more. It answers `fixed`, or
/// `fault` with what stands against it.
pub fn fix(plan: &Plan, context: &Context<'_>) -> RemoteCommand {
    remote(plan, [LIB, DEAD, FIX].concat(), values(plan, context, "fix"), 90)
}

fn remote(plan: &Plan, script: String, env: BTreeMap<String, String>, timeout_s: u32) -> RemoteCommand {
    RemoteCommand {
        argv: vec!["sh".into(), "-c".into(), script, "uphaul".into()],
        dir: None,
        env,
        stdin: Vec::new(),
        timeout: Duration::from_secs(timeout_s.into()),
        user: plan.service.user.clone(),
        output_max: ANSWER_MAX,
    }
}

/// Within how many seconds from now a host that nobody drives any more begins to go back by itself: its job ends first.
/// None where the run has no switch, or has not come to set it.
pub fn reverts_within_s(plan: &Plan, at: &Running) -> Option<u32> {
    let deadman = plan.deadman?;
    let set = match at.step() {
        Step::Prepare(_) => false,
        Step::Update(step) => step > UpdateStep::Fetch,
        Step::Rollback(_) => !at.knows_reverted(),
    };
    let command = Command::for_state(plan, &State::Running(at.clone())).filter(|_| set)?;
    // While its job runs the host has the job's limit and 60 s; from the job's end on, the window.
    Some(limit_s(plan, &command.action) + deadman.window_s.max(60))
}

/// The name of a step's job on the host.
pub fn job_name(step: Step) -> String {
    step.to_string().replace('/', "-")
}

fn phase(step: Step) -> &'static str {
    match step {
        Step::Prepare(_) => "prepare",
        Step::Update(_) => "update",
        Step::Rollback(_) => "rollback",
    }
}

/// How long the host lets the job of an action run, in seconds.
fn limit_s(plan: &Plan, action: &Action) -> u32 {
    let limits = &plan.limits;
    match action {
        Action::Preflight | Action::Record => 2 * limits.probe_s + 30,
        Action::Fetch(_) | Action::Checkout(_) => limits.git_s,
        // The two commands have limits of their own; this is for what is around them.
        Action::Install => {
            let before_restart =
                plan.service.before_restart.as_ref().map_or(0, |_| limits.before_restart_s + 10);
            let keep = if plan.service.keep.is_empty() { 0 } else { KEEP_LIMIT_S };
            limits.install_s + before_restart + keep + 30
        }
        Action::Restart => match limits.restart {
            RestartLimit::Unit if matches!(plan.service.manager, Manager::Systemd { .. }) => {
                RESTART_LIMIT_MAX_S
            }
            RestartLimit::Unit => 90,
            RestartLimit::Seconds(limit) => limit,
        },
        // Three times the status and the health check may be on their way when a time is over: the first good answers, those
        // that come too early, and the last ones.
        Action::Verify(_) => limits.verify_s + limits.healthy_s + 6 * limits.probe_s + 15,
        Action::Arm(_) | Action::Confirm => 60,
    }
}

fn values(plan: &Plan, context: &Context<'_>, action: &str) -> BTreeMap<String, String> {
    let Service { path, manager, install, before_restart, health, submodules, .. } = &plan.service;
    let limits = &plan.limits;
    let flag = |on: bool| if on { "1" } else { "0" }.to_owned();
    let settled: Vec<&str> = context.settled.iter().map(RunId::as_str).collect();
    let mut env: BTreeMap<String, String> = [
        ("U_ACTION", action.to_owned()),
        ("U_RUN", context.run.to_string()),
        ("U_FENCE", context.fence.map_or_else(|| "new".to_owned(), |fence| fence.0.to_string())),
        ("U_SEQ", context.seq.0.to_string()),
        ("U_OWNER", context.owner.replace(['\n', '\r'], " ")),
        ("U_SETTLED", settled.join(" ")),
        ("U_DIR", path.to_string()),
        ("U_ENV", environment(plan)),
        ("U_TARGET", plan.target.to_string()),
        ("U_RECORDED", plan.recorded.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("U_ACCEPT_DRIFT", flag(plan.policy.accept_drift)),
        ("U_DIRTY", dirty_word(plan.policy.dirty).to_owned()),
        ("U_SUBMODULES", flag(*submodules)),
        ("U_INSTALL", install.to_string()),
        ("U_INSTALL_S", limits.install_s.to_string()),
        ("U_BEFORE_RESTART", before_restart.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("U_BEFORE_RESTART_S", limits.before_restart_s.to_string()),
        ("U_RESTART_UNIT", flag(limits.restart == RestartLimit::Unit)),
        ("U_PROBE_S", limits.probe_s.to_string()),
        ("U_VERIFY_S", limits.verify_s.to_string()),
        ("U_HEALTHY_S", limits.healthy_s.to_string()),
        ("U_JOB", String::new()),
        ("U_WINDOW", plan.deadman.map(|deadman| deadman.window_s.to_string()).unwrap_or_default()),
        ("U_KNOWS_REVERTED", flag(context.knows_reverted)),
        ("U_KEEP", plan.service.keep.iter().map(RelPath::as_str).collect::<Vec<_>>().join("\n")),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    let (kind, at) = match health {
        None => ("none", String::new()),
        Some(Health::Http(url)) => ("http", url.to_string()),
        Some(Health::Tcp(at)) => ("tcp", at.to_string()),
        Some(Health::Command(text)) => ("command", text.to_string()),
    };
    env.insert("U_HEALTH".into(), kind.into());
    env.insert("U_HEALTH_AT".into(), at);
    managed(manager, &mut env);
    env
}

fn managed(manager: &Manager, env: &mut BTreeMap<String, String>) {
    let (name, scope, units, restart, status) = match manager {
        Manager::Systemd { scope, units } => {
            let units: Vec<&str> = units.iter().map(|unit| unit.as_str()).collect();
            let scope = match scope {
                Scope::System => "system",
                Scope::User => "user",
            };
            ("systemd", scope, units.join(" "), String::new(), String::new())
        }
        Manager::Commands { restart, status } => {
            ("commands", "system", String::new(), restart.to_string(), status.to_string())
        }
    };
    env.insert("U_MANAGER".into(), name.into());
    env.insert("U_SCOPE".into(), scope.into());
    env.insert("U_UNITS".into(), units);
    env.insert("U_RESTART".into(), restart);
    env.insert("U_STATUS".into(), status);
    // What a restart command leaves running would die with its job's unit; systemd's own services do not.
    env.insert("U_UNIT_JOBS".into(), if name == "systemd" { "1" } else { "0" }.into());
}

/// The environment of the operator's commands, as words that `eval` reads: the one place where a script evaluates
/// values that it was given, and every one in it is quoted by [`word`].
fn environment(plan: &Plan) -> String {
    let mut all: BTreeMap<String, String> =
        plan.service.env.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    all.insert("UPHAUL_NAME".into(), plan.host.name.to_string());
    all.insert("UPHAUL_ADDRESS".into(), plan.host.address.clone());
    all.insert("UPHAUL_TARGET".into(), plan.target.to_string());
    all.insert("UPHAUL_PREVIOUS".into(), plan.recorded.as_ref().map(ToString::to_string).unwrap_or_default());
    for (key, value) in &plan.host.labels {
        let key: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        all.insert(format!("UPHAUL_LABEL_{key}"), value.clone());
    }
    let words: Vec<String> = all.iter().map(|(name, value)| format!("{name}={}", word(value))).collect();
    words.join(" ")
}

fn dirty_word(dirty: Dirty) -> &'static str {
    match dirty {
        Dirty::Refuse => "refuse",
        Dirty::Stash => "stash",
        Dirty::Discard => "discard",
    }
}

/// The program that the install command begins with, where that is plain to see.
fn install_tool(install: &str) -> Option<String> {
    let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphanumeric() || "._+-/".contains(c));
    let first = install.split_whitespace().find(|word| !word.contains('='))?;
    Some(first).filter(plain).map(ToOwned::to_owned)
}

/// The steps of a good update, in order, for `plan` and for tests.
pub fn steps_of_update(plan: &Plan) -> Vec<(Step, Action)> {
    let to = &plan.target;
    let mut steps = vec![(Step::Update(UpdateStep::Fetch), Action::Fetch(to.clone()))];
    if plan.deadman.is_some() {
        let back = plan.recorded.clone().unwrap_or_else(|| to.clone());
        steps.push((Step::Update(UpdateStep::Arm), Action::Arm(back)));
    }
    steps.extend([
        (Step::Update(UpdateStep::Checkout), Action::Checkout(to.clone())),
        (Step::Update(UpdateStep::Install), Action::Install),
        (Step::Update(UpdateStep::Restart), Action::Restart),
        (Step::Update(UpdateStep::Verify), Action::Verify(to.clone())),
    ]);
    if plan.deadman.is_some() {
        steps.push((Step::Update(UpdateStep::Confirm), Action::Confirm));
    }
    steps
}

/// The steps of a rollback to `previous`, in order.
pub fn steps_of_rollback(previous: &crate::ids::Revision) -> Vec<(Step, Action)> {
    vec![
        (Step::Rollback(RollbackStep::Checkout), Action::Checkout(previous.clone())),
        (Step::Rollback(RollbackStep::Install), Action::Install),
        (Step::Rollback(RollbackStep::Restart), Action::Restart),
        (Step::Rollback(RollbackStep::Verify), Action::Verify(previous.clone())),
    ]
}
