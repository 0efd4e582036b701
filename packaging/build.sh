#!/usr/bin/env bash
# Makes what a release is made of, in target/package: the static binary with completions and manual pages as an archive,
# the Debian package (with cargo-deb, where it is there), the bill of materials, and the checksums.
#   packaging/build.sh [BINARY]     with BINARY, that one is packed and nothing is built
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "$*" >&2; exit 1; }

triple=$(rustc -vV | sed -n 's/^host: //p')
case $triple in *-linux-gnu) ;; *) die "only on Linux with glibc; this is $triple" ;; esac
target=${CARGO_TARGET_DIR:-target}
binary=${1:-}
if [ -z "$binary" ]; then
    # Only with --target do the flags spare the build scripts and macros, which cannot be static. The flags are README's.
    RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend="linux_getrandom"' \
        cargo build --release --locked --target "$triple" -p uphaul
    binary=$target/$triple/release/uphaul
fi
if readelf --program-headers --wide "$binary" | grep INTERP; then die "$binary needs a loader"; fi
if readelf --dynamic --wide "$binary" | grep NEEDED; then die "$binary needs libraries"; fi
version=$("$binary" --version | cut -d' ' -f2)
name=uphaul-$version-${triple%%-*}-linux

out=target/package # crates/cli/Cargo.toml names it
rm -rf "$out"
mkdir -p "$out/$name/completions"
install -m 0755 "$binary" "$out/$name/uphaul"
for shell in bash zsh fish; do "$binary" completions "$shell" >"$out/$name/completions/uphaul.$shell"; done
"$binary" man "$out/$name/man"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$out/$name/"

if cargo deb --version >/dev/null 2>&1; then
    # cargo-deb looks for the assets below the manifest: crates/cli/Cargo.toml names them from here.
    cp -r "$out/$name" "$out/files"
    gzip -9n "$out"/files/man/*
    cargo deb --no-build --no-strip -p uphaul --output "$out/"
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
python3 packaging/bom.py "$binary" "$triple" >"$out/$name.cdx.json"
# What a list of vulnerabilities is asked about first, and what the lock file alone does not tell.
for part in OpenSSL libssh2 SQLite glibc; do
    grep -q "\"name\": \"$part\"" "$out/$name.cdx.json" || die "the bill of materials has no $part"
done
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/$name.tar.gz" "$name"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
