#!/usr/bin/env python3
"""Writes the bill of materials (CycloneDX 1.5) of a binary of ours to the standard output.

    BINARY --version --json | packaging/bom.py TRIPLE

Three kinds of components: crates whose code is linked; C libraries that are linked, in the versions that the binary itself
tells (on the standard input, for only whoever built it knows how to run it here); and, with the scope `excluded`, crates that
were only needed to build. An expression of licences that is none ends this with an error, and so does a C library that is not
known here.
"""

import json
import re
import subprocess
import sys

# Licence, and the vendor and product by which the lists of vulnerabilities know it.
C_LIBRARIES = {
    "OpenSSL": ("Apache-2.0", "openssl:openssl"),
    "libssh2": ("BSD-3-Clause", "libssh2:libssh2"),
    "SQLite": ("blessing", "sqlite:sqlite"),
    "zlib": ("Zlib", "zlib:zlib"),
    "glibc": ("LGPL-2.1-or-later", "gnu:glibc"),
}


def said(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def expression(text):
    """The licence of a crate as SPDX has it: old manifests have a slash where it wants OR."""
    spdx = re.sub(r"\s*/\s*", " OR ", text or "")
    # Identifiers between operators; brackets only group.
    words = re.sub(r"[()]", " ", spdx).split()
    names, operators = words[::2], words[1::2]
    good = len(words) % 2 == 1 and spdx.count("(") == spdx.count(")")
    good = good and all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*\+?", name) for name in names)
    if not good or any(operator not in ("AND", "OR", "WITH") for operator in operators):
        sys.exit(f"no expression of SPDX: {text!r}")
    return spdx


def crates(triple, edges):
    """Name and version of the crates that these edges reach."""
    lines = said("cargo", "tree", "-p", "uphaul", "--locked", "--target", triple, "--prefix", "none", "-e", edges, "--format", "{p}")
    return {tuple(line.split()[:2]) for line in lines.splitlines() if line}


def of_crates(triple):
    metadata = json.loads(said("cargo", "metadata", "--locked", "--format-version", "1"))
    known = {(package["name"], "v" + package["version"]): package for package in metadata["packages"]}
    linked = crates(triple, "normal,no-proc-macro")
    for key in sorted(crates(triple, "normal,build") | linked):
        package = known[key]
        if package["source"] is None:
            continue  # our own
        name, version = package["name"], package["version"]
        yield {
            "type": "library",
            "bom-ref": f"pkg:cargo/{name}@{version}",
            "name": name,
            "version": version,
            "scope": "required" if key in linked else "excluded",
            "purl": f"pkg:cargo/{name}@{version}",
            "licenses": [{"expression": expression(package["license"])}],
        }


def of_c(linked):
    for told in linked.split(", "):
        name, version = told.split()[:2]
        if name not in C_LIBRARIES or not re.match(r"\d", version):
            sys.exit(f"not known here: {told!r}")
        licence, product = C_LIBRARIES[name]
        yield {
            "type": "library",
            "bom-ref": f"pkg:generic/{name.lower()}@{version}",
            "name": name,
            "version": version,
            "scope": "required",
            "purl": f"pkg:generic/{name.lower()}@{version}",
            "cpe": f"cpe:2.3:a:{product}:{version}:*:*:*:*:*:*:*",
            "licenses": [{"expression": expression(licence)}],
        }


def main():
    (triple,) = sys.argv[1:]
    about = json.load(sys.stdin)
    components = [*of_c(about["linked"]), *of_crates(triple)]
    application = {
        "type": "application",
        "name": "uphaul",
        "version": about["version"],
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
    }
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1}
    json.dump({**bill, "metadata": {"component": application}, "components": components}, sys.stdout, indent=1)
    print()
    needed = sum(one["scope"] == "required" for one in components)
    print(f"bill of materials: {needed} linked, {len(components) - needed} only to build", file=sys.stderr)


main()
