//! What every command works with.

use std::sync::OnceLock;

use uphaul_store::Store;

use crate::config::{self, Config, DatabaseUrl, Flags};
use crate::error::CliError;
use crate::output::Output;
use crate::surroundings::Surroundings;

/// What every command works with. Configuration and database are read when they are first asked for.
#[derive(Debug)]
pub struct Context {
    /// Where results and messages go.
    pub output: Output,
    pub(crate) flags: Flags,
    pub(crate) around: Surroundings,
    config: OnceLock<Config>,
}

impl Context {
    pub(crate) fn new(flags: Flags, around: Surroundings, output: Output) -> Self {
        Self { output, flags, around, config: OnceLock::new() }
    }

    /// The configuration. Its warnings are told once.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn config(&self) -> Result<&Config, CliError> {
        if let Some(config) = self.config.get() {
            return Ok(config);
        }
        let loaded = config::load(&self.flags, &self.around)?;
        for warning in &loaded.warnings {
            self.output.warning(warning);
        }
        let config = self.config.get_or_init(|| loaded.config);
        let file = config.file.as_ref().map_or_else(|| "none".to_owned(), |file| file.display().to_string());
        self.output.detail(format!("configuration: {file}, profile {}", config.profile));
        Ok(config)
    }

    /// The record.
    ///
    /// # Errors
    /// Where the configuration names none, or it cannot be opened.
    pub async fn store(&self) -> Result<Store, CliError> {
        let database = self.database()?;
        Ok(match &self.config()?.adopted {
            Some(adopted) => Store::open_adopted(database.expose(), adopted).await?,
            None => Store::open(database.expose()).await?,
        })
    }

    /// Where the record is. A password that everybody can see is warned of.
    ///
    /// # Errors
    /// Where the configuration names none.
    pub fn database(&self) -> Result<&DatabaseUrl, CliError> {
        let database = self.config()?.database()?;
        self.output.detail(format!("database: {database}"));
        if self.flags.database.is_some() && database.has_password() {
            self.output.warning(
                "everybody on this machine can read a password on a command line (ps): put it into PGPASSWORD, ~/.pgpass, \
                 or the URL in UPHAUL_DATABASE__URL",
            );
        }
        Ok(database)
    }
}
