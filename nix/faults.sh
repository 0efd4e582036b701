#!/usr/bin/env bash
# Shows that nix/check.sh can fail: each of these deliberate faults, made in a copy, must be caught by what it evaluates.
# One that is not caught ends this with an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
copy=$(mktemp -d -t uphaul-nix-faults.XXXXXX)
trap 'rm -rf "$copy"' EXIT
git ls-files -z flake.nix flake.lock nix Cargo.toml Cargo.lock clippy.toml rustfmt.toml crates/cli/Cargo.toml \
    crates/cli/src/main.rs migrations tests/Cargo.toml | xargs -0 cp --parents -t "$copy"
cd "$copy"
git init -q
git add -A
check() { bash nix/check.sh --evaluate; }
check >"$copy/.log" 2>&1 || { cat "$copy/.log" >&2; echo "nix/check.sh fails without any fault" >&2; exit 1; }

caught=0
fault() { # NAME FILE SED
    sed -i "$3" "$2"
    if git diff --quiet; then echo "$1: the fault is not in $2: does sed still find its place?" >&2; exit 1; fi
    if check >"$copy/.log" 2>&1; then echo "not caught: $1" >&2; exit 1; fi
    git checkout -q -- .
    caught=$((caught + 1))
}
fault "a misspelt name of nixpkgs" flake.nix 's/pkgs.cargo-deny/pkgs.cargo-denny/'
fault "a misspelt argument of the builder" nix/package.nix 's/postInstall =/postInstal =/'
fault "an argument that nixpkgs has not" nix/package.nix 's/pkg-config,/pkgconfig,/'
fault "a licence that is none" nix/package.nix 's/lib.licenses.asl20/lib.licenses.apache20/'
fault "no main program" nix/package.nix '/mainProgram/d'
fault "a file of the source that is not there" nix/package.nix 's#"/migrations"#"/migration"#'
fault "a lock file that is not there" nix/package.nix 's#"/Cargo.lock";#"/Cargo.lck";#'
fault "an app that is none" flake.nix 's/type = "app"/type = "application"/'
fault "an input that the lock file does not know" flake.nix 's/nixos-26.05/nixos-25.11/'
fault "an option of the module that is none" nix/module.nix 's/cfg.resume.every/cfg.resume.interval/'
fault "another command in the unit" nix/module.nix 's/} resume --watch/} resume/'
fault "settings that the service does not read" nix/module.nix 's#"/etc/uphaul/uphaul.toml"#"/etc/uphaul.toml"#'
fault "settings that get lost" nix/module.nix 's/"uphaul.toml" cfg.settings/"uphaul.toml" { }/'
fault "a module that is never off" nix/module.nix 's/lib.mkIf cfg.enable /lib.mkIf true /'
fault "a service that is never off" nix/module.nix '/systemd.services/s/cfg.resume.enable/true/'
fault "a service that ends for good" nix/module.nix 's/Restart = "always"/Restart = "no"/'
fault "a service that nothing begins" nix/module.nix '/wantedBy/d'
fault "a service that keeps old settings" nix/module.nix '/restartTriggers/d'
fault "a home that ssh does not know" nix/module.nix 's/home = state;/home = "\/var\/empty";/'
fault "a commit with changes that is not told" flake.nix 's/self.rev or self.dirtyRev/self.rev/'
fault "an overlay without the commit" flake.nix 's/package.nix { inherit commit; }; }/package.nix { }; }/'
fault "an overlay that takes one argument" flake.nix 's/final: _prev:/final:/'
fault "a default that is not static" flake.nix 's/default = uphaul-static/default = uphaul/'
fault "a target that Rust has not" nix/static.nix 's/targets = \[ target \]/targets = [ "x86_64-linux-musl" ]/'
fault "an attribute that rust-overlay has not" nix/static.nix 's/stable."1.95.0".minimal/stable."1.95.0".minimum/'
fault "a package that pkgsStatic has not" nix/static.nix 's/getDev pkgsStatic.openssl/getDev pkgsStatic.libopenssl/'
fault "a static package on macOS too" flake.nix 's/if pkgs.stdenv.hostPlatform.isLinux then/if true then/'
echo "NOTE: $caught deliberate faults of the flake are caught"
