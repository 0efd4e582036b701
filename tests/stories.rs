//! The stories of a run, told by real scripts, real git and a real `sh` on this machine.

use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use uphaul_core::ids::Revision;
use uphaul_core::ports::{
    Captured, ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};
use uphaul_tests::faults::Fault;
use uphaul_tests::rig::Rig;
use uphaul_tests::story::{HostSide, story};

struct RigHost(Rig);
#[derive(Clone)]
struct RigExecutor(std::collections::BTreeMap<String, String>);

#[async_trait]
impl RemoteExecutor for RigExecutor {
    async fn connect(&self, _: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl RemoteSession for RigExecutor {
    async fn run(&mut self, c: &RemoteCommand) -> Result<Output, ExecError> {
        let out = tokio::process::Command::new(&c.argv[0])
            .args(&c.argv[1..])
            .env_clear()
            .envs(&self.0)
            .envs(&c.env)
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(|e| ExecError::before(ExecErrorKind::Local, e.to_string()))?;
        let captured = |bytes| Captured { bytes, dropped: 0 };
        Ok(Output {
            code: out.status.code().unwrap_or(255),
            stdout: captured(out.stdout),
            stderr: captured(out.stderr),
        })
    }
    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        Ok(())
    }
}

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
        Arc::new(RigExecutor(self.0.login()))
    }
}

async fn tell(title: &str, faults: &[(&str, Fault)]) -> String {
    let rig = Rig::new();
    let plan = rig.plan("v2");
    story(title, Arc::new(RigHost(rig)), plan, faults).await
}

#[tokio::test]
async fn all() {
    for (title, faults) in [
        ("success", &[][..]),
        ("verify fails, rollback succeeds", &[("update-Verify", Fault::FailAfter)]),
        ("crash after checkout", &[("update-Checkout", Fault::CrashAfter)]),
        ("lost in install", &[("update-Install", Fault::LoseAfter)]),
        ("away", &[("update-Restart", Fault::AwayAfter)]),
    ] {
        println!("{}", tell(title, faults).await);
    }
}
