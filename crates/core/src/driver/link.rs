//! The one connection of a run, opened again when it was lost.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::ports::{ExecError, ExecErrorKind, Output, RemoteCommand, RemoteExecutor, RemoteSession, Target};

/// The first pause between two tries to connect; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How hosts are reached: by what, and how many connections may be in the making at once.
#[derive(Clone)]
pub struct Reach {
    /// What reaches them.
    pub executor: Arc<dyn RemoteExecutor>,
    /// One permit for each connection in the making: key exchanges cost CPU, and sshd refuses a crowd.
    pub starts: Arc<Semaphore>,
}

/// The connection to one host, open or not.
pub struct Link {
    reach: Reach,
    target: Target,
    session: Option<Box<dyn RemoteSession>>,
    opened: u32,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("target", &self.target).field("open", &self.session.is_some()).finish()
    }
}

impl Link {
    /// A link that is not open yet.
    pub fn new(reach: Reach, target: Target) -> Self {
        Self { reach, target, session: None, opened: 0 }
    }

    /// How many connections were opened so far.
    pub fn opened(&self) -> u32 {
        self.opened
    }

    /// Opens the connection, once; does nothing when it is open.
    pub async fn open(&mut self) -> Result<(), ExecError> {
        if self.session.is_some() {
            return Ok(());
        }
        let permit = self.reach.starts.acquire().await;
        let _permit = permit.map_err(|closed| ExecError::before(ExecErrorKind::Local, closed.to_string()))?;
        let session = self.reach.executor.connect(&self.target).await?;
        self.session = Some(session);
        self.opened += 1;
        Ok(())
    }

    /// Opens the connection, trying again for `window` where trying again can help. At least one try is made.
    pub async fn reopen(&mut self, window: Duration) -> Result<(), ExecError> {
        let end = Instant::now() + window;
        let mut pause = PAUSE_FIRST;
        loop {
            match self.open().await {
                Err(error) if can_pass(error.kind) && Instant::now() + pause < end => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                result => return result,
            }
        }
    }

    /// Runs a command; a connection that did not bear it is given up.
    pub async fn run(&mut self, command: &RemoteCommand) -> Result<Output, ExecError> {
        self.open().await?;
        let Some(session) = self.session.as_mut() else {
            return Err(ExecError::before(ExecErrorKind::Local, "the connection is not open"));
        };
        let result = session.run(command).await;
        if let Err(error) = &result
            && !matches!(error.kind, ExecErrorKind::Timeout | ExecErrorKind::Local)
        {
            self.drop_session().await;
        }
        result
    }

    /// Ends the connection. What goes wrong doing that changes nothing for the host.
    pub async fn close(&mut self) {
        self.drop_session().await;
    }

    async fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            let _unimportant = session.close().await;
        }
    }
}

/// Whether another try may do better. A refused key will not.
fn can_pass(kind: ExecErrorKind) -> bool {
    match kind {
        ExecErrorKind::Connect | ExecErrorKind::Lost | ExecErrorKind::Timeout => true,
        ExecErrorKind::Auth | ExecErrorKind::HostKey | ExecErrorKind::Local => false,
    }
}
