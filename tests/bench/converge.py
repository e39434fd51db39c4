#!/usr/bin/env python3
"""The first convergence of many registries of four mirrors, beside writing the same bytes as safely
(floor.c), and a pass that finds nothing to do, beside asking for the state of the same files.
    converge.py --build build/release [--most 10000] [--runs 3] [--json]
Needs no node; as root it has a file system of its own; medians of the runs, ratios within one run."""
import statistics
import tempfile
import time
from pathlib import Path

from bench import compile_floor, floor_look, floor_seconds, own_file_system, show
from daemon import Daemon

SIZES = (10, 100, 1000, 10000)
OPTIONS = {"most": 10000, "runs": 3}


def desired(registries):
    return "apiVersion: nodemirrord/v1\nregistries:\n" + "".join(
        f"  r{n}.example:\n    mirrors:\n" + "".join(
            f"      - {{url: https://m{m}.example, repositoryPrefix: r{n}}}\n" for m in range(4))
        for n in range(registries)) + "health: {interval: 1h}\n"


def in_place(certs, count):
    # Listing the directory again and again would hold up whoever is writing in it.
    if not (certs / f"r{count - 1}.example").exists():
        return False
    names = [path.name for path in certs.iterdir()]
    return len(names) == count and not any(name.startswith(".") for name in names)


def measure(build, floor, count, scratch):
    """Seconds from the desired state's rename to the last file in place, and of the floors."""
    work = Path(tempfile.mkdtemp(prefix="converge.", dir=scratch))
    (work / "desired.yaml").write_text("apiVersion: nodemirrord/v1\nregistries: {}\n")
    with Daemon(build, work) as daemon:
        began = time.monotonic()
        daemon.desire(desired(count))
        daemon.wait(lambda: in_place(daemon.certs, count), "all files are there")
        result = {"seconds": time.monotonic() - began}
        daemon.wait(lambda: daemon.quiet(), "its own events are dealt with")
        time.sleep(2)  # until the files' times are older than the clock's grain
        daemon.pass_milliseconds()
        # In turn, so that both have the same share of what else the machine does.
        passes = [(daemon.pass_milliseconds(), floor_look(floor, daemon.certs))
                  for _ in range(9)]
        result["noopMilliseconds"] = statistics.median(one for one, _ in passes)
        result["look"] = statistics.median(one for _, one in passes)
    lines = [f"{path.name} {path}/hosts.toml\n" for path in sorted(daemon.certs.iterdir())]
    (work / "list").write_text("".join(lines))
    for how in ("converge", "one-by-one"):
        result[how] = floor_seconds(floor, how, work)
    result["ratio"] = result["seconds"] / result["converge"]
    result["ratioOneByOne"] = result["seconds"] / result["one-by-one"]
    # The daemon tells whole milliseconds: of few registries that is no figure.
    if count >= 1000:
        result["ratioNoop"] = result["noopMilliseconds"] / 1000 / result["look"]
    return result


def run(arguments):
    build = Path(arguments.build).resolve()
    results = []
    with own_file_system() as directory:
        floor = compile_floor(Path(directory))
        for count in (size for size in SIZES if size <= arguments.most):
            # Nothing is removed before the end, or the next run would pay for it.
            done = [measure(build, floor, count, directory) for _ in range(arguments.runs)]
            results.append({"registries": count,
                            **{key: statistics.median(one[key] for one in done) for key in done[0]}})
    return results


def table(results):
    print(f"{'registries':>10}{'converged':>12}{'floor':>10}{'ratio':>8}{'one by one':>12}{'ratio':>8}"
          f"{'no-op pass':>12}{'looks':>9}{'ratio':>8}")
    for row in results:
        print(f"{row['registries']:10}{row['seconds']:10.3f} s{row['converge']:8.3f} s"
              f"{row['ratio']:8.2f}{row['one-by-one']:10.3f} s{row['ratioOneByOne']:8.2f}"
              f"{row['noopMilliseconds']:9.0f} ms{1000 * row['look']:6.1f} ms"
              + (f"{row['ratioNoop']:8.2f}" if "ratioNoop" in row else f"{'-':>8}"))


if __name__ == "__main__":
    show(run, table, OPTIONS)
