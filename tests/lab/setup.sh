#!/bin/sh
# Makes this machine able to run the tests on real hosts: installs what the lab needs from Debian and builds the
# hosts' file system. Run it once, as root, on Debian or Ubuntu. Running it again does nothing and is quick.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

[ "$(id -u)" = 0 ] || { echo "tests/lab/setup.sh: must run as root" >&2; exit 1; }

# What to look for, and the package that brings it.
missing=
need() { command -v "$1" >/dev/null 2>&1 || case " $missing " in *" $2 "*) ;; *) missing="$missing $2" ;; esac; }
PATH=$PATH:/usr/sbin:/sbin
need systemd-nspawn systemd-container
need mmdebstrap mmdebstrap
need iptables iptables
need ssh openssh-client
need ssh-keygen openssh-client
need git git
need nsenter util-linux
need unshare util-linux
need flock util-linux
need setsid util-linux
need python3 python3
need npm npm
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing="$missing debian-archive-keyring"

if [ -n "$missing" ]; then
    # The package manager may be in use by somebody else: wait for it, five minutes at most.
    apt="env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300"
    $apt update
    # shellcheck disable=SC2086 # a list of words
    $apt install -y --no-install-recommends $missing
fi

exec sh "$here/base.sh"
