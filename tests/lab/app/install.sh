#!/bin/sh
# The part of an install that can go wrong. It runs from package.json, before and after the work of `bun install`.
# What it does wrong, if anything, stands in the commit's file "release". /var/lib/app/installs, outside the tree,
# shows what began and what came to its end.
set -eu
log=/var/lib/app/installs
value() { sed -n "s/^$1=//p" release; }
mode=$(value install)
label=$(value label)

if [ "$1" = after ]; then
    [ "$mode" != rewrites ] || echo >>bun.lock
    echo "end $label" >>"$log"
    exit
fi

echo "start $label" >>"$log"
case $mode in
    fails)
        echo "no package of this name: left-sail" >&2
        exit 1
        ;;
    # Numbers that no other process sleeps for: a test finds these by them.
    hangs) sleep 86401 ;;
    hangs-setsid)
        setsid sh -c 'sleep 86402' &
        sleep 86401
        ;;
    slow) sleep "$(value install_seconds)" ;;
    writes)
        mkdir -p node_modules
        head -c "$(value install_bytes)" /dev/zero >node_modules/written
        ;;
esac
