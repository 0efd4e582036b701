# What nix/check.sh evaluates beside the flake itself, with its stand-ins: the commit that is told, the overlay on real packages,
# and the NixOS module in each of its states. The value is `true`, or evaluating it is an error that says what is wrong.
let
  lib = import ./stub/lib.nix;
  system = "x86_64-linux";
  nixpkgs = (import ./stub/flake.nix).outputs { self = nixpkgs; };
  rust-overlay = (import ./stub-rust/flake.nix).outputs {
    self = rust-overlay;
    inherit nixpkgs;
  };
  # The outputs for a source of which Nix knows this. (With other inputs than the lock's, as in check.sh, it tells no commit.)
  outputs =
    source:
    let
      made = (import ../flake.nix).outputs {
        inherit nixpkgs rust-overlay;
        self = made // source;
      };
    in
    made;
  flake = outputs { rev = "abc"; };

  expect = what: wanted: got: if got == wanted then true else throw "${what}: ${builtins.toJSON got}, not ${builtins.toJSON wanted}";

  commits = map
    ({ source, wanted }: expect "the commit" [ wanted wanted ] (
      map (package: package.UPHAUL_COMMIT) [
        (outputs source).packages.${system}.uphaul
        (outputs source).packages.${system}.uphaul-static
      ]
    ))
    [
      { source.rev = "abc"; wanted = "abc"; }
      { source.dirtyRev = "abc-dirty"; wanted = "abc-dirty"; }
      { source = { }; wanted = ""; }
    ];

  final = nixpkgs.legacyPackages.${system} // flake.overlays.default final nixpkgs.legacyPackages.${system};
  overlay = [
    (expect "the overlay's package" flake.packages.${system}.uphaul.drvPath final.uphaul.drvPath)
    (expect "the overlay's commit" "abc" final.uphaul.UPHAUL_COMMIT)
  ];

  settings.default.service.path = "/srv/app";
  # The module's own `config`, with its options set to this and the rest to their defaults.
  module =
    set:
    let
      made = flake.nixosModules.default {
        inherit lib;
        pkgs = nixpkgs.legacyPackages.${system} // {
          formats.toml = _options: {
            type = "toml";
            generate = name: content: { inherit name content; };
          };
        };
        config.services.uphaul = defaults // set // { resume = defaults.resume // (set.resume or { }); };
      };
      options = made.options.services.uphaul;
      defaults = builtins.mapAttrs (_: option: option.default or (builtins.mapAttrs (_: inner: inner.default) option)) options;
    in
    builtins.deepSeq (builtins.mapAttrs (_: option: option.type or (builtins.mapAttrs (_: inner: inner.type) option)) options) made.config;
  on = module {
    enable = true;
    inherit settings;
    environmentFile = "/run/secrets/uphaul";
  };
  service = on.systemd.services.uphaul-resume;
  idle = module {
    enable = true;
    resume.enable = false;
  };
  often =
    (module {
      enable = true;
      resume.every = "2m";
    }).systemd.services.uphaul-resume;
  user = on.users.users.${service.serviceConfig.User};
  modules = [
    (expect "the module when it is off" { } (module { }))
    (expect "the command" "${flake.packages.${system}.default}/bin/uphaul resume --watch --every 30s" service.serviceConfig.ExecStart)
    (expect "the settings in the file that the service reads" settings
      on.environment.etc.${lib.removePrefix "/etc/" service.environment.UPHAUL_CONFIG}.source.content
    )
    (expect "the variables of the service" [ "/run/secrets/uphaul" ] service.serviceConfig.EnvironmentFile)
    (expect "how often it looks" "${flake.packages.${system}.default}/bin/uphaul resume --watch --every 2m" often.serviceConfig.ExecStart)
    # It watches from the boot on, comes back whatever ends it, and reads new settings.
    (expect "when it runs" [ [ "multi-user.target" ] "always" ] [ service.wantedBy service.serviceConfig.Restart ])
    (expect "the settings that it begins anew for" [ settings ] (map (file: file.content) service.restartTriggers))
    # ssh takes its home from the table of users, Uphaul from HOME, and systemd makes it.
    (expect "the home of the user, by ssh, by Uphaul, by systemd" [ "/var/lib/uphaul" "/var/lib/uphaul" "uphaul" ] [
      user.home
      service.environment.HOME
      service.serviceConfig.StateDirectory
    ])
    (expect "the kind of the user" true (user.isSystemUser && on.users.groups ? ${user.group}))
    (expect "a user that comes and goes" false (service.serviceConfig.DynamicUser or false))
    (expect "the service without resume" { } idle.systemd.services.uphaul-resume)
    # One that looked now and then would take up for ever what limits.catch_up has given up.
    (expect "timers" false (on.systemd ? timers))
    (expect "no variables" [ ] (module { enable = true; }).systemd.services.uphaul-resume.serviceConfig.EnvironmentFile)
    (expect "the configuration without resume" true (idle.environment.etc ? "uphaul/uphaul.toml"))
  ];
in
builtins.all (ok: ok) (commits ++ overlay ++ modules)
