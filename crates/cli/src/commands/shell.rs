//! `uphaul completions` and `uphaul man`: what a package brings along beside the program.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use rustix::fs::Mode;

use crate::LOGIN_UMASK;
use crate::cli::Cli;
use crate::complete::scripts::{Shell, script};
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;

/// Print what makes a shell complete hosts, labels, profiles and commands
///
/// bash: `source <(uphaul completions bash)` in ~/.bashrc; zsh: the same in ~/.zshrc, after compinit;
/// fish: `uphaul completions fish >~/.config/fish/completions/uphaul.fish`.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For this shell
    shell: Shell,
}

/// Print the manual page, or write those of all commands
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write uphaul.1, uphaul-hosts.1 and so on into this folder
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(crate) fn completions(context: &Context, args: &Completions) -> Result<Exit, CliError> {
    let text =
        script(args.shell).map_err(|error| CliError::internal("cannot make the script").because(&error))?;
    context.output.text(&text);
    Ok(Exit::Done)
}

pub(crate) fn man(context: &Context, args: &Man) -> Result<Exit, CliError> {
    // `help` has nothing to say that the pages do not.
    let command = Cli::command().disable_help_subcommand(true);
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(command).render(&mut page);
        rendered.map_err(|error| CliError::internal("cannot make the page").because(&error))?;
        context.output.text(&String::from_utf8_lossy(&page));
        return Ok(Exit::Done);
    };
    let folder_there = context.around.cwd.join(folder);
    // Pages are for whoever the login lets read them, unlike all else that it writes.
    rustix::process::umask(*LOGIN_UMASK.get().unwrap_or(&(Mode::WGRP | Mode::WOTH)));
    let made = std::fs::create_dir_all(&folder_there)
        .and_then(|()| clap_mangen::generate_to(command, &folder_there));
    match made {
        Ok(()) => Ok(Exit::Done),
        Err(error) => {
            Err(CliError::usage(format!("cannot write pages into {}", folder.display())).because(&error))
        }
    }
}
