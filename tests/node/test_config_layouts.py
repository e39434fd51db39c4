"""The reader of config.toml against containerd itself: hundreds of layouts, good and bad, where the
real `containerd config dump` says what it makes of them."""
import json
import os
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import config_layouts
from case import BUILD, CACHE, RELEASE, SANDBOX, VERSION

COUNT = 600
SEED = int(os.environ.get("LAYOUT_SEED", "20260102"))
PLUGIN = "io.containerd.grpc.v1.cri" if VERSION < "2" else "io.containerd.cri.v1.images"


def dumped(main):
    """What containerd makes of a configuration; None where it refuses it."""
    done = subprocess.run([f"{CACHE}/containerd-{VERSION}/usr/bin/containerd", "-c", main, "config",
                           "dump"], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        return None
    section = tomllib.loads(done.stdout)["plugins"][PLUGIN]
    sandbox = (section["sandbox_image"] if VERSION < "2" else
               section["pinned_images"].get("sandbox", ""))
    registry = section["registry"]
    return {"configPath": registry["config_path"], "sandboxImage": sandbox or SANDBOX,
            "mirrors": {name: mirror.get("endpoint") or []
                        for name, mirror in (registry.get("mirrors") or {}).items()}}


class ConfigLayouts(unittest.TestCase):
    def test_they_are_read_as_containerd_reads_them(self):
        place = Path(tempfile.mkdtemp(prefix="config-layouts-"))
        self.addCleanup(shutil.rmtree, place)
        mains, cases = [], list(config_layouts.layouts(SEED, COUNT))
        for index, files in enumerate(cases):
            for name, text in files.items():
                path = place / str(index) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text.replace("DIRECTORY", str(place / str(index))))
            mains.append(str(place / str(index) / "config.toml"))
        said = subprocess.run([f"{BUILD}/tests/config_probe", RELEASE, *mains], capture_output=True,
                              text=True, check=True, timeout=120).stdout.splitlines()
        self.assertEqual(len(said), COUNT)
        differing, refused, with_path = [], 0, 0
        for files, main, line in zip(cases, mains, said):
            real, ours = dumped(main), json.loads(line)
            if real is None:
                refused += 1
                same = ours["error"] != ""
            else:
                with_path += real["configPath"] != ""
                same = ours["error"] == "" and all(ours[key] == real[key] for key in real)
            if not same:
                differing.append({"files": files, "containerd": real, "reader": ours})
        print("layouts:", COUNT, "refused:", refused, "with a config_path:", with_path, flush=True)
        self.assertEqual(differing, [], f"{len(differing)} differ:\n" +
                         "\n".join(json.dumps(item, indent=1) for item in differing[:5]))
        self.assertGreater(refused, 20)
        self.assertGreater(with_path, 50)
