#!/usr/bin/env python3
"""Holds the folders of lib to what they link: what a file includes of another folder must be among
the folders that its own links, directly or through others, so that data goes one way; there is no
cycle; the core includes and links nothing of Asio, gRPC's wire, systemd, logging, threads, sockets or
clocks; every test is built; and every code of a finding, and of a reason, is in the manual.
    structure.py LIB
"""
import re
import sys
from pathlib import Path

# What decides, and reads nothing but what it is given.
CORE = {"base", "tls", "reference", "toml", "desired", "containerd_config", "hosts_toml", "import",
        "registry_protocol", "observed", "health", "plan", "diagnose", "views", "status"}
FOREIGN = re.compile(r"#include <(boost/(asio|beast)|nghttp2|systemd|spdlog|google/protobuf|grpc|thread|"
                     r"sys/socket)|\b\w*[cC]lock::now|::time\(|clock_gettime|getenv|\buname\(")
# What it links of others: headers of Boost for SHA-256's bytes and the like, never Boost.Asio's needs.
OUTSIDE = {"Boost::headers", "OpenSSL::Crypto", "nlohmann_json::nlohmann_json", "prometheus-cpp::core"}


def links(text):
    """Of every folder with a target, those that it links itself."""
    out = {}
    for name, body in re.findall(r"nodemirror_library\((\w+)(.*?)\n?\)", text, re.S):
        out[name] = set(re.findall(r"nodemirror_(\w+)", body)) - {"options", "proto"}
    for name, body in re.findall(r"target_link_libraries\(nodemirror_(\w+) INTERFACE(.*?)\)", text,
                                 re.S):
        out[name] = set(re.findall(r"nodemirror_(\w+)", body))
    return out


def outside(text):
    """Of every folder with a target, what it links of others by a name with colons."""
    return {name: set(re.findall(r"[\w-]+::[\w-]+", body))
            for name, body in re.findall(r"nodemirror_library\((\w+)(.*?)\n?\)", text, re.S)}


def closure(graph, name, above=()):
    if name in above:
        raise SystemExit(f"a cycle of links: {' -> '.join([*above, name])}")
    out = {name}
    for linked in graph.get(name, ()):
        out |= closure(graph, linked, (*above, name))
    return out


def problems(lib):
    text = (lib / "CMakeLists.txt").read_text()
    graph = links(text)
    others = outside(text)
    folders = {path.name for path in lib.iterdir() if path.is_dir()}
    for name in sorted(folders - set(graph)):
        yield f"lib/{name} has no target"
    for name in sorted(CORE - folders):
        yield f"there is no lib/{name}"
    for name in sorted(folders & set(graph)):
        reached = closure(graph, name)
        if name in CORE and not reached <= CORE:
            yield f"lib/{name} is of the core and links {', '.join(sorted(reached - CORE))}"
        if name in CORE and not others.get(name, set()) <= OUTSIDE:
            yield f"lib/{name} is of the core and links {', '.join(sorted(others[name] - OUTSIDE))}"
        for path in sorted((lib / name).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                included = re.match(r'#include "(\w+)/', line)
                if included and included[1] in folders and included[1] not in reached:
                    yield f"{path}:{number}: lib/{name} does not link {included[1]}"
                if name in CORE and FOREIGN.search(line):
                    yield f"{path}:{number}: not in the core: {line.strip()}"


def unbuilt(lib):
    """Tests that no list has: they would never run."""
    listed = (lib.parent / "tests/CMakeLists.txt").read_text()
    for path in sorted((lib.parent / "tests").glob("[ua]*/test_*.cpp")):
        if not re.search(rf"\b{path.parent.name}/{path.name}\b", listed):
            yield f"{path} is in no list of tests/CMakeLists.txt"


def unexplained(lib):
    """The codes of findings that nodemirrorctl(1) does not list: scripts rely on them."""
    manual = (lib.parent / "packaging/man/nodemirrorctl.1").read_text().replace("\\-", "-")
    for path in sorted((lib / "diagnose").glob("*.cpp")) + sorted((lib / "hosts_toml").glob("*.cpp")):
        text = path.read_text()
        found = re.findall(r'(?:Severity::\w+|add\(warnings),\s*"([\w.-]+)"', text)
        for choice in re.findall(r'Severity::\w+,[^,;"]*\?\s*"([\w.-]+)"\s*:\s*"([\w.-]+)"', text):
            found += choice
        for code in found:
            if not re.search(rf"(?<![\w-]){re.escape(code)}(?![\w-])", manual):
                yield f"{path}: nodemirrorctl(1) does not tell of the code {code}"


# Words of two humps and more where reasons are made, and those that are no reason.
REASON = re.compile(r'"((?:[A-Z][a-z]+){2,}|Restarting)"')
NO_REASON = {"InSync"}


def untold(lib):
    """The codes of reasons that nodemirrord(8) does not list, and those that it lists for nothing."""
    manual = (lib.parent / "packaging/man/nodemirrord.8").read_text()
    listed = set(re.findall(r"^\.B (\w+)$", manual.split(".SH REASONS")[1].split(".SH ")[0], re.M))
    found = set()
    for folder in ("plan", "status", "reconcile", "mirrors"):
        for path in (lib / folder).glob("*.cpp"):
            found |= set(REASON.findall(path.read_text())) - NO_REASON
    for code in sorted(found ^ listed):
        yield f"nodemirrord(8) and the sources do not agree on the reason {code}"


def main():
    lib = Path(sys.argv[1])
    found = [*problems(lib), *unbuilt(lib), *unexplained(lib), *untold(lib)]
    print("\n".join(found) or "every include is linked, the core keeps to itself, codes are told")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
