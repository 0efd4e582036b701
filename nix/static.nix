# The package as one file that runs on any Linux: built for musl, by a compiler that comes with musl's standard library.
# (The compiler of pkgsStatic is another one than that of nixpkgs, is in no cache for sure, and takes hours to build.)
{
  lib,
  callPackage,
  makeRustPlatform,
  pkgsStatic,
  # Of rust-overlay: lib.mkRustBin { } pkgs.
  rust-bin,
  commit ? "",
}:
let
  inherit (pkgsStatic.stdenv) cc;
  target = pkgsStatic.stdenv.hostPlatform.rust.rustcTarget;
  # As variables of cargo and of the crate cc write it.
  lower = builtins.replaceStrings [ "-" ] [ "_" ] target;
  compiler = "${cc}/bin/${cc.targetPrefix}cc";
  toolchain = rust-bin.stable."1.95.0".minimal.override { targets = [ target ]; };
  native = callPackage ./package.nix {
    inherit commit;
    rustPlatform = makeRustPlatform {
      cargo = toolchain;
      rustc = toolchain;
    };
  };
in
native.overrideAttrs (_old: {
  pname = "uphaul-static";

  "CC_${lower}" = compiler;
  "CARGO_TARGET_${lib.toUpper lower}_LINKER" = compiler;
  CARGO_BUILD_RUSTFLAGS = "-C target-feature=+crt-static";
  buildInputs = [ ];
  OPENSSL_STATIC = 1;
  OPENSSL_LIB_DIR = "${lib.getLib pkgsStatic.openssl}/lib";
  OPENSSL_INCLUDE_DIR = "${lib.getDev pkgsStatic.openssl}/include";

  # Those of nixpkgs build for the system that the compiler itself runs on.
  buildPhase = ''
    runHook preBuild
    cargo build --release --locked --offline --jobs "$NIX_BUILD_CORES" --target ${target} --package uphaul
    runHook postBuild
  '';
  installPhase = ''
    runHook preInstall
    install -D -m 0755 "''${CARGO_TARGET_DIR:-target}/${target}/release/uphaul" "$out/bin/uphaul"
    runHook postInstall
  '';

  # It proves itself: no loader is asked for, and it runs.
  doInstallCheck = true;
  installCheckPhase = ''
    runHook preInstallCheck
    if ''${READELF:-readelf} --program-headers --wide "$out/bin/uphaul" | grep INTERP; then
      echo "uphaul is not static"
      exit 1
    fi
    "$out/bin/uphaul" --version
    runHook postInstallCheck
  '';
})
