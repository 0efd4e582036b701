//! `uphaul plan`.

use clap::Args;
use uphaul_core::ids::{RefName, RunId};
use uphaul_core::machine::{Action, Command, Step};
use uphaul_core::plan::Plan;
use uphaul_core::script::{self, Context as Words, Preflight};
use uphaul_store::Host;

use crate::config::Chosen;
use crate::context::Context;
use crate::engine::Look;
use crate::error::CliError;
use crate::exit::Exit;
use crate::hide;

use super::check::{Seen, look_at_all, show};
use super::update::{check_services, engine};

/// Show the exact commands that an update would run, and the commits between; change nothing
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Hosts to plan for
    #[arg(required = true, value_name = "HOSTS", add = crate::complete::selectors())]
    hosts: Vec<String>,
    /// Plan for this branch, tag or commit
    #[arg(long, value_name = "REF")]
    to: RefName,
    /// Print the whole scripts, as they are sent, values of service.env left out
    #[arg(long)]
    scripts: bool,
}

pub(crate) async fn run(context: &Context, args: PlanArgs) -> Result<Exit, CliError> {
    let engine = engine(context, None).await?;
    let hosts = super::drive::hosts_of(&engine.store, &args.hosts).await?;
    check_services(&engine, &hosts)?;
    let to = engine.resolve(&hosts, &args.to).await?;
    let kind = format!("{} is {} ({})", to.reference, to.commit, to.kind);
    context.output.message(kind);
    let seen = look_at_all(&engine, hosts, Some(to)).await;
    let mut worst = Exit::Done;
    for (host, look) in &seen {
        worst = worst.max(show(context, host, look));
        if let Seen::Look(Look::Seen(both)) = look {
            let (plan, report) = both.as_ref();
            let chosen = engine.config.backend_of(host);
            tell(context, host, &chosen, plan, report, args.scripts);
        }
    }
    Ok(worst)
}

fn tell(context: &Context, host: &Host, chosen: &Chosen, plan: &Plan, report: &Preflight, scripts: bool) {
    // What is printed of it has no secret; what is compared is in both.
    let plan = &hide::plan(plan);
    if context.output.is_json() {
        let steps: Vec<_> = steps(plan)
            .iter()
            .map(|(step, action)| {
                let words = script::words(plan, *step, action, report);
                serde_json::json!({ "step": step.to_string(), "commands": words })
            })
            .collect();
        context.output.json(&serde_json::json!({
            "host": host.name, "executor": chosen, "target": plan.target, "from": report.head, "relation": report.relation,
            "commits": report.commits, "steps": steps,
        }));
        return;
    }
    context.output.result(format!("  by {chosen}"));
    if report.already_there(plan) {
        context.output.result(format!("  {} is there already, and proved", host.name));
        return;
    }
    if !report.commits.is_empty() {
        context.output.result(format!("  commits between, newest first ({}):", report.commits.len()));
        report.commits.iter().for_each(|commit| context.output.result(format!("    {commit}")));
    } else if report.relation.is_none() {
        context.output.result("  the commits between are not on the host before the fetch");
    }
    for (step, action) in steps(plan) {
        context.output.result(format!("  {step}"));
        for line in script::words(plan, step, &action, report) {
            context.output.result(format!("    {line}"));
        }
        if scripts {
            whole(context, plan, step, action);
        }
    }
    context.output.result(
        "  where restart or verify fails, it reads unit, journal, health, disk and logins before it goes back",
    );
}

fn steps(plan: &Plan) -> Vec<(Step, Action)> {
    let record = Step::Prepare(uphaul_core::machine::PrepareStep::Record);
    let mut all = vec![(record, Action::Record)];
    all.extend(script::steps_of_update(plan));
    all
}

/// The script and its values, as they travel but for the secrets, which this plan must not have any more.
fn whole(context: &Context, plan: &Plan, step: Step, action: Action) {
    let run = RunId::from_bits(0);
    let words = Words {
        run: &run,
        seq: uphaul_core::ids::Seq(0),
        fence: None,
        owner: "plan",
        settled: &[],
        knows_reverted: false,
    };
    let attempt = uphaul_core::ids::Attempt::FIRST;
    let sent = script::lower(plan, &Command { step, attempt, action }, &words);
    for (name, value) in &sent.env {
        context.output.text(&format!("{name}={}\n", uphaul_core::quote::word(value)));
    }
    context.output.text(&format!("{}\n", sent.argv.get(2).map(String::as_str).unwrap_or_default()));
}
