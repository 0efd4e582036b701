//! The rest of this machine.

use std::io::IsTerminal as _;

use super::program::{ask, find};
use super::{Finding, Mark};
use crate::context::Context;

/// Files that are open beside those of hosts, and those of one host at most.
const FILES_BASE: u64 = 64;
const FILES_EACH: u64 = 8;

/// Looks at it.
pub(super) async fn look(context: &Context, parallel: u32) -> Vec<Finding> {
    let mut findings = vec![git(context).await, terminal(context)];
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| context.around.var(name));
    let utf8 = locale.is_some_and(|name| name.to_lowercase().replace('-', "").contains("utf8"));
    if !utf8 {
        let name = locale.unwrap_or("none is set");
        let found = format!("the locale is not of UTF-8 ({name}), so some signs may look odd");
        findings.push(Finding::note(found).fix("set LC_ALL=C.UTF-8"));
    }
    findings.extend(open_files(parallel));
    findings
}

/// Hosts have a git of their own; here only the demo needs one.
async fn git(context: &Context) -> Finding {
    let Some(git) = find(&context.around, "git") else {
        return Finding::note("there is no git; only `uphaul demo` needs one here");
    };
    match ask(&git, &["--version"]).await {
        Ok(said) if said.ok => Finding::good(said.stdout.trim().to_owned()),
        Ok(said) => {
            Finding::note(format!("git does not work: {}; only `uphaul demo` needs it", said.stderr.trim()))
        }
        Err(why) => Finding::note(format!("{why}; only `uphaul demo` needs it")),
    }
}

fn terminal(context: &Context) -> Finding {
    let found = match (context.output.is_live(), std::io::stderr().is_terminal()) {
        (true, _) => {
            let (height, width) = context.output.terminal_size();
            format!("a terminal of {} columns and {height} lines", width + 1)
        }
        (false, true) => "a terminal on which nothing is drawn (TERM=dumb, --json or --quiet)".to_owned(),
        (false, false) => "no terminal: progress is told in plain lines".to_owned(),
    };
    Finding { mark: Mark::Good, found, fix: None }
}

/// Whether as many hosts at once as configured can have their connections and pipes.
fn open_files(parallel: u32) -> Option<Finding> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let may: u64 = line.split_whitespace().next()?.parse().ok()?;
    let wants = FILES_BASE + FILES_EACH * u64::from(parallel);
    (may < wants).then(|| {
        let found = format!("{may} files may be open at once; {parallel} hosts at once may need {wants}");
        Finding::note(found).fix(format!("`ulimit -n {wants}`, or a lower limits.parallel"))
    })
}
