# The packages and builders of nixpkgs that this project uses. Nothing here can be built.
{
  lib,
  system,
  static ? false,
}:
let
  isLinux = builtins.match ".*-linux" system != null;

  # Like stdenv.mkDerivation: a derivation with meta and overrideAttrs.
  make =
    attrs:
    let
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      # What a real derivation turns to strings. Licences, platforms and the like stay out, and are looked at by name.
      built = builtins.removeAttrs attrs [ "meta" "cargoLock" ];
    in
    derivation (built // { inherit name system; builder = "/bin/sh"; args = [ "-c" "exit 1" ]; })
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
      isStatic = static;
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

    rustPlatform.buildRustPackage =
      attrs:
      make (
        only [
          "pname"
          "version"
          "src"
          "cargoLock"
          "cargoBuildFlags"
          "nativeBuildInputs"
          "buildInputs"
          "OPENSSL_NO_VENDOR"
          "UPHAUL_COMMIT"
          "postInstall"
          "doCheck"
          "doInstallCheck"
          "installCheckPhase"
          "meta"
        ] attrs "buildRustPackage"
        // {
          nativeBuildInputs = [ (tool "cargo") ] ++ attrs.nativeBuildInputs;
          cargoLockFile = lockFile attrs.cargoLock.lockFile;
        }
      );

    mkShell =
      attrs:
      let
        checked = only [ "inputsFrom" "packages" ] attrs "mkShell";
      in
      make { name = "shell"; inputs = checked.inputsFrom ++ checked.packages; };

    pkgsStatic =
      if isLinux then
        import ./pkgs.nix {
          inherit lib system;
          static = true;
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
    "rustfmt"
    "sqlite"
  ] tool;
in
pkgs
