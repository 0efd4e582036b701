{
  lib,
  perl,
  rustPlatform,
  stdenv,
  installShellFiles,
  openssl,
  pkg-config,
  # The commit that `uphaul --version --verbose` tells.
  commit ? "",
}:
let
  root = ../.;
  manifest = builtins.fromTOML (builtins.readFile (root + "/Cargo.toml"));
in
rustPlatform.buildRustPackage {
  pname = "uphaul";
  inherit (manifest.workspace.package) version;

  # What the build reads, and no more: a change elsewhere builds nothing again.
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.lock")
      (root + "/Cargo.toml")
      (root + "/clippy.toml")
      (root + "/crates")
      (root + "/migrations")
      (root + "/rustfmt.toml")
      (root + "/tests")
    ];
  };
  cargoLock.lockFile = root + "/Cargo.lock";
  # What is built in stands in the lock file; a wrapper of cargo for that would have to fit every toolchain.
  auditable = false;
  cargoBuildFlags = [
    "--package"
    "uphaul"
  ];

  nativeBuildInputs = [
    installShellFiles
    perl
    pkg-config
  ];
  # Nix's own OpenSSL, in the place of the one that the crate brings along.
  buildInputs = [ openssl ];
  OPENSSL_NO_VENDOR = 1;
  UPHAUL_COMMIT = commit;

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    for shell in bash fish zsh; do $out/bin/uphaul completions $shell >uphaul.$shell; done
    installShellCompletion --cmd uphaul --bash uphaul.bash --fish uphaul.fish --zsh uphaul.zsh
    $out/bin/uphaul man pages
    installManPage pages/*.1
  '';

  # The tests want git, a network of their own and real hosts, which the sandbox has not: .ci/run runs them.
  doCheck = false;

  meta = {
    description = "Updates a service on every server you run, over SSH, and pulls a server back up when an update fails";
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "uphaul";
    platforms = lib.platforms.unix;
  };
}
