#!/usr/bin/env bash
# Checks flake.nix without the network, with stand-ins for its inputs (nix/stub, nix/stub-rust): every output on every system
# evaluates, the lock file agrees with the inputs, and what `nix run` gives here is the static binary, built by this machine's
# own cargo. Wants Nix >= 2.8 and, for the last part, the crates (cargo fetch) and OpenSSL's static library (libssl-dev).
# `--evaluate` leaves the last part out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "$*" >&2; exit 1; }
# No daemon, nobody's settings, nothing from outside. The stub builds with this machine's programs, so not in a sandbox.
export NIX_USER_CONF_FILES=/dev/null
export NIX_CONFIG='experimental-features = nix-command flakes
build-users-group =
sandbox = false
substituters =
flake-registry =
warn-dirty = false'
with_stub=(--override-input nixpkgs path:./nix/stub --override-input rust-overlay path:./nix/stub-rust --no-write-lock-file)

for file in flake.nix nix/*.nix nix/stub*/*.nix; do
    nix-instantiate --parse "$file" >/dev/null
    # A flake is what git knows.
    git ls-files --error-unmatch "$file" >/dev/null 2>&1 || die "$file: git does not know it, so neither does the flake"
done

# With an input that the lock does not answer, this would ask the network and fail.
lock=$(sha256sum flake.lock)
timeout 60 nix flake metadata . >/dev/null || die "flake.lock does not agree with the inputs of flake.nix"
[ "$(sha256sum flake.lock)" = "$lock" ] || die "flake.lock had to be changed"

# Every system, which older versions of Nix check unasked.
all=()
if [[ $(nix flake check --help 2>/dev/null) == *--all-systems* ]]; then all=(--all-systems); fi
nix flake check --no-build "${all[@]}" . "${with_stub[@]}"

# What `flake check` does not look at.
nix eval --json .#packages "${with_stub[@]}" \
    --apply 'builtins.mapAttrs (_: builtins.mapAttrs (_: p: { inherit (p) name drvPath meta; }))' >/dev/null
# What `nix run` runs: the static binary, where there is one.
nix eval --json .#packages "${with_stub[@]}" --apply 'builtins.mapAttrs (system: all:
    let wanted = if builtins.match ".*-linux" system != null then all.uphaul-static else all.uphaul;
    in if all.default.drvPath == wanted.drvPath then system else throw "${system}: the default is ${all.default.name}")' >/dev/null
nix eval --json .#apps "${with_stub[@]}" --apply 'builtins.mapAttrs (system: apps:
    if apps.default.type == "app" then apps.default.program else throw "${system}: not an app")' >/dev/null
# The commit that is told, the overlay, and the NixOS module in each of its states.
[ "$(nix-instantiate --eval --strict nix/check.nix)" = true ] || die "nix/check.nix does not end well"
version=$(nix eval --raw .#default.version "${with_stub[@]}")
grep -qxF "version = \"$version\"" Cargo.toml || die "the package's version is $version, Cargo.toml has another"

[ "${1:-}" != --evaluate ] || exit 0

# The rest builds, on this kind of machine alone.
system=$(nix eval --impure --raw --expr builtins.currentSystem)
case $system in *-linux) ;; *) echo "SKIPPED: building the flake with its stub: only tried on Linux, this is $system"; exit 0 ;; esac

# This machine's cargo, for nix/stub/build.sh. What it built stays, so that the next time is quick.
STUB_HERE=$(realpath -m "${CARGO_TARGET_DIR:-target}/nix")
export STUB_HERE
mkdir -p "$STUB_HERE/home"
ln -sfn "${CARGO_HOME:-$HOME/.cargo}" "$STUB_HERE/cargo"
ln -sfn "${RUSTUP_HOME:-$HOME/.rustup}" "$STUB_HERE/rustup"
work=$(mktemp -d -t uphaul-nix.XXXXXX)
trap 'rm -rf "$work"' EXIT

# The source is filtered, so the build also shows that all is there that it reads.
nix build . --impure --print-build-logs --out-link "$work/made" "${with_stub[@]}"
[ ! -e "$(nix eval --impure --raw .#default.src "${with_stub[@]}")/flake.nix" ] || die "the package's source is not filtered"
for file in bash-completion/completions/uphaul.bash zsh/site-functions/_uphaul fish/vendor_completions.d/uphaul.fish \
    man/man1/uphaul.1 man/man1/uphaul-update.1; do
    [ -s "$work/made/share/$file" ] || die "the package has no $file"
done
said=$(nix run . --impure "${with_stub[@]}" -- --version)
[ "$said" = "uphaul $version" ] || die "nix run . -- --version says: $said"
said=$(nix run . --impure "${with_stub[@]}" -- --version --verbose)
grep -qE '^linked .*OpenSSL [0-9.]+ \(not of openssl-src\)' <<<"$said" || die "another OpenSSL than the one that Nix gives: $said"
# As a person who has nothing else: a home of his own, so that nothing of this one's is touched.
HOME=$work timeout 120 nix run . --impure "${with_stub[@]}" -- demo >"$work/demo" 2>&1 || die "nix run . -- demo: $(cat "$work/demo")"
grep -q 'rolled back' "$work/demo" || die "nix run . -- demo says: $(cat "$work/demo")"
nix build ".#checks.$system.format" --impure --print-build-logs --no-link "${with_stub[@]}"

bash nix/faults.sh

echo "NOTE: $(nix --version): every output on every system evaluates with stand-ins for nixpkgs and rust-overlay;" \
    "nix run . -- --version and -- demo run the static binary, which the flake has built with this machine's cargo (for glibc)"
echo "SKIPPED: building .#uphaul, the native package, with the stand-ins: other flags of the compiler, so it shares nothing with the" \
    "static one and costs a second whole compile; .github/workflows/ci.yml builds it"
echo "SKIPPED: the flake with the real nixpkgs, and so musl: they may be out of reach here; .github/workflows/ci.yml builds it"
