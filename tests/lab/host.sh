#!/bin/sh
# One lab host: a systemd-nspawn container with its own systemd, sshd, users and journal, on its own loopback address.
#
#   host.sh run DIR NAME ADDRESS BASE [SRV_OPTIONS]   supervises the host until its input ends, then removes it all
#   host.sh clean DIR NAME ADDRESS                    removes what a supervisor that was killed has left
#
# "run" must be started in a mount namespace of its own: its mounts then end with it, whatever becomes of it.
# - Input: one order a line: on, off (a clean power-off), cut-power. The end of the input is the end of the host: so
#   the host also goes when the test process is killed.
# - Output: a descriptor that carries the lock on DIR (see support/lab/slot.rs); it is only kept open.
# - DIR/prepare.sh runs once, in the host's tree before the first boot. DIR/state is what the host does now,
#   DIR/nspawn.pid the container's outer process, DIR/console what it said.
# - SRV_OPTIONS: mount options of a small file system of its own on the host's /srv.
set -u
verb=$1 dir=$2 name=$3 address=$4

# The host's control groups: one in every hierarchy, else hosts would share one and stop each other's processes.
hierarchies() { awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts; }

make_groups() {
    for h in $(hierarchies); do
        mkdir -p "$h/$name" || return 1
        for f in cpuset.cpus cpuset.mems; do
            [ ! -e "$h/$name/$f" ] || [ ! -e "$h/$f" ] || cat "$h/$f" >"$h/$name/$f" 2>/dev/null
        done
    done
}

# Kills all that is left in the host's control groups, by id, until there is none.
kill_groups() {
    tries=0
    while [ $tries -lt 100 ]; do
        pids=$(for h in $(hierarchies); do
            [ ! -d "$h/$name" ] || find "$h/$name" -name cgroup.procs -exec cat {} + 2>/dev/null
        done | sort -un | grep -vx -e 0 -e $$)
        [ -n "$pids" ] || return 0
        # The kernel kills a group as a whole, where it can.
        for h in $(hierarchies); do
            [ ! -w "$h/$name/cgroup.kill" ] || echo 1 2>/dev/null >"$h/$name/cgroup.kill"
        done
        # With many hosts at work an id is somebody else's soon after its process has ended (seen: a job of another host
        # was killed), so each is looked at right before.
        for pid in $pids; do
            if grep -qs "/$name\(/\|\$\)" "/proc/$pid/cgroup"; then kill -KILL "$pid" 2>/dev/null; fi
        done
        tries=$((tries + 1))
        sleep 0.05 # the kernel tells nobody but the parent
    done
    echo "host.sh: $name: processes that do not end: $pids" >&2
    return 1
}

remove_groups() {
    for h in $(hierarchies); do
        [ ! -d "$h/$name" ] || find "$h/$name" -depth -type d -exec rmdir {} + 2>/dev/null
    done
}

remove_rules() {
    iptables -w 60 -S | grep -F " $address/32 " | sed 's/^-A/-D/' | while read -r rule; do
        # shellcheck disable=SC2086 # a list of words, as iptables itself printed them
        iptables -w 60 $rule
    done
}

clean() {
    kill_groups
    remove_groups
    remove_rules
    umount "$dir/root/srv" 2>/dev/null
    umount "$dir/root" 2>/dev/null
    # What a dying supervisor writes meanwhile can make the first one fail.
    rm -rf "$dir" 2>/dev/null || rm -rf "$dir"
}

if [ "$verb" = clean ]; then
    clean
    exit
fi

base=$5 srv=${6:-}
exec 9>&1 1>&2

# Runs the container again and again while it asks for a reboot (status 133, because of --keep-unit).
machine() {
    while :; do
        make_groups
        # The inner shell joins the groups and becomes the container.
        sh -c 'name=$1 dir=$2; shift 2
            for g; do echo $$ >"$g/$name/cgroup.procs" || exit 1; done
            echo $$ >"$dir/nspawn.pid"
            exec systemd-nspawn --quiet --directory="$dir/root" --machine="$name" --hostname="$name" --register=no \
                --keep-unit --boot --resolv-conf=off --timezone=off --link-journal=no --console=pipe' \
            sh "$name" "$dir" $(hierarchies) </dev/null >>"$dir/console" 2>&1 9>&- 8<&-
        code=$?
        kill_groups
        remove_groups
        [ $code = 133 ] || break
    done
    echo "off $code" >"$dir/state.new" && mv "$dir/state.new" "$dir/state"
}

start() {
    echo on >"$dir/state"
    machine 9>&- 8<&- &
    machine=$!
}

fail() {
    echo "host.sh: $1" >&2
    clean
    exit 1
}

# A signal is no reason to leave anything behind: only the end of the input is.
trap : HUP INT TERM
mkdir -p "$dir/root" "$dir/up" "$dir/work" /run/systemd/nspawn
# What nspawn leaves there when it is killed goes with the mount.
mount -t tmpfs -o mode=0700 tmpfs /run/systemd/nspawn || fail "cannot mount over /run/systemd/nspawn"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$dir/up,workdir=$dir/work,volatile" "$dir/root" ||
    fail "cannot mount the host's tree"
if [ -n "$srv" ]; then
    mount -t tmpfs -o "$srv" tmpfs "$dir/root/srv" || fail "cannot mount the host's /srv"
fi
(cd "$dir/root" && sh -eu "$dir/prepare.sh") 9>&- || fail "cannot prepare the host's tree"

start
exec 8<&0
while read -r order <&8; do
    case $order in
        on)
            wait "$machine"
            start
            ;;
        off)
            # SIGRTMIN+4 asks systemd for a power-off. (In dash signals have numbers only.)
            read -r outer <"$dir/nspawn.pid"
            kill -38 "$(cat "/proc/$outer/task/$outer/children")" || echo "host.sh: off: no init" >&2
            ;;
        cut-power) kill_groups ;;
        *) echo "host.sh: unknown order: $order" >&2 ;;
    esac
done
kill_groups
wait "$machine"
clean
