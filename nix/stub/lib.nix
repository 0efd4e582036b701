# The part of nixpkgs' lib that this project uses.
let
  inherit (builtins)
    all
    any
    hasAttr
    isList
    isPath
    isString
    listToAttrs
    pathExists
    stringLength
    substring
    ;
  startsWith = prefix: text: substring 0 (stringLength prefix) text == prefix;
in
rec {
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
  toUpper =
    let
      letters = text: builtins.genList (i: substring i 1 text) (stringLength text);
    in
    builtins.replaceStrings (letters "abcdefghijklmnopqrstuvwxyz") (letters "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
  # Packages of the stub have one output.
  getLib = package: package;
  getDev = package: package;
  removePrefix = prefix: text: if startsWith prefix text then substring (stringLength prefix) (stringLength text) text else text;
  optional = condition: item: if condition then [ item ] else [ ];
  optionalString = condition: text: if condition then text else "";
  literalExpression = text: text;
  # Of the module system only what tells a well-formed module: an option is a set with a type.
  mkIf = condition: content: if condition then content else { };
  mkEnableOption = name: {
    type = types.bool;
    default = false;
    description = "Whether to enable ${name}.";
  };
  mkOption =
    option:
    assert option ? type && option ? description;
    option;
  types = {
    bool = "bool";
    package = "package";
    path = "path";
    str = "str";
    strMatching = pattern: "text that matches ${pattern}";
    nullOr = type: "null or ${type}";
  };
  optionalAttrs = condition: set: if condition then set else { };
  getExe =
    package:
    if hasAttr "mainProgram" package.meta then
      "${package}/bin/${package.meta.mainProgram}"
    else
      throw "getExe: ${package.name} has no meta.mainProgram";

  licenses = {
    mit.spdxId = "MIT";
    asl20.spdxId = "Apache-2.0";
  };
  platforms.unix = [
    "x86_64-linux"
    "aarch64-linux"
    "x86_64-darwin"
    "aarch64-darwin"
  ];

  # Stricter than a set of names: what is listed must exist.
  fileset = {
    unions =
      paths:
      assert isList paths;
      if all (path: isPath path && (pathExists path || throw "fileset: ${toString path} does not exist")) paths then
        { inherit paths; }
      else
        throw "fileset.unions: not a list of paths";
    toSource =
      { root, fileset }:
      builtins.path {
        name = "source";
        path = root;
        filter =
          path: _type:
          any (
            kept: path == toString kept || startsWith "${toString kept}/" path || startsWith "${path}/" (toString kept)
          ) fileset.paths;
      };
  };
}
