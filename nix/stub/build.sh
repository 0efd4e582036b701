#!/usr/bin/env bash
# Builds a package of the stub (pkgs.nix), in the place of nixpkgs' stdenv: the same phases, with this machine's programs.
# `here` is a folder of the one who builds: HOME of his cargo, and where it keeps what it has built (nix/check.sh).
set -euo pipefail
PATH=$outPATH
export HOME=$here/home CARGO_HOME=$here/cargo RUSTUP_HOME=$here/rustup CARGO_TARGET_DIR=$here/target
# What the flake says is built, quickly: how well is not asked.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export CARGO_PROFILE_RELEASE_PANIC=unwind CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never

runHook() { eval "${!1:-}"; }
installShellCompletion() { # --cmd NAME --bash FILE --fish FILE --zsh FILE
    install -D -m 0644 "$4" "$out/share/bash-completion/completions/$2.bash"
    install -D -m 0644 "$6" "$out/share/fish/vendor_completions.d/$2.fish"
    install -D -m 0644 "$8" "$out/share/zsh/site-functions/_$2"
}
installManPage() { install -D -m 0644 -t "$out/share/man/man1" "$@"; }

case $name in
cc) mkdir -p "$out/bin" && ln -s "$(command -v cc)" "$out/bin/stub-cc" && exit ;;
openssl-static)
    mkdir -p "$out/lib" "$out/include"
    ln -s /usr/include/openssl "$out/include/openssl"
    for library in libssl libcrypto; do ln -s "$(cc -print-file-name=$library.a)" "$out/lib/$library.a"; done
    exit
    ;;
esac
if [ -z "${src:-}" ]; then mkdir -p "$out" && exit; fi

cp -r --no-preserve=mode "$src" source
cd source
if [ -n "${buildPhase:-}" ]; then
    eval "$buildPhase"
else
    # shellcheck disable=SC2086 # a list of words
    cargo build --release --locked --offline ${cargoBuildFlags:-}
fi
if [ -n "${installPhase:-}" ]; then
    eval "$installPhase"
else
    install -D -m 0755 "$CARGO_TARGET_DIR/release/uphaul" "$out/bin/uphaul"
    runHook postInstall
fi
if [ -n "${doInstallCheck:-}" ]; then eval "$installCheckPhase"; fi
