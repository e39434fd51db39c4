"""Edits files in turn and measures how long each takes to be as before. Runs in the node.
    drift.py COUNT PAUSE FILE..."""
import json
import sys
import time


def main():
    count, pause, paths = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    good = {path: open(path).read() for path in paths}
    out = []
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
            if time.monotonic() - began > 30:
                sys.exit(f"{path} was not healed within 30 s")
        out.append(time.monotonic() - began)
        time.sleep(pause)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
