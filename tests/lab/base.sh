#!/bin/sh
# Builds the file system that every lab host starts from, once, and prints its folder. Parallel callers wait for the
# one that builds. The folder's name carries a hash of this script: change the script and a new one is built.
# UPHAUL_LAB_CACHE says where it is kept (default /var/cache/uphaul-lab).
set -eu
cache=${UPHAUL_LAB_CACHE:-/var/cache/uphaul-lab}
bun_version=1.4.5
case $(uname -m) in
    x86_64) bun_package=@oven/bun-linux-x64-baseline ;;
    aarch64) bun_package=@oven/bun-linux-aarch64 ;;
    *) echo "tests/lab/base.sh: no bun for $(uname -m)" >&2; exit 1 ;;
esac
packages=systemd,systemd-sysv,openssh-server,git,ca-certificates,curl,wget,dbus,dbus-user-session,libpam-systemd
packages=$packages,iproute2,procps,sudo,python3,fish,tcsh

hash=$(sha256sum <"$0" | cut -c1-12)
base=$cache/base-$hash
if [ -e "$base/.complete" ]; then echo "$base"; exit 0; fi

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ -e "$base/.complete" ]; then echo "$base"; exit 0; fi

# What a killed build left. (An older base stays: hosts of another checkout may stand on it.)
rm -rf "$base" "$cache"/building.*
work=$cache/building.$$
mkdir "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
{
    echo "tests/lab/base.sh: building the hosts' file system, about a minute"

    (cd "$work" && npm pack --silent "$bun_package@$bun_version" && tar -xzf ./*.tgz package/bin/bun) 9>&-
    root=$work/root
    # Documentation and translations are left out: half the size and the time.
    mmdebstrap --quiet --variant=minbase --include="$packages" \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        bookworm "$root" 9>&-
    # Behind a link, so that a host can have it elsewhere, or not at all, without a copy.
    install -D -m 0755 "$work/package/bin/bun" "$root/usr/local/lib/bun/bun"
    ln -s ../lib/bun/bun "$root/usr/local/bin/bun"

    # No host may share another's identity: keys and id are made at boot. A host needs no consoles and no housekeeping.
    rm -f "$root"/etc/ssh/ssh_host_*
    : >"$root/etc/machine-id"
    for unit in console-getty.service getty.target systemd-logind-varlink.socket apt-daily.timer apt-daily-upgrade.timer \
        dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer man-db.timer systemd-networkd.service \
        systemd-resolved.service systemd-timesyncd.service systemd-update-utmp.service \
        systemd-network-generator.service systemd-firstboot.service; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
    # The hosts share the kernel's network: whatever they say must stay on their own address. See host.sh.
    ln -sf /dev/null "$root/etc/systemd/system/ssh.socket"
    printf 'UseDNS no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nX11Forwarding no\nPrintMotd no\n' \
        >"$root/etc/ssh/sshd_config.d/lab.conf"
    rm -f "$root/etc/update-motd.d/"* "$root/etc/motd"
    # A quiet journal that survives a reboot of the host.
    mkdir -p "$root/var/log/journal" "$root/etc/systemd/journald.conf.d"
    printf '[Journal]\nSystemMaxUse=32M\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf.d/lab.conf"

    chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash deploy
    # Not locked (pam would refuse it) and not a password that anybody can type.
    chroot "$root" usermod --password '*' deploy
    install -d -o 1000 -g 1000 -m 0700 "$root/home/deploy/.ssh"
    install -d -o 1000 -g 1000 -m 0755 "$root/var/lib/app"

    touch "$root/.complete"
    mv "$root" "$base"
} >&2
echo "$base"
