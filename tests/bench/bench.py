"""What the benchmarks share: their arguments, the programs they are compared with, and a build that
is installed for test nodes. Each has OPTIONS, `run(arguments)` for its figures and `table(result)`."""
import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SUPPORT = Path(__file__).resolve().parent.parent / "support"
sys.path.insert(0, str(SUPPORT))

import fixtures  # noqa: E402


def parse(**options):
    """--build, --containerd, --json, and these options by their defaults."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--containerd", default="1.7")
    for name, default in options.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def show(run, table, options):
    """What a benchmark does when it is called by itself."""
    arguments = parse(**options)
    result = run(arguments)
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        table(result)


def prepare(build):
    """The build's directory and the cache with what nodes are made of."""
    build = Path(build).resolve()
    cache = build / "node-cache"
    cache.mkdir(exist_ok=True)
    fixtures.fixtures(cache)
    fixtures.staged(build, cache)
    return build, cache


@contextlib.contextmanager
def own_file_system():
    """A directory on an ext4 of its own, in a file on the disk. ext4 passes over inodes that were
    deleted lately (recently_deleted in fs/ext4/ialloc.c): on one that others use, whoever comes
    first pays for what they deleted. Where it cannot be mounted, a directory on what is there."""
    with tempfile.TemporaryDirectory(prefix="bench.") as work:
        image, mounted = Path(work) / "image", Path(work) / "mounted"
        mounted.mkdir()
        with open(image, "wb") as out:
            out.truncate(8 << 30)
        try:
            subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, mounted], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no file system of its own ({error}): others' deletions count too",
                  file=sys.stderr)
            yield mounted
            return
        try:
            yield mounted
        finally:
            subprocess.run(["umount", mounted], check=True)


def compile_floor(directory):
    """The program that does the least that has to be done (floor.c)."""
    program = Path(directory) / "floor"
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).with_name("floor.c")], check=True)
    return program


def build_go(name, directory):
    """A program of ours in Go, with Debian's fsnotify."""
    subprocess.run(["go", "build", "-o", directory / name, Path(__file__).with_name(f"{name}.go")],
                   check=True, env={"PATH": "/usr/bin:/bin", "GO111MODULE": "off",
                                    "HOME": str(directory), "GOPATH": "/usr/share/gocode"})


def floor_seconds(floor, how, work):
    """Seconds for writing the files of work/list as safely as the daemon does."""
    target = work / how
    target.mkdir()
    done = subprocess.run([floor, how, target, work / "list"], capture_output=True, text=True,
                          check=True)
    shutil.rmtree(target)
    return float(done.stdout)


def floor_look(floor, directory):
    """Seconds for asking for the state of every registry's directory and file."""
    done = subprocess.run([floor, "look", directory], capture_output=True, text=True, check=True)
    return float(done.stdout)


def quantile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
