#!/usr/bin/env python3
"""Runs one file of node tests: run.py --containerd 1.6 --build DIR FILE. Exits with 77 where this
machine cannot run them, saying why; that is a skipped leg, never a passed one."""
import argparse
import importlib.util
import os
import subprocess
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
sys.path.insert(0, str(HERE))

import node  # noqa: E402

SKIPPED = 77


def cannot(why):
    print(f"SKIPPED: {why}", flush=True)
    sys.exit(SKIPPED)


def check_machine():
    if os.geteuid() != 0:
        cannot("a test node needs root")
    probe = subprocess.run([*node.unshare_command(), "true"], capture_output=True, text=True)
    if probe.returncode != 0:
        cannot(f"this machine makes no namespaces: {probe.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--containerd", default="1.6")
    parser.add_argument("--build", required=True)
    parser.add_argument("--prepare", action="store_true", help="only make what all tests share")
    parser.add_argument("file", nargs="?")
    arguments, rest = parser.parse_known_args()
    check_machine()
    build = Path(arguments.build).resolve()
    cache = build / "node-cache"
    cache.mkdir(exist_ok=True)
    os.environ.update(NODE_CONTAINERD=arguments.containerd, NODE_BUILD=str(build),
                      NODE_CACHE=str(cache))
    import containerds
    import fixtures
    if arguments.prepare:
        fixtures.fixtures(cache)
        fixtures.staged(build, cache)
        missing = []
        for version in containerds.SUITES:
            try:
                containerds.containerd(version, cache)
            except containerds.Unavailable as error:
                missing.append(str(error))
        for why in missing:
            print(f"UNAVAILABLE: {why}", flush=True)
        return
    try:
        containerds.containerd(arguments.containerd, cache)
    except containerds.Unavailable as error:
        cannot(str(error))
    spec = importlib.util.spec_from_file_location(Path(arguments.file).stem, arguments.file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    unittest.main(module=module, argv=[arguments.file, *rest], verbosity=2)


if __name__ == "__main__":
    main()
