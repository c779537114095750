#!/usr/bin/env python3
"""Writes the software bill of materials of one build as SPDX 2.3 JSON."""

import argparse
import hashlib
import json
import os
import pathlib
import re
import subprocess
from datetime import UTC, datetime

# name, pkg-config or Debian package that tells the version, licence, how it is used
DISTRIBUTION = [
    ("libsodium", "libsodium-dev", "ISC", "DYNAMIC_LINK"),
    ("sqlite3", "libsqlite3-dev", "blessing", "DYNAMIC_LINK"),
    ("qrencode", "libqrencode-dev", "LGPL-2.1-or-later", "DYNAMIC_LINK"),
    ("libedit", "libedit-dev", "BSD-3-Clause", "DYNAMIC_LINK"),
    ("CLI11", "libcli11-dev", "BSD-3-Clause", "STATIC_LINK"),
    ("nlohmann-json", "nlohmann-json3-dev", "MIT", "STATIC_LINK"),
    ("flatbuffers", "libflatbuffers-dev", "Apache-2.0", "STATIC_LINK"),
]


def output_of(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def debian_version(package: str) -> str:
    return output_of(["dpkg-query", "-W", "-f=${Version}", package])


def package(name: str, version: str, licence: str, **more: object) -> dict:
    return {
        "name": name,
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name),
        "versionInfo": version or "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": licence,
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        **more,
    }


def pinned(name: str, licence: str, version: str, sha256: str, patches: str) -> dict:
    more: dict[str, object] = {"checksums": [{"algorithm": "SHA256", "checksumValue": sha256}]}
    if patches:
        more["comment"] = f"with the patches of {patches}"
    return package(name, version, licence, **more)


def document(arguments: argparse.Namespace) -> dict:
    engine = package("Sereus", arguments.version, "Apache-2.0", primaryPackagePurpose="LIBRARY")
    # 5.8.2 was the first release under version 3.
    version = tuple(int(part) for part in arguments.wolfssl[0].split("."))
    wolfssl_licence = "GPL-3.0-only" if version >= (5, 8, 2) else "GPL-2.0-or-later"
    wolfssl = pinned("wolfSSL", wolfssl_licence, *arguments.wolfssl)
    ngtcp2 = pinned("ngtcp2", "MIT", *arguments.ngtcp2)
    llhttp = pinned("llhttp", "MIT", *arguments.llhttp)
    packages = [engine, wolfssl, ngtcp2, llhttp]
    links = [(wolfssl, "STATIC_LINK"), (ngtcp2, "STATIC_LINK"), (llhttp, "STATIC_LINK")]
    for name, debian_package, licence, relation in DISTRIBUTION:
        entry = package(name, debian_version(debian_package), licence, comment=f"Debian package {debian_package}")
        packages.append(entry)
        links.append((entry, relation))
    # The time of the sources, not of the build, so that two builds of one commit write the same file.
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or output_of(["git", "log", "-1", "--format=%ct"]) or 0)
    name = f"Sereus-{arguments.version}"
    digest = hashlib.sha256(json.dumps([packages, epoch], sort_keys=True).encode()).hexdigest()[:32]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:sereus:sbom:{name}-{digest}",
        "creationInfo": {
            "created": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "creators": ["Tool: tools/sbom.py"],
        },
        "packages": packages,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": engine["SPDXID"],
            },
            *(
                {
                    "spdxElementId": engine["SPDXID"],
                    "relationshipType": relation,
                    "relatedSpdxElement": entry["SPDXID"],
                }
                for entry, relation in links
            ),
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--version", required=True)
    for name in ("wolfssl", "ngtcp2", "llhttp"):
        parser.add_argument(f"--{name}", nargs=3, required=True, metavar=("VERSION", "SHA256", "PATCHES"))
    arguments = parser.parse_args()
    arguments.out.write_text(json.dumps(document(arguments), indent=2) + "\n")


if __name__ == "__main__":
    main()
