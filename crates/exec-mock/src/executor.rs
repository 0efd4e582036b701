//! The executor and its sessions.

use async_trait::async_trait;
use uphaul_core::ports::frame::Frame;
use uphaul_core::ports::{
    Captured, ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target,
};

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
        let session =
            MockSession { fleet: self.0.clone(), host: target.name.to_string(), epoch, lost: false };
        Ok(Box::new(session))
    }
}

struct MockSession {
    fleet: MockFleet,
    host: String,
    epoch: u32,
    /// A connection that is gone does not come back; another one may be opened.
    lost: bool,
}

#[async_trait]
impl RemoteSession for MockSession {
    async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        Frame::check(command)?;
        if self.lost {
            let why = format!("host {}: the connection was lost before", self.host);
            return Err(ExecError::before(ExecErrorKind::Lost, why));
        }
        let happened = self.fleet.happen(&self.host, self.epoch, command);
        if !happened.delay.is_zero() {
            tokio::time::sleep(happened.delay).await;
        }
        match happened.end {
            End::Answer(text) => {
                let stdout = last_bytes(text.into_bytes(), command.output_max);
                Ok(Output { code: 0, stdout, stderr: Captured::default() })
            }
            End::Ended(code, stdout, stderr) => {
                let kept = |bytes| last_bytes(bytes, command.output_max);
                Ok(Output { code, stdout: kept(stdout), stderr: kept(stderr) })
            }
            End::Error(error) => {
                self.lost = error.kind == ExecErrorKind::Lost;
                Err(ExecError { detail: format!("host {}: {}", self.host, error.detail), ..error })
            }
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
