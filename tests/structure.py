#!/usr/bin/env python3
"""Holds the folders of lib to what they link: what a file includes of another folder must be among
the folders that its own links, directly or through others, so that data goes one way; there is no
cycle; and the core includes nothing of Asio, gRPC's wire, systemd, logging or clocks.
    structure.py LIB
"""
import re
import sys
from pathlib import Path

# What decides, and reads nothing but what it is given.
CORE = {"base", "tls", "reference", "toml", "desired", "containerd_config", "hosts_toml", "import",
        "registry_protocol", "observed", "health", "plan", "diagnose", "views", "status"}
FOREIGN = re.compile(r"#include <(boost/(asio|beast)|nghttp2|systemd|spdlog|google/protobuf)|"
                     r"_clock::now|::time\(|getenv")


def links(text):
    """Of every folder with a target, those that it links itself."""
    out = {}
    for name, body in re.findall(r"nodemirror_library\((\w+)(.*?)\n?\)", text, re.S):
        out[name] = set(re.findall(r"nodemirror_(\w+)", body)) - {"options", "proto"}
    for name, body in re.findall(r"target_link_libraries\(nodemirror_(\w+) INTERFACE(.*?)\)", text,
                                 re.S):
        out[name] = set(re.findall(r"nodemirror_(\w+)", body))
    return out


def closure(graph, name, above=()):
    if name in above:
        raise SystemExit(f"a cycle of links: {' -> '.join([*above, name])}")
    out = {name}
    for linked in graph.get(name, ()):
        out |= closure(graph, linked, (*above, name))
    return out


def problems(lib):
    graph = links((lib / "CMakeLists.txt").read_text())
    folders = {path.name for path in lib.iterdir() if path.is_dir()}
    for name in sorted(folders - set(graph)):
        yield f"lib/{name} has no target"
    for name in sorted(CORE - folders):
        yield f"there is no lib/{name}"
    for name in sorted(folders & set(graph)):
        reached = closure(graph, name)
        if name in CORE and not reached <= CORE:
            yield f"lib/{name} is of the core and links {', '.join(sorted(reached - CORE))}"
        for path in sorted((lib / name).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                included = re.match(r'#include "(\w+)/', line)
                if included and included[1] in folders and included[1] not in reached:
                    yield f"{path}:{number}: lib/{name} does not link {included[1]}"
                if name in CORE and FOREIGN.search(line):
                    yield f"{path}:{number}: not in the core: {line.strip()}"


def main():
    found = list(problems(Path(sys.argv[1])))
    print("\n".join(found) or "every include is linked, and the core keeps to itself")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
