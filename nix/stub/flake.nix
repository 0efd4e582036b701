# A stand-in for nixpkgs, for machines that cannot reach it: nix/check.sh evaluates the flake with it.
#
# It holds only the names that flake.nix and its packages use, each looked up in nixpkgs by hand, and refuses all others, so a
# misspelt name, argument or licence fails. What it builds, it builds with this machine's own programs (build.sh). It cannot
# tell whether a name is in the pinned nixpkgs.
{
  outputs =
    { self }:
    let
      lib = import ./lib.nix;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ] (system: import ./pkgs.nix { inherit lib system; });
    };
}
