//! `uphaul doctor`: whether Uphaul can work from this machine, and why not. It changes nothing, and reaches no host.

mod agent;
mod backends;
mod config;
mod libssh2;
mod machine;
mod program;
mod record;
mod ssh;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Line, Style};
use crate::render::words;

/// Look at this machine: configuration, record, what reaches hosts, keys; change nothing and reach no host
#[derive(Debug, Args)]
pub(crate) struct Doctor {}

/// What was found of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    /// As it should be.
    Good,
    /// Worth knowing, and in nobody's way.
    Note,
    /// It has to be mended before hosts can be updated.
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    mark: Mark,
    found: String,
    fix: Option<String>,
}

impl Finding {
    fn good(found: impl Into<String>) -> Self {
        Self { mark: Mark::Good, found: found.into(), fix: None }
    }

    fn note(found: impl Into<String>) -> Self {
        Self { mark: Mark::Note, found: found.into(), fix: None }
    }

    fn bad(found: impl Into<String>) -> Self {
        Self { mark: Mark::Bad, found: found.into(), fix: None }
    }

    /// Says what to do.
    fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }
}

/// What belongs together.
#[derive(Debug, Clone, Serialize)]
struct Area {
    name: String,
    /// What an update would end with if something here is bad.
    #[serde(skip)]
    exit: Exit,
    findings: Vec<Finding>,
}

pub(crate) async fn run(context: &Context, _args: &Doctor) -> Result<Exit, CliError> {
    let (config, findings) = config::look(context);
    let mut areas = vec![Area { name: "configuration".into(), exit: Exit::Usage, findings }];
    let (hosts, findings) = record::look(config.as_ref()).await;
    areas.push(Area { name: "record".into(), exit: Exit::Internal, findings });
    areas[0]
        .findings
        .extend(config.as_ref().map(|config| config::services(config, &hosts)).unwrap_or_default());
    areas.extend(backends::look(config.as_ref(), &hosts, &context.around).await);
    let parallel = config.as_ref().map_or(1, |config| config.fleet.parallel);
    let findings = machine::look(context, parallel).await;
    areas.push(Area { name: "this machine".into(), exit: Exit::Done, findings });

    let bad = |area: &&Area| area.findings.iter().any(|finding| finding.mark == Mark::Bad);
    let exit = areas.iter().filter(bad).map(|area| area.exit).max().unwrap_or(Exit::Done);
    if context.output.is_json() {
        let ok = exit == Exit::Done;
        context.output.json(&serde_json::json!({ "ok": ok, "exit_code": exit.code(), "areas": areas }));
        return Ok(exit);
    }
    areas.iter().for_each(|area| show(context, area));
    let of =
        |mark| areas.iter().flat_map(|area| &area.findings).filter(|finding| finding.mark == mark).count();
    let notes = match of(Mark::Note) {
        0 => String::new(),
        n => format!("; {} (!) may be worth a look", words::count(n, "note")),
    };
    context.output.message(match of(Mark::Bad) {
        0 => format!("nothing stands in the way here{notes}; `uphaul check HOSTS` looks at hosts"),
        1 => format!("one thing (✗) has to be mended first{notes}"),
        n => format!("{n} things (✗) have to be mended first{notes}"),
    });
    Ok(exit)
}

fn show(context: &Context, area: &Area) {
    context.output.result(Line::new().styled(Style::Bold, area.name.as_str()));
    for Finding { mark, found, fix } in &area.findings {
        let (style, sign) = match mark {
            Mark::Good => (Style::Good, "✓"),
            Mark::Note => (Style::Warn, "!"),
            Mark::Bad => (Style::Bad, "✗"),
        };
        context.output.result(Line::new().styled(style, format!("  {sign} ")).text(found));
        if let Some(fix) = fix {
            context.output.result(format!("    -> {fix}"));
        }
    }
}
