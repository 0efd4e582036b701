//! A command of Uphaul, read from the values that travel with it.

use uphaul_core::ids::Revision;
use uphaul_core::ports::RemoteCommand;

/// What a command wants.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// `preflight`, `resolve`, `fix`, `evidence`, `release`, or the action of a step.
    pub(crate) action: String,
    /// The name of the job; for `resolve`, the same word.
    pub(crate) step: String,
    pub(crate) phase: String,
    pub(crate) run: String,
    /// None for `new`.
    pub(crate) fence: Option<u64>,
    pub(crate) owner: String,
    pub(crate) settled: Vec<String>,
    pub(crate) target: Option<Revision>,
    pub(crate) to: Option<Revision>,
    pub(crate) recorded: Option<Revision>,
    pub(crate) reference: String,
    /// Of `fetch`: by whom the target must be signed; empty where nobody asks.
    pub(crate) signers: String,
    pub(crate) dir: String,
    pub(crate) accept_drift: bool,
    pub(crate) dirty: String,
    /// `systemd` or `commands`.
    pub(crate) manager: String,
    pub(crate) units: Vec<String>,
    pub(crate) tool: String,
    pub(crate) health_at: String,
    pub(crate) limit_s: u32,
    pub(crate) install_s: u32,
    pub(crate) verify_s: u32,
    pub(crate) healthy_s: u32,
    pub(crate) seq: u64,
    pub(crate) knows_reverted: bool,
    /// Of `evidence`: the job that failed.
    pub(crate) of: String,
    /// How the service shows that it works: `none`, `http`, `tcp`, `command`.
    pub(crate) health: String,
}

impl Order {
    /// Reads a command; none where it is not one of Uphaul's own.
    pub(crate) fn read(command: &RemoteCommand) -> Option<Self> {
        let get = |key: &str| command.env.get(key).cloned().unwrap_or_default();
        let words = |key: &str| get(key).split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
        let action = command.env.get("U_ACTION")?.clone();
        let step = command.env.get("U_STEP").cloned().unwrap_or_else(|| action.clone());
        Some(Self {
            step,
            phase: get("U_PHASE"),
            run: get("U_RUN"),
            fence: get("U_FENCE").parse().ok(),
            owner: get("U_OWNER"),
            settled: words("U_SETTLED"),
            target: get("U_TARGET").parse().ok(),
            to: get("U_TO").parse().ok(),
            recorded: get("U_RECORDED").parse().ok(),
            reference: get("U_REF"),
            signers: get("U_SIGNERS"),
            dir: get("U_DIR"),
            accept_drift: get("U_ACCEPT_DRIFT") == "1",
            dirty: get("U_DIRTY"),
            manager: get("U_MANAGER"),
            units: words("U_UNITS"),
            tool: get("U_TOOL"),
            health_at: get("U_HEALTH_AT"),
            limit_s: get("U_LIMIT").parse().unwrap_or(0),
            install_s: get("U_INSTALL_S").parse().unwrap_or(0),
            verify_s: get("U_VERIFY_S").parse().unwrap_or(0),
            healthy_s: get("U_HEALTHY_S").parse().unwrap_or(0),
            seq: get("U_SEQ").parse().unwrap_or(0),
            knows_reverted: get("U_KNOWS_REVERTED") == "1",
            of: get("U_OF"),
            health: get("U_HEALTH"),
            action,
        })
    }

    /// The name of the job on the host.
    pub(crate) fn job(&self) -> String {
        format!("{}.{}", self.run, self.step)
    }

    /// Whether it only reads.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(self.action.as_str(), "preflight" | "resolve" | "fix" | "evidence")
    }
}
