#!/usr/bin/env bash
# Checks flake.nix without the network, with a stand-in for nixpkgs (nix/stub): every output on every system evaluates, the
# lock file agrees with the inputs, and the source that the package is built from is complete.
# Wants Nix >= 2.8 and, for the last part, the crates (cargo fetch). `--evaluate` leaves the last part out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
die() { echo "$*" >&2; exit 1; }
# No daemon, nobody's settings, nothing from outside.
export NIX_USER_CONF_FILES=/dev/null
export NIX_CONFIG='experimental-features = nix-command flakes
build-users-group =
substituters =
flake-registry =
warn-dirty = false'
with_stub=(--override-input nixpkgs path:./nix/stub --no-write-lock-file)

for file in flake.nix nix/*.nix nix/stub/*.nix; do
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
nix eval --json .#apps "${with_stub[@]}" --apply 'builtins.mapAttrs (system: apps:
    if apps.default.type == "app" then apps.default.program else throw "${system}: not an app")' >/dev/null
nix eval --json .#overlays.default "${with_stub[@]}" --apply 'overlay:
    (overlay { callPackage = _path: _more: "called"; } { }).uphaul' >/dev/null
# The module, switched on with everything set: the command that its service runs, and the file that it reads.
module='module: let
    pkgs = { stdenv.hostPlatform.system = "x86_64-linux"; openssh = "ssh"; formats.toml = _: { type = "toml"; generate = name: _: name; }; };
    stub = import ./nix/stub/lib.nix;
    made = module {
        inherit pkgs; lib = stub;
        config.services.uphaul = {
            enable = true; settings.default.service.path = "/srv/app"; environmentFile = "/run/secrets/uphaul";
            package = { name = "uphaul"; meta.mainProgram = "uphaul"; outPath = "/package"; };
            resume = { enable = true; onCalendar = "*:0/5"; };
        };
    };
    options = made.options.services.uphaul;
    in builtins.deepSeq [
        (builtins.mapAttrs (_: option: option.type or (builtins.mapAttrs (_: inner: inner.type) option)) options)
        made.config.systemd.timers made.config.environment
    ] made.config.systemd.services.uphaul-resume.serviceConfig.ExecStart'
started=$(nix eval --impure --raw .#nixosModules.default "${with_stub[@]}" --apply "$(sed "s|\./nix|$PWD/nix|" <<<"$module")")
[ "$started" = "/package/bin/uphaul resume" ] || die "the NixOS module would run: $started"
version=$(nix eval --raw .#default.version "${with_stub[@]}")
grep -qxF "version = \"$version\"" Cargo.toml || die "the package's version is $version, Cargo.toml has another"

[ "${1:-}" != --evaluate ] || exit 0

# The source that the package is built from holds all that the build reads.
source=$(nix eval --raw .#default.src "${with_stub[@]}")
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
copy=$(mktemp -d -t uphaul-nix.XXXXXX)
trap 'rm -rf "$copy"' EXIT
cp -r --no-preserve=mode "$source/." "$copy"
[ ! -e "$copy/flake.nix" ] || die "the package's source is not filtered"
(cd "$copy" && CARGO_TARGET_DIR=$target cargo check -p uphaul --locked --offline)

bash nix/faults.sh

echo "NOTE: $(nix --version): every output on every system evaluates with a stand-in for nixpkgs"
echo "SKIPPED: building the flake: nixpkgs may be out of reach here; .github/workflows/ci.yml builds it"
