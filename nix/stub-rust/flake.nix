# A stand-in for rust-overlay, see ../stub: the one compiler that the static package is built by.
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs";

  outputs =
    { self, nixpkgs }:
    {
      lib.mkRustBin =
        _options: pkgs:
        let
          known = [
            "x86_64-unknown-linux-musl"
            "aarch64-unknown-linux-musl"
            # What the stub builds for.
            "x86_64-unknown-linux-gnu"
            "aarch64-unknown-linux-gnu"
          ];
        in
        {
          stable."1.95.0".minimal.override =
            { targets }:
            if builtins.all (target: builtins.elem target known) targets then
              pkgs.rust-toolchain
            else
              throw "rust-overlay: unknown target in ${builtins.toJSON targets}";
        };
    };
}
