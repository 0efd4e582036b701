# The packages and builders of nixpkgs that this project uses. With --impure they can be built: by build.sh, which uses this
# machine's own programs.
{
  lib,
  system,
}:
let
  isLinux = builtins.match ".*-linux" system != null;

  # Of the machine that evaluates with --impure, for build.sh; empty otherwise, and then nothing can be built.
  here = builtins.getEnv "STUB_HERE";
  building = here != "" && builtins.currentSystem == system;

  # Like stdenv.mkDerivation: a derivation with meta and overrideAttrs.
  make =
    attrs:
    let
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      # What a real derivation turns to strings. Licences, platforms and the like stay out, and are looked at by name.
      built = builtins.removeAttrs attrs [ "meta" "cargoLock" "override" ];
    in
    derivation (
      built
      // {
        inherit name system here;
        builder = if building then "/bin/bash" else "/bin/false";
        args = [ ./build.sh ];
        outPATH = builtins.getEnv "PATH";
      }
    )
    // {
      inherit name;
      meta = attrs.meta or { };
      overrideAttrs = f: make (attrs // f attrs);
    };

  tool = name: make { inherit name; };

  only =
    known: attrs: what:
    let
      unknown = builtins.attrNames (builtins.removeAttrs attrs known);
    in
    if unknown == [ ] then attrs else throw "${what}: unknown argument ${builtins.toJSON unknown}";

  # Every package of the lock file must come with a checksum: a git dependency would need outputHashes.
  lockFile =
    path:
    let
      packages = (builtins.fromTOML (builtins.readFile path)).package;
      bad = builtins.filter (p: p ? source && !(p ? checksum)) packages;
    in
    if bad == [ ] then path else throw "Cargo.lock: without a checksum: ${(builtins.head bad).name}";

  pkgs = {
    inherit lib;

    stdenv.hostPlatform = {
      inherit system isLinux;
    };
    stdenv.buildPlatform = {
      inherit system;
      canExecute = platform: platform.system == system;
    };

    formats.toml = _options: {
      type = "toml";
      generate = name: value: builtins.toFile name (builtins.toJSON value);
    };

    callPackage =
      path: more:
      let
        function = import path;
        wanted = builtins.functionArgs function;
        given = builtins.intersectAttrs wanted pkgs // more;
        missing = builtins.filter (name: !wanted.${name} && !(given ? ${name})) (builtins.attrNames wanted);
      in
      if missing == [ ] then function given else throw "${toString path}: nixpkgs has no ${builtins.toJSON missing}";

    rustPlatform = pkgs.makeRustPlatform {
      cargo = tool "cargo";
      rustc = tool "rustc";
    };
    makeRustPlatform =
      { cargo, rustc }:
      {
        buildRustPackage =
          attrs:
          make (
            only [
              "pname"
              "version"
              "src"
              "cargoLock"
              "auditable"
              "cargoBuildFlags"
              "nativeBuildInputs"
              "buildInputs"
              "OPENSSL_NO_VENDOR"
              "UPHAUL_COMMIT"
              "postInstall"
              "doCheck"
              "meta"
            ] attrs "buildRustPackage"
            // {
              nativeBuildInputs = [
                cargo
                rustc
              ]
              ++ attrs.nativeBuildInputs;
              cargoLockFile = lockFile attrs.cargoLock.lockFile;
            }
          );
      };

    mkShell =
      attrs:
      let
        checked = only [ "inputsFrom" "packages" ] attrs "mkShell";
      in
      make { name = "shell"; inputs = checked.inputsFrom ++ checked.packages; };

    pkgsStatic =
      if isLinux then
        {
          # There is no standard library for musl on the machines of the tests: they build for glibc.
          stdenv.hostPlatform.rust.rustcTarget =
            builtins.replaceStrings [ "linux" ] [ (if building then "unknown-linux-gnu" else "unknown-linux-musl") ]
              system;
          stdenv.cc = tool "cc" // {
            targetPrefix = "stub-";
          };
          openssl = tool "openssl-static";
        }
      else
        throw "pkgsStatic: not on ${system}";
  }
  // lib.genAttrs [
    "cargo-deny"
    "cargo-insta"
    "cargo-nextest"
    "clippy"
    "git"
    "installShellFiles"
    "nixfmt-tree"
    "openssh"
    "openssl"
    "perl"
    "pkg-config"
    "rust-analyzer"
    # What rust-overlay makes, see ../stub-rust.
    "rust-toolchain"
    "rustfmt"
    "sqlite"
  ] tool;
in
pkgs
