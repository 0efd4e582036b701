//! Who this process is, and whether the holder of a lease is still there.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, getuid, test_kill_process};

use crate::lease::{LeaseRow, Owner};

/// This process, as a lease names it. What this system does not tell is left empty, and then nobody takes it for dead.
pub fn this_owner() -> Owner {
    let pid = std::process::id();
    Owner {
        user: user_name(),
        machine: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        pid,
        pid_started: seen(pid).map_or(0, |process| process.started),
        boot_id: one_line("/proc/sys/kernel/random/boot_id"),
        machine_id: one_line("/etc/machine-id"),
        pid_namespace: pid_namespace(),
    }
}

/// Whether the process that holds this lease is known to be dead. Only what was seen counts: of a process on another
/// machine, in another container, or on a system that tells too little, nothing is known, and the answer is no.
pub fn is_gone(row: &LeaseRow) -> bool {
    let (owner, me) = (&row.owner, this_owner());
    if owner.machine != me.machine || owner.boot_id.is_empty() || me.boot_id.is_empty() {
        return false;
    }
    if owner.boot_id != me.boot_id {
        // Two machines may share a name; only the same one, started anew, has lost its processes.
        return !me.machine_id.is_empty() && owner.machine_id == me.machine_id;
    }
    // The same number means another process in another namespace.
    let comparable = !me.pid_namespace.is_empty() && owner.pid_namespace == me.pid_namespace;
    comparable && owner.pid_started != 0 && is_dead(owner.pid, owner.pid_started)
}

/// Whether the process that holds this lease was seen to be alive, on this very machine. It may be stopped; then it is alive
/// all the same, and only watching its lease tells more.
pub fn is_alive_here(row: &LeaseRow) -> bool {
    let (owner, me) = (&row.owner, this_owner());
    let same = |theirs: &str, ours: &str| !ours.is_empty() && theirs == ours;
    owner.machine == me.machine
        && same(&owner.boot_id, &me.boot_id)
        && same(&owner.pid_namespace, &me.pid_namespace)
        && seen(owner.pid).is_some_and(|process| !process.ended && process.started == owner.pid_started)
}

/// The kernel is asked first: /proc may hide the processes of other users.
fn is_dead(pid: u32, started: u64) -> bool {
    let Some(raw) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    if test_kill_process(raw) == Err(Errno::SRCH) {
        return true;
    }
    seen(pid).is_some_and(|process| process.ended || process.started != started)
}

/// A process as /proc shows it.
struct Seen {
    started: u64,
    /// It has ended, and its parent has not asked yet how.
    ended: bool,
}

fn seen(pid: u32) -> Option<Seen> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 2 is the program's name in parentheses, which may hold blanks and parentheses; what follows the last one
/// is field 3, the state, and the start time is field 22.
fn parse(stat: &str) -> Option<Seen> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some(Seen { started, ended: matches!(state, "Z" | "X" | "x") })
}

fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid").map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
}

fn one_line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The name of the user in /etc/passwd, or the number where it is not there.
fn user_name() -> String {
    let uid = getuid().as_raw().to_string();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use uphaul_core::ports::LeaseToken;

    use super::*;

    fn held_by(owner: Owner) -> LeaseRow {
        LeaseRow {
            token: LeaseToken { host: "web-1".parse().unwrap(), token: "t".into() },
            owner,
            beat: 0,
            length_us: 0,
            taken_at_us: 0,
            heartbeat_us: 0,
            expires_at_us: 0,
            expired: false,
        }
    }

    /// A process that has ended and was waited for, as it was while it lived.
    fn dead_process() -> (u32, u64) {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (pid, started) = (child.id(), seen(child.id()).unwrap().started);
        child.kill().unwrap();
        child.wait().unwrap();
        (pid, started)
    }

    #[test]
    fn a_living_process_is_not_gone() {
        assert!(!is_gone(&held_by(this_owner())));
        assert!(is_alive_here(&held_by(this_owner())));
    }

    #[test]
    fn a_dead_process_is_gone() {
        let (pid, pid_started) = dead_process();
        assert!(is_gone(&held_by(Owner { pid, pid_started, ..this_owner() })));
    }

    #[test]
    fn a_dead_process_that_nobody_waited_for_is_gone() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let owner = Owner { pid: child.id(), pid_started: seen(child.id()).unwrap().started, ..this_owner() };
        assert!(!is_gone(&held_by(owner.clone())));
        // It ends at the end of its input, and stays a zombie until it is waited for.
        drop(child.stdin.take());
        while seen(child.id()).is_some_and(|process| !process.ended) {
            std::thread::yield_now();
        }
        assert!(is_gone(&held_by(owner)));
        child.wait().unwrap();
    }

    #[test]
    fn a_later_process_of_the_same_id_is_not_the_holder() {
        let mut owner = this_owner();
        owner.pid_started += 1;
        assert!(is_gone(&held_by(owner)));
    }

    #[test]
    fn a_restart_of_the_machine_has_ended_its_processes() {
        let owner = Owner { boot_id: "another".into(), ..this_owner() };
        let known = !owner.machine_id.is_empty();
        assert_eq!(is_gone(&held_by(owner)), known);
    }

    #[test]
    fn of_what_cannot_be_seen_nothing_is_known() {
        let (pid, pid_started) = dead_process();
        let dead = Owner { pid, pid_started, ..this_owner() };
        let elsewhere = [
            Owner { machine: "other".into(), ..dead.clone() },
            Owner { machine: "other".into(), boot_id: "another".into(), ..dead.clone() },
            Owner { machine_id: "of a namesake".into(), boot_id: "another".into(), ..dead.clone() },
            Owner { pid_namespace: "pid:[1]".into(), ..dead.clone() },
            Owner { boot_id: String::new(), ..dead.clone() },
            Owner { pid_started: 0, ..dead.clone() },
            Owner { pid: 0, ..dead.clone() },
            Owner { pid: u32::MAX, ..dead },
        ];
        for owner in elsewhere {
            assert!(!is_gone(&held_by(owner.clone())), "{owner:?}");
            assert!(!is_alive_here(&held_by(owner.clone())), "{owner:?}");
        }
    }

    #[test]
    fn names_of_programs_do_not_mislead() {
        let stat = "7 (a b) Z 1 (c) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200 1";
        let process = parse(stat).unwrap();
        assert_eq!((process.started, process.ended), (4711, false));
        assert!(parse("7 (a").is_none());
        assert!(parse("").is_none());
    }
}
