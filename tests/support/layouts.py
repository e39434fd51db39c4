"""Generates certs.d trees, good and bad: what people write, what tools write, and what goes wrong.

A tree is a dict of paths to contents; None is an empty directory, ("link", target) a symbolic
link."""
import random

HOSTS = ["a.example", "b.example", "c.example", "d.example"]
REGISTRIES = ["docker.io", "quay.io", "registry.k8s.io", "reg.example:5443", "localhost:5080",
              "127.0.0.1:5443", "ghcr.io"]
# Names that the servers of the test answer under.
ALL_NAMES = HOSTS + ["registry-1.docker.io", "quay.io", "registry.k8s.io", "reg.example",
                     "ghcr.io", "httpmirror.example"]


def directory_names(registry):
    host, colon, port = registry.rpartition(":")
    return ([f"{host}_{port}_"] if colon else []) + [registry]


class Layouts:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, share):
        return self.random.random() < share

    def pick(self, *choices):
        return self.random.choice(choices)

    def url(self):
        host = self.random.choice(HOSTS)
        return self.pick(
            f"https://{host}", f"https://{host}", f"http://{host}:5080", f"https://{host}:5443",
            f"http://{host}", host, f"{host}:5443", f"https://{host}/", f"https://{host}/proj",
            f"https://{host}/v2", f"https://{host}/v2/", f"https://{host}/a/../b//c",
            f"https://{host}/v2/cache", f"https://user@{host}/x", f"https://{host}/xv2",
            "httpmirror.example", "httpmirror.example:5080", f"https://{host}/%2e%2e/q")

    def capabilities(self):
        return self.pick('["pull", "resolve"]', '["pull", "resolve"]', '["pull"]', '["resolve"]',
                         '["push"]', "[]", '["PULL", "Resolve"]', '["pull", "resolve", "push"]',
                         '["pull", "resolv"]', '"pull"', '["referrers"]', "[1]")

    def options(self, indent=""):
        lines = []
        if self.chance(0.6):
            lines.append(f"capabilities = {self.capabilities()}")
        if self.chance(0.2):
            lines.append("override_path = " + self.pick("true", "true", "false", '"yes"'))
        if self.chance(0.15):
            lines.append("skip_verify = " + self.pick("true", "false", "false", '"true"', "1"))
        if self.chance(0.12):
            lines.append("dial_timeout = " + self.pick('"2s"', '"1m30s"', '"2"', "2", '""'))
        if self.chance(0.12):
            lines.append("ca = " + self.pick('"ca.crt"', '["ca.crt"]', '"/absent.pem"', "[]",
                                             '"junk.pem"', "{}"))
        if self.chance(0.08):
            lines.append("client = " + self.pick("[]", '"absent.pem"', '[["a", "b", "c"]]', "3"))
        if self.chance(0.1):
            lines.append(self.pick("unknown = 1", "Capabilities = [\"pull\"]",
                                   "SKIP_VERIFY = false", "overridepath = true"))
        return "".join(f"{indent}{line}\n" for line in lines)

    def header_host(self, url):
        key = self.pick(f'"{url}"', f'"{url}"', f"'{url}'")
        text = self.pick(f"[host.{key}]\n", f"[host.{key}]\n", f"[ host . {key} ]\n")
        text += self.options("  ")
        if self.chance(0.2):
            text += f'[host.{key}.header]\n  X-Test = {self.pick(chr(34) + "v" + chr(34), "[]")}\n'
        return text

    def valid(self):
        """A file in one of the styles that people write."""
        text = ""
        if self.chance(0.5):
            text += "server = " + self.pick('"https://a.example"', '"b.example"', '""', "1",
                                            '"https://c.example/v2/x"') + "\n"
        text += self.options() if self.chance(0.3) else ""
        urls = []
        for _ in range(self.random.randint(0, 3)):
            url = self.url()
            if url not in urls or self.chance(0.1):
                urls.append(url)
        style = self.pick("headers", "headers", "headers", "inline", "dotted", "late")
        if style == "headers":
            text += "".join(self.header_host(url) for url in urls)
        elif style == "inline":
            # One only: several have no certain order in 1.x.
            text += "[host]\n" + "".join(f'"{url}" = {{capabilities = ["pull", "resolve"]}}\n'
                                         for url in urls[:1])
        elif style == "dotted":
            text += "".join(f'host."{url}".capabilities = ["pull", "resolve"]\n'
                            for url in dict.fromkeys(urls))
        else:
            text += "".join(f'[host."{url}"]\n' for url in dict.fromkeys(urls))
            text += "".join(f'[host."{url}".header]\nx = "y"\n' for url in dict.fromkeys(urls))
        if "host" not in text and self.chance(0.5):
            text += "[host]\n"
        return text

    def broken(self):
        """A valid file with a slip of the hand in it."""
        text = self.valid() or "server = \"https://a.example\"\n"
        at = self.random.randrange(len(text))
        return self.pick(
            text[:at] + text[at + 1:], text[:at] + self.pick('"', "[", "]", "=", "\n", "#", ",") +
            text[at:], text[:at], text + self.pick("server =\n", "[host\n", "x = [1,\n", "= 1\n"),
            text.replace("=", ":", 1), text.replace("\n", "\r\n"), text + text,
            "\ufeff" + text, "# only a comment\n", "\n", text.replace('"', "\u201c"))

    def tree(self, registry):
        """The tree for one registry."""
        names = directory_names(registry)
        name = self.random.choice(names)
        text = self.valid() if self.chance(0.65) else self.broken()
        files = {f"{name}/hosts.toml": text, f"{name}/junk.pem": "junk\n", f"{name}/ca.crt": "CA"}
        shape = self.random.random()
        if shape < 0.05:
            files = {name: None, "_default/hosts.toml": text}
        elif shape < 0.1:
            files = {"_default/hosts.toml": text, "_default/ca.crt": "CA"}
        elif shape < 0.13:
            files = {f"{name}/hosts.toml": ""}
        elif shape < 0.16:
            files = {f"{name}/ca.crt": "CA"}
        elif shape < 0.18:
            files = {name: "a file\n", "_default/hosts.toml": text}
        elif shape < 0.2:
            files = {f"{name}/hosts.toml/inner": "x"}
        elif shape < 0.22:
            files = {name: ("link", "nowhere"), "_default/hosts.toml": text, "_default/ca.crt": "CA"}
        elif shape < 0.24:
            files = {"real/hosts.toml": text, "real/ca.crt": "CA", name: ("link", "real")}
        elif shape < 0.26:
            files = {}
        elif shape < 0.3 and len(names) > 1:
            files[f"{names[1]}/hosts.toml"] = self.valid()
        return files


def layouts(seed, count):
    """`count` pairs of a registry and a tree."""
    generator = Layouts(seed)
    for index in range(count):
        registry = REGISTRIES[index % len(REGISTRIES)]
        yield registry, generator.tree(registry)
