#!/usr/bin/env bash
# Makes what a release is made of, in target/package: the static binary with completions and manual pages as an archive,
# the Debian package (with cargo-deb, where it is there), the bill of materials, and the checksums.
#   packaging/build.sh [--target TRIPLE] [BINARY]     with BINARY, that one is packed and nothing is built
# For another kind of machine it wants Rust's and Debian's parts for that, and QEMU, as the binary writes some of the files:
#   rustup target add aarch64-unknown-linux-gnu && apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "$*" >&2; exit 1; }

host=$(rustc -vV | sed -n 's/^host: //p')
triple=$host
if [ "${1:-}" = --target ]; then
    triple=${2:?--target wants a triple}
    shift 2
fi
case $triple in *-linux-gnu) ;; *) die "only for Linux with glibc; this is $triple" ;; esac
machine=${triple%%-*}
emulator=()
if [ "$machine" != "${host%%-*}" ]; then
    emulator=("qemu-$machine")
    command -v "${emulator[0]}" >/dev/null || die "there is no ${emulator[0]}, which runs what is built for $triple"
    linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER
    export "$linker=${!linker:-$machine-linux-gnu-gcc}"
fi
target=${CARGO_TARGET_DIR:-target}
binary=${1:-}
if [ -z "$binary" ]; then
    # Only with --target do the flags spare the build scripts and macros, which cannot be static. The flags are README's.
    export RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"'
    # cargo runs rustc, and rustc the linker, in this folder.
    case $machine in aarch64) RUSTFLAGS+=' -C link-arg=-specs=packaging/static-pie.specs' ;; esac
    cargo build --release --locked --target "$triple" -p uphaul
    unset RUSTFLAGS
    binary=$target/$triple/release/uphaul
fi
if readelf --program-headers --wide "$binary" | grep INTERP; then die "$binary needs a loader"; fi
if readelf --dynamic --wide "$binary" | grep NEEDED; then die "$binary needs libraries"; fi
readelf --file-header --wide "$binary" | grep -q 'Type: *DYN' || die "$binary is bound to one address"
run() { "${emulator[@]}" "$binary" "$@"; }
version=$(run --version | cut -d' ' -f2)
name=uphaul-$version-$machine-linux

out=target/package # crates/cli/Cargo.toml names it
rm -rf "$out"
mkdir -p "$out/$name/completions"
install -m 0755 "$binary" "$out/$name/uphaul"
for shell in bash zsh fish; do run completions "$shell" >"$out/$name/completions/uphaul.$shell"; done
run man "$out/$name/man"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$out/$name/"

if cargo deb --version >/dev/null 2>&1; then
    # cargo-deb looks for the assets below the manifest: crates/cli/Cargo.toml names them from here.
    cp -r "$out/$name" "$out/files"
    gzip -9n "$out"/files/man/*
    cargo deb --no-build --no-strip --target "$triple" -p uphaul --output "$out/"
    rm -rf "$out/files"
    # A pattern that finds nothing is no error to cargo-deb.
    listed=$(dpkg-deb -c "$out"/*.deb)
    for file in bin/uphaul share/bash-completion/completions/uphaul share/zsh/vendor-completions/_uphaul \
        share/fish/vendor_completions.d/uphaul.fish share/man/man1/uphaul.1.gz share/man/man1/uphaul-update.1.gz; do
        grep -q " \./usr/$file\$" <<<"$listed" || die "the Debian package has no /usr/$file"
    done
else
    echo "SKIPPED: the Debian package: there is no cargo-deb"
fi
run --version --json | python3 packaging/bom.py "$triple" >"$out/$name.cdx.json"
# What a list of vulnerabilities is asked about first, and what the lock file alone does not tell.
for part in OpenSSL libssh2 SQLite glibc; do
    grep -q "\"name\": \"$part\"" "$out/$name.cdx.json" || die "the bill of materials has no $part"
done
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/$name.tar.gz" "$name"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
