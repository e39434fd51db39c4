#!/usr/bin/env python3
"""Holds the folders of lib to what they link: what a file includes of another folder must be among
the folders that its own links, directly or through others, so that data goes one way; there is no
cycle; the core includes nothing of Asio, gRPC's wire, systemd, logging or clocks; and every code of
a finding, and of a reason, is in the manual.
    structure.py LIB
"""
import re
import sys
from pathlib import Path

# What decides, and reads nothing but what it is given.
CORE = {"base", "tls", "reference", "toml", "desired", "containerd_config", "hosts_toml", "import",
        "registry_protocol", "observed", "health", "plan", "diagnose", "views", "status"}
FOREIGN = re.compile(r"#include <(boost/(asio|beast)|nghttp2|systemd|spdlog|google/protobuf)|"
                     r"\b\w*[cC]lock::now|::time\(|getenv|\buname\(")


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


def unexplained(lib):
    """The codes of findings that nodemirrorctl(1) does not list: scripts rely on them."""
    manual = (lib.parent / "packaging/man/nodemirrorctl.1").read_text().replace("\\-", "-")
    for path in sorted((lib / "diagnose").glob("*.cpp")) + sorted((lib / "hosts_toml").glob("*.cpp")):
        for code in re.findall(r'(?:Severity::\w+|add\(warnings),\s*"([\w.-]+)"', path.read_text()):
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
    found = [*problems(lib), *unexplained(lib), *untold(lib)]
    print("\n".join(found) or "every include is linked, the core keeps to itself, codes are told")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
