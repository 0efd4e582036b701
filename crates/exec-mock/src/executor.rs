//! The executor and its sessions.

use async_trait::async_trait;
use uphaul_core::ports::{Captured, ExecError, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target};

use crate::fleet::MockFleet;
use crate::happen::End;

/// Reaches simulated hosts, by their names.
#[derive(Debug, Clone)]
pub struct MockExecutor(MockFleet);

impl MockExecutor {
    /// One that reaches this fleet.
    pub fn new(fleet: MockFleet) -> Self {
        Self(fleet)
    }
}

#[async_trait]
impl RemoteExecutor for MockExecutor {
    async fn connect(&self, target: &Target) -> Result<Box<dyn RemoteSession>, ExecError> {
        let epoch = self.0.knock(target.name.as_str(), &target.address)?;
        Ok(Box::new(MockSession { fleet: self.0.clone(), host: target.name.to_string(), epoch }))
    }
}

struct MockSession {
    fleet: MockFleet,
    host: String,
    epoch: u32,
}

#[async_trait]
impl RemoteSession for MockSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        let happened = self.fleet.happen(&self.host, self.epoch, command);
        if !happened.delay.is_zero() {
            tokio::time::sleep(happened.delay).await;
        }
        match happened.end {
            End::Answer(text) => {
                let stdout = last_bytes(text.into_bytes(), command.output_max);
                Ok(Output { code: 0, stdout, stderr: Captured::default() })
            }
            End::Broken(code, why) => {
                let stderr = last_bytes(why.into_bytes(), command.output_max);
                Ok(Output { code, stdout: Captured::default(), stderr })
            }
            End::Error(error) => Err(error),
            End::Never => std::future::pending().await,
        }
    }

    async fn close(self: Box<Self>) -> Result<(), ExecError> {
        Ok(())
    }
}

/// Keeps the end, as every executor does.
fn last_bytes(bytes: Vec<u8>, max: usize) -> Captured {
    let cut = bytes.len().saturating_sub(max);
    Captured { dropped: cut as u64, bytes: bytes.get(cut..).unwrap_or_default().to_vec() }
}
