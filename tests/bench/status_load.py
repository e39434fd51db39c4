#!/usr/bin/env python3
"""Status for a hundred clients at once while files drift: how many answers a second, and whether
healing is any slower for it. What the same load does to the bare loop of floor.c is what the machine
has left, and no fault of the daemon's.
    status_load.py --build build/release [--clients 100] [--heals 1000] [--json]"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from bench import build_go, compile_floor, quantile, show
from daemon import Daemon

HERE = Path(__file__).resolve().parent
FILES = 60  # five edits of one file within ten seconds would count as a fight over it
PAUSE = 0.04
ROUNDS = 4
OPTIONS = {"clients": 100, "heals": 1000}


def desired():
    return "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
        f"  quiet{n}.test: {{mirrors: [{{url: https://localhost:9}}]}}\n"
        for n in range(FILES)) + "health: {interval: 1h}\n"


@contextmanager
def load(program, socket, clients, into):
    process = subprocess.Popen([program, socket, str(clients)], stdout=subprocess.PIPE, text=True)
    time.sleep(1)  # until all of them ask
    yield
    process.terminate()
    into.append(json.loads(process.communicate()[0]))


def drift(count, files):
    done = subprocess.run([sys.executable, HERE / "drift.py", str(count), str(PAUSE), *files],
                          capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    if answer["missed"]:
        raise SystemExit(f"{answer['missed']} of {count} edits were not healed within two seconds")
    return answer["seconds"]


def measure(build, work, tools, arguments):
    seconds = {(who, how): [] for who in ("floor", "nodemirrord") for how in ("alone", "loaded")}
    loads = []
    (work / "desired.yaml").write_text(desired())
    with Daemon(build, work) as daemon:
        files = [daemon.certs / f"quiet{n}.test/hosts.toml" for n in range(FILES)]
        daemon.wait(lambda: all(path.exists() for path in files), "the files are there")
        bare = work / "bare/hosts.toml"
        bare.parent.mkdir()
        bare.write_text(files[0].read_text())
        floor = subprocess.Popen([tools / "floor", "heal", bare], stdout=subprocess.PIPE, text=True)
        floor.stdout.readline()
        chosen = {"floor": [bare], "nodemirrord": files}
        count = arguments.heals // ROUNDS

        def edits(who):
            """Goes on with the file after the one that was edited last."""
            paths = chosen[who]
            chosen[who] = paths[count % len(paths):] + paths[:count % len(paths)]
            return drift(count, paths)

        for _ in range(ROUNDS):
            for who in chosen:
                seconds[who, "alone"] += edits(who)
                with load(tools / "load", daemon.socket, arguments.clients, loads):
                    seconds[who, "loaded"] += edits(who)
        floor.terminate()
        floor.wait()
    return seconds, loads


def run(arguments):
    build = Path(arguments.build).resolve()
    with tempfile.TemporaryDirectory(dir=build) as directory:
        tools = Path(directory)
        compile_floor(tools)
        build_go("load", tools)
        work = tools / "work"
        work.mkdir()
        seconds, loads = measure(build, work, tools, arguments)
    result = {"clients": arguments.clients, "cores": os.cpu_count(),
              "errors": sum(one["errors"] for one in loads)}
    for key in ("perSecond", "p50Seconds", "p99Seconds"):
        result[key] = statistics.median(one[key] for one in loads)
    for who in ("floor", "nodemirrord"):
        row = {}
        for how in ("alone", "loaded"):
            row[how] = {"p50Seconds": statistics.median(seconds[who, how]),
                        "p99Seconds": quantile(seconds[who, how], 0.99)}
        for part in ("p50", "p99"):
            row[f"{part}Ratio"] = row["loaded"][f"{part}Seconds"] / row["alone"][f"{part}Seconds"]
        result[who] = row
    return result


def table(result):
    print(f"{result['clients']} clients, {result['cores']} cores: {result['perSecond']:.0f} answers a "
          f"second, p50 {result['p50Seconds'] * 1000:.1f} ms, p99 {result['p99Seconds'] * 1000:.1f} ms, "
          f"{result['errors']:.0f} errors")
    print(f"{'healed after':14}{'alone p50':>12}{'p99':>12}{'loaded p50':>14}{'p99':>12}"
          f"{'ratio p50':>12}{'p99':>8}")
    for who in ("floor", "nodemirrord"):
        row = result[who]
        print(f"{who:14}" + "".join(
            f"{row[how][part] * 1000:{width}.3f} ms" for how, part, width in
            (("alone", "p50Seconds", 9), ("alone", "p99Seconds", 9), ("loaded", "p50Seconds", 11),
             ("loaded", "p99Seconds", 9))) + f"{row['p50Ratio']:12.2f}{row['p99Ratio']:8.2f}")


if __name__ == "__main__":
    show(run, table, OPTIONS)
