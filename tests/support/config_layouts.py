"""Layouts of containerd's configuration, good and bad: a main file and its imports, of versions that
go together and of ones that do not, with the sections that decide about registries under every name
that one release or another knows them by."""
import random

NAMES = ["io.containerd.grpc.v1.cri", "cri", "io.containerd.cri.v1.images", "images", "x.y"]
ROOT_PATHS = ["/etc/containerd/certs.d", "/etc/containerd/certs.d", "/a:/b", ""]
SANDBOXES = ["registry.example/pause:1", "localhost:5000/pause:2", ""]


def _registry(choose, wrong):
    lines = []
    if choose.random() < .75:
        lines.append(f'config_path = {choose.choice(["1", "[]"])}' if choose.random() < wrong else
                     f'config_path = "{choose.choice(ROOT_PATHS)}"')
    tables = []
    if choose.random() < .25:
        for name in choose.sample(["docker.io", "*", "quay.io"], choose.randint(1, 2)):
            endpoints = choose.sample(["https://m.example", "http://n.example:5000"],
                                      choose.randint(0, 2))
            tables.append((f'mirrors."{name}"', [f"endpoint = {endpoints}".replace("'", '"')]))
    return lines, tables


def _section(choose, name, wrong):
    out = [f'[plugins."{name}"]']
    if choose.random() < .4:
        value = "true" if choose.random() < wrong else f'"{choose.choice(SANDBOXES)}"'
        out.append(f"  sandbox_image = {value}")
    if choose.random() < .3:
        out += [f'[plugins."{name}".pinned_images]', f'  sandbox = "{choose.choice(SANDBOXES)}"']
    if choose.random() < .7:
        lines, tables = _registry(choose, wrong)
        out += [f'[plugins."{name}".registry]', *("  " + line for line in lines)]
        for table, inner in tables:
            out += [f'[plugins."{name}".registry.{table}]', *("  " + line for line in inner)]
    return out


def _file(choose, imports=(), wrong=0):
    """`wrong`: how likely a value is of another kind than it should be. Beside other files that is
    no matter where one of them has the key too, and the product asks for it to be mended anyhow."""
    out = []
    version = choose.choices([None, 1, 2, 3, 0, 4], weights=[6, 2, 12, 8, 1, .3])[0]
    if version is not None:
        out.append(f"version = {version}")
    if imports:
        out.append("imports = [%s]" % ", ".join(f'"{name}"' for name in imports))
    names = choose.choices(NAMES, weights=[60, 8, 40, 2, 2], k=choose.choice([0, 1, 1, 1, 2]))
    # Of two sections that come to one name containerd takes either, by chance.
    if NAMES[0] in names:
        names = [name for name in names if name != "cri"]
    for name in dict.fromkeys(names):
        out += _section(choose, name, wrong)
    if choose.random() < .03:
        out.append(choose.choice(["= 1", "a = ", '[plugins."x"']))
    return "\n".join(out) + "\n"


def layouts(seed, count):
    """Dictionaries of name to text; the main file is config.toml."""
    choose = random.Random(seed)
    for _ in range(count):
        extra = [f"{i}.toml" for i in range(choose.choice([0, 0, 1, 1, 2]))]
        imports = (["*.toml"] if choose.random() < .2 else [f"conf.d/{name}" for name in extra])
        if imports == ["*.toml"]:
            imports = ["DIRECTORY/conf.d/*.toml"]
        elif choose.random() < .5:
            imports = [f"DIRECTORY/{name}" for name in imports]
        out = {"config.toml": _file(choose, imports) if extra else _file(choose, wrong=.05)}
        out.update({f"conf.d/{name}": _file(choose) for name in extra})
        yield out
