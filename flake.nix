{
  description = "Uphaul updates a service on every server you run, over SSH, and pulls a server back up when an update fails";

  # One input. Nix 2.18 or newer, as this nixpkgs asks.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      commit = self.rev or "";
      eachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = eachSystem (
        pkgs:
        rec {
          uphaul = pkgs.callPackage ./nix/package.nix { inherit commit; };
          default = uphaul;
        }
        # One file that runs on any Linux. Not the default: the binary cache may lack the static toolchain, which takes
        # an hour to build.
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          uphaul-static = pkgs.pkgsStatic.callPackage ./nix/package.nix { inherit commit; };
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
          package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
          # The package's own source and dependencies, with another command in the place of its build.
          cargo =
            name: tools: command:
            package.overrideAttrs (old: {
              pname = "uphaul-${name}";
              nativeBuildInputs = old.nativeBuildInputs ++ tools;
              buildPhase = command;
              doCheck = false;
              doInstallCheck = false;
              installPhase = "touch $out";
            });
        in
        {
          inherit package;
          format = cargo "format" [ pkgs.rustfmt ] "cargo fmt --all --check";
          clippy = cargo "clippy" [ pkgs.clippy ] "cargo clippy --workspace --all-targets --offline -- -D warnings";
        }
        // lib.optionalAttrs pkgs.stdenv.hostPlatform.isLinux {
          # The build fails where the binary asks for a loader, or does not run.
          is-static = self.packages.${pkgs.stdenv.hostPlatform.system}.uphaul-static;
        }
      );

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ self.packages.${pkgs.stdenv.hostPlatform.system}.default ];
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

      overlays.default = final: _prev: { uphaul = final.callPackage ./nix/package.nix { }; };
    };
}
