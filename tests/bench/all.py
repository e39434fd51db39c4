#!/usr/bin/env python3
"""All benchmarks, one after the other: a table for each, and everything as JSON in a file.
    all.py --build build/release [--containerd 1.7] [--json FILE] [--only NAME...] [--short]
As root, on a machine that does nothing else; takes about half an hour, a third of it with --short.
Every figure is a ratio to a floor or a rival in the same run, or stands beside one."""
import argparse
import importlib
import json
import sys

NAMES = ("converge", "heal", "status_load", "idle", "heal_under_probes", "hung_mirror")
SHORT = {"most": 1000, "runs": 1, "heals": 200, "seconds": 30, "pulls": 5, "alone": 20}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--containerd", default="1.7")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--short", action="store_true")
    given = parser.parse_args()
    results = {}
    for name in given.only:
        module = importlib.import_module(name)
        options = {key: SHORT.get(key, value) if given.short else value
                   for key, value in module.OPTIONS.items()}
        arguments = argparse.Namespace(build=given.build, containerd=given.containerd, **options)
        print(f"\n{name}: {module.__doc__.splitlines()[0]}", flush=True)
        results[name] = module.run(arguments)
        module.table(results[name])
        sys.stdout.flush()
        if given.json:
            with open(given.json, "w") as file:
                json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
