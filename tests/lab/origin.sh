#!/bin/sh
# Serves the repositories below DIR/git by `git daemon` on ADDRESS until its input ends, then removes DIR.
# Input: one order a line, on and off. Output: a descriptor that carries the lock on DIR, only kept open.
set -u
here=$(cd "$(dirname "$0")" && pwd)
dir=$1 name=$2 address=$3
exec 9>&1 1>&2
trap : HUP INT TERM

daemon=
start() {
    # The daemon itself, not git's wrapper, so that its id is known; it also goes when this script is killed.
    setpriv --pdeathsig TERM "$(git --exec-path)/git-daemon" --reuseaddr --listen="$address" --export-all \
        --informative-errors --base-path="$dir/git" "$dir/git" </dev/null 8<&- 9>&- &
    daemon=$!
}
stop() {
    [ -n "$daemon" ] || return 0
    kill "$daemon" 2>/dev/null
    wait "$daemon"
    daemon=
}

start
exec 8<&0
while read -r order <&8; do
    case $order in
        on) stop; start ;;
        off) stop ;;
    esac
done
stop
exec sh "$here/host.sh" clean "$dir" "$name" "$address" 8<&-
