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
    # Only with --target do the flags spare the build scripts and macros, which cannot be static.
    RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --target "$triple" -p uphaul
    binary=$target/$triple/release/uphaul
fi
if readelf --program-headers --wide "$binary" | grep -q INTERP; then die "$binary is not static"; fi
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
else
    echo "cargo-deb is not here: no Debian package"
fi
# One entry a crate that is built in, from the lock file, without the tool's own crates.
cargo tree -p uphaul --locked -e normal --prefix none --format '{p} {l}' | sed 's/ (\*)$//; s/ ([^)]*)//' | sort -u |
    awk -v name=uphaul -v version="$version" 'BEGIN {
        printf "{\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.5\",\"metadata\":{\"component\":{\"type\":\"application\",\"name\":\"%s\",\"version\":\"%s\"}},\"components\":[", name, version }
    { crate = $1; v = substr($2, 2); $1 = $2 = ""; sub(/^ +/, "")
      printf "%s{\"type\":\"library\",\"name\":\"%s\",\"version\":\"%s\",\"purl\":\"pkg:cargo/%s@%s\",\"licenses\":[{\"expression\":\"%s\"}]}", (NR > 1 ? "," : ""), crate, v, crate, v, $0 }
    END { print "]}" }' >"$out/$name.cdx.json"
python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["components"]), "crates in the bill of materials")' "$out/$name.cdx.json"
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner -czf "$out/$name.tar.gz" "$name"
rm -rf "${out:?}/$name"
(cd "$out" && sha256sum -- * >SHA256SUMS && cat SHA256SUMS)
