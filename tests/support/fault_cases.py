"""Chains of faulty mirrors, each to be pulled through by a real containerd and explained."""
from faulty_registry import KINDS as ALL_KINDS

KINDS = [kind for kind in ALL_KINDS if kind != "moody"]

# Behind each of these containerd waits without an end: a few are enough, they cost the most time.
ENDLESS = ["hang", "token-hangs", "layer-hangs", "tag-hangs"]
# What keeps a mirror from resolving; the next host is asked.
PASSED_OVER = ["refuse", "reset", "denied", "basic", "bare401", "token-refused", "forbidden",
               "missing", "limited", "broken500", "broken503", "expired", "wrong-name",
               "unknown-ca", "plain", "dns", "huge-manifest"]
# What resolves, whatever becomes of its blobs.
RESOLVING = [kind for kind in KINDS if kind not in PASSED_OVER + ENDLESS]


def cases():
    """Lists of kinds: the hosts of a chain in order, the last one as server. A kind with "!" may
    only pull and not resolve."""
    out = [[kind] for kind in [*KINDS, "dns"]]
    out += [[kind, "good"] for kind in [*PASSED_OVER, *RESOLVING, *ENDLESS]]
    out += [["good", kind] for kind in ("hang", "refuse", "expired", "missing")]
    # Two that are passed over: whose error is told?
    for step in (1, 2, 5, 7):
        for index, kind in enumerate(PASSED_OVER):
            out.append([kind, PASSED_OVER[(index + step) % len(PASSED_OVER)]])
    # Blobs that one mirror lacks come from the next.
    for kind in ("blobs-denied", "blobs-missing", "blobs-500", "redirect-loop"):
        for following in ("good", "refuse", "missing", "blobs-500"):
            out.append([kind, following])
    # A host before the winner that has the blobs, broken.
    for kind in ("wrong-layer", "cut-layer", "short-layer", "good", "missing"):
        out.append([kind + "!", "good"])
        out.append(["refuse", kind + "!", "token"])
    for index, kind in enumerate(PASSED_OVER):
        following = RESOLVING[index % len(RESOLVING)]
        out.append([kind, "missing", following])
    unique = []
    for case in out:
        if case not in unique:
            unique.append(case)
    return unique
