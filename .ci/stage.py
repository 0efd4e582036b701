"""Runs one command with a time limit and sees to it that none of its processes outlives it.

Usage: stage.py SECONDS COMMAND [ARGUMENT...]

Every process that the command starts, however far it detaches itself (setsid, double fork), stays a descendant of this
one: the kernel hands orphans to the nearest subreaper. So what is left when the command has ended is known exactly, with no
guessing by name. Left-overs get a moment to end by themselves; then they are named, killed by id, and the stage fails.
Exit code: the command's own, 124 at the time limit, 125 if the command passed and left processes behind.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 15  # a lab host needs a few seconds to go after the test that owned it was killed
POLL_S = 0.05


def children(pid):
    """The ids of the processes that any thread of this process started and that have not been collected."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass  # it ended while we looked
    return found


def reap():
    """Collects the orphans that have ended. Not the command itself: Popen waits for that one."""
    for pid in children(os.getpid()):
        if pid != command.pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def descendants():
    found, todo = [], [os.getpid()]
    while todo:
        for child in children(todo.pop()):
            if child not in found:
                found.append(child)
                todo.append(child)
    return found


def describe(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            state = file.read().rpartition(")")[2].split()[0]
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            words = file.read().replace("\0", " ").strip()
    except OSError:
        return None
    return None if state == "Z" else f"{pid} {words[:300] or '(no command line)'}"


def living():
    reap()
    return [pid for pid in descendants() if describe(pid)]


def kill_all():
    """Kills until nothing is left: a process may start another between the look and the kill. At most 100 rounds."""
    for _ in range(100):
        left = living()
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(POLL_S)
    print(f"STAGE: processes that do not end: {living()}", flush=True)


if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
    sys.exit("stage.py: the kernel does not let this process be a subreaper")
limit_s = int(sys.argv[1])
started = time.monotonic()
command = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, start_new_session=True)


def stop(number, _frame):
    """Ctrl-C, or the machine's own time limit: leave nothing behind, and say by the code which signal it was."""
    kill_all()
    sys.exit(128 + number)


for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, stop)

while command.poll() is None:
    if time.monotonic() - started > limit_s:
        print(f"STAGE: stopped at its limit of {limit_s} s; what ran:", flush=True)
        for line in filter(None, map(describe, living())):
            print(f"  {line}", flush=True)
        kill_all()
        sys.exit(124)
    reap()
    time.sleep(POLL_S)

code = command.returncode if command.returncode >= 0 else 128 - command.returncode
ended = time.monotonic()
while living() and time.monotonic() - ended < GRACE_S:
    time.sleep(POLL_S)
left = list(filter(None, map(describe, living())))
if left:
    print(f"STAGE: left {len(left)} processes behind, {GRACE_S} s after it ended:", flush=True)
    for line in left:
        print(f"  {line}", flush=True)
    kill_all()
    code = code or 125
sys.exit(code)
