"""Edits files in turn and measures how long each takes to be as before. Runs in the node.
    drift.py COUNT PAUSE FILE...
One that is not healed within two seconds counts as missed, and as that long."""
import json
import sys
import time

LIMIT = 2


def main():
    count, pause, paths = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    good = {path: open(path).read() for path in paths}
    out, missed = [], 0
    for number in range(count):
        path = paths[number % len(paths)]
        began = time.monotonic()
        with open(path, "w") as file:
            file.write("# drift")
        while True:
            try:
                if open(path).read() == good[path]:
                    break
            except OSError:
                pass
            if time.monotonic() - began > LIMIT:
                missed += 1
                with open(path, "w") as file:
                    file.write(good[path])
        out.append(time.monotonic() - began)
        time.sleep(pause)
    print(json.dumps({"seconds": out, "missed": missed}))


if __name__ == "__main__":
    main()
