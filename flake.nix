{
  description = "Uphaul updates a service on every server you run, over SSH, and pulls a server back up when an update fails";

  # Nix 2.18 or newer, as this nixpkgs asks.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  # Compilers with the standard library for musl, which the static binary is built for.
  inputs.rust-overlay = {
    url = "github:oxalica/rust-overlay";
    inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    {
      self,
      nixpkgs,
      rust-overlay,
    }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      # With changes, of a Nix that can tell it, the commit and `-dirty`.
      commit = self.rev or self.dirtyRev or "";
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = eachSystem (
        pkgs:
        let
          uphaul = pkgs.callPackage ./nix/package.nix { inherit commit; };
          # One file that runs on any Linux.
          uphaul-static = pkgs.callPackage ./nix/static.nix {
            inherit commit;
            rust-bin = rust-overlay.lib.mkRustBin { } pkgs;
          };
        in
        if pkgs.stdenv.hostPlatform.isLinux then
          {
            inherit uphaul uphaul-static;
            default = uphaul-static;
          }
        else
          {
            inherit uphaul;
            default = uphaul;
          }
      );

      apps = eachSystem (pkgs: {
        default = {
          type = "app";
          program = lib.getExe self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          meta.description = "Update a service on every server, and pull a server back up when an update fails";
        };
      });

      checks = eachSystem (
        pkgs:
        let
          inherit (self.packages.${pkgs.stdenv.hostPlatform.system}) default uphaul;
          # The package's own source and dependencies, with another command in the place of its build.
          cargo =
            name: tools: command:
            uphaul.overrideAttrs (old: {
              pname = "uphaul-${name}";
              nativeBuildInputs = old.nativeBuildInputs ++ tools;
              buildPhase = command;
              doCheck = false;
              installPhase = "touch $out";
            });
        in
        {
          # On Linux its build fails where the binary asks for a loader, or does not run.
          inherit default uphaul;
          format = cargo "format" [ pkgs.rustfmt ] "cargo fmt --all --check";
          clippy = cargo "clippy" [ pkgs.clippy ] "cargo clippy --workspace --all-targets --offline -- -D warnings";
        }
      );

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.uphaul ];
          packages = [
            pkgs.cargo-deny
            pkgs.cargo-insta
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.git
            pkgs.openssh
            pkgs.rust-analyzer
            pkgs.rustfmt
            pkgs.sqlite
          ];
        };
      });

      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);

      nixosModules.default = import ./nix/module.nix self;

      overlays.default = final: _prev: { uphaul = final.callPackage ./nix/package.nix { inherit commit; }; };
    };
}
