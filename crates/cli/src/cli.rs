//! The command line: flags that every command has, and the commands.

use std::path::PathBuf;

use clap::builder::Styles;
use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser};

use crate::about;
use crate::commands::Command;
use crate::complete;
use crate::config::Flags;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Mode, Output};

const AFTER_HELP: &str = "\
HOSTS: names, globs (web-*), labels (region=eu, or region=eu,tier=a for both), @all, - for names from stdin

Exit codes:
  0  done; hosts were updated, or ran the version already
  1  internal error, or the database failed
  2  usage or configuration
  3  some hosts were rolled back
  4  some hosts need attention
  5  some hosts are unknown or unreachable, or another driver took them
  6  stopped by a budget, a pause or a gate
  7  some hosts were aborted with nothing changed
  130  interrupted
Of several the worst one wins, in the order 4, 1, 130, 5, 3, 7, 6.";

/// Update a service on every server you run, over SSH, and pull a server back up when an update fails
#[derive(Debug, Parser)]
#[command(name = "uphaul", version, max_term_width = 100, after_help = AFTER_HELP, styles = Styles::plain())]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command has; they work before and after its name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// Read this configuration instead of the first uphaul.toml that is found
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Use this profile of the configuration instead of default
    #[arg(long, global = true, value_name = "NAME", add = complete::profiles())]
    profile: Option<String>,
    /// Keep the record in this database
    #[arg(long, global = true, value_name = "URL")]
    database: Option<String>,
    /// Reach all hosts by openssh, libssh2, command, local or mock, whatever the rules say
    #[arg(long, global = true, value_name = "NAME", add = complete::executors())]
    executor: Option<String>,
    /// Print JSON, one object a line while something runs
    #[arg(long, global = true)]
    json: bool,
    /// Say more (twice: still more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Print results, warnings and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Globals {
    pub(crate) fn mode(&self) -> Mode {
        Mode { json: self.json, quiet: self.quiet, verbose: self.verbose }
    }

    pub(crate) fn flags(&self) -> Flags {
        Flags {
            config: self.config.clone(),
            profile: self.profile.clone(),
            database: self.database.clone(),
            executor: self.executor.clone(),
        }
    }
}

/// Whether `--verbose` stands beside `--version`, which clap answers without looking at the rest: `-Vv`, `-v -V`.
fn wants_more() -> bool {
    std::env::args().skip(1).any(|arg| {
        let short = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        arg == "--verbose" || short.is_some_and(|letters| letters.contains('v'))
    })
}

/// Answers a command line that asks for help, or makes no sense.
pub(crate) fn refused(error: &clap::Error) -> Exit {
    let help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if error.kind() == ErrorKind::DisplayVersion && (wants_json || wants_more()) {
        let output = Output::new(Mode { json: wants_json, ..Mode::default() });
        if wants_json {
            output.json(&about::json());
        } else {
            output.text(&about::text());
        }
        return Exit::Done;
    }
    if wants_json && !help {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or("usage").trim_start_matches("error: ");
        let mode = Mode { json: true, ..Mode::default() };
        Output::new(mode).error(&CliError::usage(message).hint("try `uphaul --help`"));
        return Exit::Usage;
    }
    // A reader that has gone away does not want to hear about it.
    let _ = error.print();
    if help { Exit::Done } else { Exit::Usage }
}
