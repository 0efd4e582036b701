//! `uphaul hosts import`

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use uphaul_core::ports::Clock;

use super::rows;
use crate::clock::SystemClock;
use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::render::words;

/// The most bytes that a file of hosts may have.
const FILE_MAX: u64 = 32 * 1024 * 1024;

/// Import hosts from CSV (name,address,port,user,host_key,labels), a JSON array or TOML (tables of `hosts`); all of them or none
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Read this file; - is stdin
    file: PathBuf,
    /// Read it as this instead of by its name
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// What a file of hosts can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated, with the header name,address,port,user,host_key,labels
    Csv,
    /// An array of objects with the same fields
    Json,
    /// Tables of the array `hosts`, with the same fields
    #[value(help = "[[hosts]] tables with the same fields")]
    Toml,
}

pub(super) async fn run(context: &Context, args: &Import) -> Result<Exit, CliError> {
    let format = format_of(args)?;
    let shown =
        if args.file == Path::new("-") { "stdin".to_owned() } else { args.file.display().to_string() };
    let text = read(context, args, &shown)?;
    let hosts = rows::read(&text, format, &shown).map_err(|wrong| {
        let message = format!("{shown} has {}; nothing was imported", words::count(wrong.len(), "fault"));
        CliError::usage(message).causes(wrong)
    })?;
    if hosts.is_empty() {
        return Err(CliError::usage(format!("{shown} has no host; nothing was imported")));
    }
    let store = context.store().await?;
    let done = store.import_hosts(&hosts, SystemClock.now_us()).await?;
    let output = &context.output;
    if output.is_json() {
        output.json(&json!({ "added": done.added, "changed": done.changed, "unchanged": done.unchanged }));
    } else {
        let (added, changed, unchanged) = (done.added, done.changed, done.unchanged);
        output.result(format!("{added} added, {changed} changed, {unchanged} unchanged"));
    }
    Ok(Exit::Done)
}

fn format_of(args: &Import) -> Result<Format, CliError> {
    let extension = args.file.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
    let by_name = match extension.as_deref() {
        Some("csv") => Some(Format::Csv),
        Some("json") => Some(Format::Json),
        Some("toml") => Some(Format::Toml),
        Some(_) | None => None,
    };
    args.format.or(by_name).ok_or_else(|| {
        let shown = if args.file == Path::new("-") { "stdin".into() } else { args.file.to_string_lossy() };
        CliError::usage(format!("the format of {shown} is not known"))
            .hint("say it: `--format csv`, `--format json` or `--format toml`")
    })
}

fn read(context: &Context, args: &Import, shown: &str) -> Result<String, CliError> {
    let cannot = |why: String| CliError::usage(format!("cannot read {shown}")).cause(why);
    let mut bytes = Vec::new();
    let read = if args.file == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX + 1).read_to_end(&mut bytes)
    } else {
        let file = std::fs::File::open(context.around.cwd.join(&args.file));
        file.and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes))
    };
    let read = read.map_err(|error| cannot(error.to_string()))?;
    if read as u64 > FILE_MAX {
        return Err(cannot(format!("it has more than {FILE_MAX} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8 text".to_owned()))?;
    // Spreadsheets begin their CSV with a byte order mark.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
