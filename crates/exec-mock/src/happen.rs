//! What becomes of one command, with what was planned for it.

use std::time::Duration;

use uphaul_core::ports::{ExecError, ExecErrorKind};

use crate::fault::{Cut, Moment, What};
use crate::host::{Door, How, Live, Order, resolve};
use crate::origin::Origin;

/// What becomes of a command.
pub(crate) struct Happened {
    /// How long nothing comes back.
    pub(crate) delay: Duration,
    pub(crate) end: End,
}

pub(crate) enum End {
    Answer(String),
    /// The script as a whole ends with this code, having printed and complained this.
    Ended(i32, Vec<u8>, Vec<u8>),
    Error(ExecError),
    /// The controller is dead.
    Never,
}

impl Happened {
    pub(crate) fn now(end: End) -> Self {
        Self { delay: Duration::ZERO, end }
    }
}

pub(crate) fn befall(
    live: &mut Live,
    origin: &Origin,
    order: &Order,
    what: Option<What>,
    timeout: Duration,
) -> Happened {
    let Some(what) = what else {
        return Happened::now(End::Answer(perform(live, origin, order, How::Well)));
    };
    match what {
        What::Fail { code, tail, .. } if order.only_reads() => {
            Happened::now(End::Ended(code, Vec::new(), tail.into_bytes()))
        }
        What::Fail { moment, code, tail } => {
            Happened::now(End::Answer(perform(live, origin, order, How::Fails { moment, code, tail })))
        }
        What::Hang => Happened::now(End::Answer(perform(live, origin, order, How::Hangs))),
        What::Crash(cut) => {
            leave(live, origin, order, cut);
            Happened::now(End::Never)
        }
        What::Lose(cut) => {
            leave(live, origin, order, cut);
            lost()
        }
        What::Away(cut) => {
            leave(live, origin, order, cut);
            live.epoch += 1;
            live.door = Door::Away;
            lost()
        }
        What::Reverts(cut) => {
            leave(live, origin, order, cut);
            live.fire(origin);
            lost()
        }
        What::Silent => late(live, origin, order, None, timeout),
        What::Slow(delay) => late(live, origin, order, Some(delay), timeout),
        What::Reboot(moment) => {
            match moment {
                Moment::Before => {}
                Moment::Half => live.begin_job(origin, order, How::Well),
                Moment::After => drop(perform(live, origin, order, How::Well)),
            }
            live.reboot(origin);
            lost()
        }
        What::Taken { by } => {
            live.take("otherrunother", &by);
            Happened::now(End::Answer(perform(live, origin, order, How::Well)))
        }
        What::Garbled => {
            drop(perform(live, origin, order, How::Well));
            Happened::now(End::Answer("Welcome! You have mail.\n".into()))
        }
        What::Ends { code, stdout, stderr } => Happened::now(End::Ended(code, stdout, stderr)),
    }
}

fn lost() -> Happened {
    Happened::now(End::Error(ExecError::after(ExecErrorKind::Lost, "the connection was cut")))
}

/// The job is done at once, and its answer comes late or never.
fn late(
    live: &mut Live,
    origin: &Origin,
    order: &Order,
    delay: Option<Duration>,
    timeout: Duration,
) -> Happened {
    let answer = perform(live, origin, order, How::Well);
    match delay {
        Some(delay) if delay < timeout => Happened { delay, end: End::Answer(answer) },
        Some(_) | None => {
            let why = format!("no answer within {} s", timeout.as_secs_f64());
            let end = End::Error(ExecError::after(ExecErrorKind::Timeout, why));
            Happened { delay: timeout, end }
        }
    }
}

/// Does what a command says.
fn perform(live: &mut Live, origin: &Origin, order: &Order, how: How) -> String {
    match order.action.as_str() {
        "preflight" => live.preflight(origin, order),
        "resolve" => resolve(origin, order),
        "evidence" => live.evidence(origin, order),
        "fix" => "fixed=nothing was left behind\n".into(),
        _ => live.run_step(origin, order, how),
    }
}

/// Leaves on the host what a driver that is cut off leaves.
fn leave(live: &mut Live, origin: &Origin, order: &Order, cut: Cut) {
    match cut {
        Cut::Before => {}
        Cut::GoesOn => live.begin_job(origin, order, How::Well),
        Cut::After => drop(perform(live, origin, order, How::Well)),
    }
}

/// One line: number, job, fencing number, what is checked out, installed and running now, and what came back.
pub(crate) fn transcript_line(
    number: u32,
    order: &Order,
    versions: &str,
    what: Option<&What>,
    end: &End,
) -> String {
    let fence = order.fence.map_or_else(|| "new".into(), |fence| fence.to_string());
    let fault = match what {
        None => String::new(),
        Some(What::Fail { moment, .. }) => format!(" [fails {}]", moment_word(*moment)),
        Some(What::Hang) => " [hangs]".into(),
        Some(What::Crash(cut) | What::Lose(cut) | What::Away(cut)) => format!(" [{}]", cut_words(*cut)),
        Some(What::Reverts(cut)) => format!(" [{}; the host goes back]", cut_words(*cut)),
        Some(What::Silent) => " [silent]".into(),
        Some(What::Slow(delay)) => format!(" [{} s late]", delay.as_secs()),
        Some(What::Reboot(moment)) => format!(" [reboots {}]", moment_word(*moment)),
        Some(What::Taken { .. }) => " [taken before]".into(),
        Some(What::Garbled) => " [garbled]".into(),
        Some(What::Ends { .. }) => " [not done]".into(),
    };
    let end = match end {
        End::Never => "the controller is dead".into(),
        End::Error(error) => error.detail.clone(),
        End::Ended(code, ..) => format!("the script ends with exit {code}"),
        End::Answer(answer) => answered(order, answer),
    };
    format!("{number:>4}  {:<18} {fence:<4} {versions:<12} {end}{fault}", order.step)
}

fn moment_word(moment: Moment) -> &'static str {
    match moment {
        Moment::Before => "before its effect",
        Moment::Half => "halfway",
        Moment::After => "after its effect",
    }
}

fn cut_words(cut: Cut) -> &'static str {
    match cut {
        Cut::Before => "before it was sent",
        Cut::After => "when the job was done",
        Cut::GoesOn => "the job goes on",
    }
}

/// The one thing of an answer that is worth a line.
fn answered(order: &Order, answer: &str) -> String {
    let get = |key: &str| answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    match (order.action.as_str(), get("state"), get("rc")) {
        ("preflight", _, _) if get("end").is_some() => "report".into(),
        ("evidence", _, _) => format!("evidence of {}", order.of),
        ("resolve", _, _) => get("error").unwrap_or("resolved").into(),
        (_, Some("done"), Some("0")) => "ok".into(),
        (_, Some("done"), Some(code)) => match get("found") {
            Some(found) => format!("exit {code}: {found}"),
            None => format!("exit {code}"),
        },
        (_, Some(state), _) => format!("{state} by {}", get("by").unwrap_or_default()),
        (_, None, _) => "garbled".into(),
    }
}
