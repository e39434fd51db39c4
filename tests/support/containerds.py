"""The containerds that the tests run against, from Debian's packages.

1.6 is the machine's own suite, 1.7 and 2.1 come from later ones and are only unpacked. The archive's
address is taken from the machine's own sources.
"""
import os
import shutil
import subprocess
from pathlib import Path

SUITES = {"1.6": "bookworm", "1.7": "trixie", "2.1": "sid"}
# The release that each is, for the readers, and its sandbox image.
RELEASES = {"1.6": "1.6.20", "1.7": "1.7.24", "2.1": "2.1.9"}
SANDBOXES = {"1.6": "registry.k8s.io/pause:3.6", "1.7": "registry.k8s.io/pause:3.8",
             "2.1": "registry.k8s.io/pause:3.10"}


class Unavailable(Exception):
    """A suite cannot be reached: the leg that needs it is skipped, loudly."""


def _site():
    out = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(ORIGIN)",
         "Created-By: Packages"], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        site, codename, origin = line.split()
        if codename == "bookworm" and origin == "Debian":
            return site
    raise Unavailable("this machine's sources name no Debian archive")


def _apt_options(directory, suite):
    lists = directory / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    (directory / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    sources = directory / "sources.list"
    sources.write_text("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                       f"{_site()} {suite} main\n")
    return ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Etc::SourceList={sources}",
            "-o", "Dir::Etc::SourceParts=/dev/null", "-o", f"Dir::Cache={directory / 'cache'}"]


def containerd(version, cache):
    """The directory with the unpacked containerd of this version, fetched when it is not there."""
    target = Path(cache) / f"containerd-{version}"
    if (target / "usr/bin/containerd").exists():
        return target
    work = Path(cache) / f"fetch-{version}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        options = _apt_options(work, SUITES[version])
        for command in (["apt-get", *options, "update"],
                        ["apt-get", *options, "download", "containerd"]):
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=300,
                           env={**os.environ, "LC_ALL": "C"})
        package = next(work.glob("containerd_*.deb"))
        unpacked = work / "unpacked"
        subprocess.run(["dpkg", "-x", str(package), str(unpacked)], check=True)
        shutil.rmtree(target, ignore_errors=True)
        unpacked.rename(target)
    except (subprocess.SubprocessError, StopIteration, OSError) as error:
        raise Unavailable(f"containerd {version} cannot be had from {SUITES[version]}: {error}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    told = subprocess.run([target / "usr/bin/containerd", "--version"], check=True, capture_output=True,
                          text=True).stdout
    if f" {version}." not in told:
        shutil.rmtree(target)
        raise SystemExit(f"{SUITES[version]} has another containerd than {version}: {told.strip()}; "
                         "name its suite, and what it does differently, anew")
    return target
