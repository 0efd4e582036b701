# The NixOS module: the program, its configuration, and a service that brings to its end what was left in the middle.
self:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.uphaul;
  toml = pkgs.formats.toml { };
  file = toml.generate "uphaul.toml" cfg.settings;
  state = "/var/lib/uphaul";
in
{
  options.services.uphaul = {
    enable = lib.mkEnableOption "Uphaul";

    package = lib.mkOption {
      type = lib.types.package;
      default = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      defaultText = lib.literalExpression "the package of Uphaul's flake";
      description = "The package that is used.";
    };

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        default.service.path = "/srv/app";
        default.service.unit = "app.service";
      };
      description = "The content of uphaul.toml. It is readable by everybody: secrets go into environmentFile.";
    };

    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      example = "/run/secrets/uphaul";
      description = "A file with variables such as UPHAUL_DATABASE__URL, which only root need be able to read.";
    };

    resume = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = true;
        description = ''
          Whether `uphaul resume --watch` runs as a service: it takes up what was left in the middle as soon as the host
          is back, for as long as limits.catch_up says.
        '';
      };
      every = lib.mkOption {
        type = lib.types.strMatching "([0-9]+[smh])+";
        default = "30s";
        example = "2m";
        description = "How often it looks, from 1s to 1h.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    environment.etc."uphaul/uphaul.toml".source = file;

    # Not a DynamicUser: ssh takes `~` from the table of users, and so finds keys and known_hosts in no other home.
    users.users.uphaul = {
      isSystemUser = true;
      group = "uphaul";
      home = state;
      # Keys may be put there before the service has run.
      createHome = true;
      description = "Uphaul";
    };
    users.groups.uphaul = { };

    systemd.services.uphaul-resume = lib.mkIf cfg.resume.enable {
      description = "Bring to its end what Uphaul left in the middle";
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      wantedBy = [ "multi-user.target" ];
      # The settings are read when it begins.
      restartTriggers = [ file ];
      # ssh is found on the PATH.
      path = [ pkgs.openssh ];
      environment = {
        UPHAUL_CONFIG = "/etc/uphaul/uphaul.toml";
        HOME = state;
        XDG_STATE_HOME = dirOf state;
      };
      serviceConfig = {
        Type = "exec";
        ExecStart = "${lib.getExe cfg.package} resume --watch --every ${cfg.resume.every}";
        # It ends by itself only where it cannot begin: settings with a fault, a database that is away. The pause is longer
        # than what systemd takes for a loop, so it is never given up.
        Restart = "always";
        RestartSec = 30;
        EnvironmentFile = lib.optional (cfg.environmentFile != null) cfg.environmentFile;
        User = "uphaul";
        Group = "uphaul";
        StateDirectory = baseNameOf state;
        StateDirectoryMode = "0700";
        # What a DynamicUser would have too.
        NoNewPrivileges = true;
        PrivateTmp = true;
        ProtectHome = "read-only";
        ProtectSystem = "strict";
        RemoveIPC = true;
        RestrictSUIDSGID = true;
        # It brings begun hosts to their end at the first SIGTERM.
        KillMode = "mixed";
        TimeoutStopSec = "10min";
      };
    };
  };
}
