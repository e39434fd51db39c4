"""What kubectl prints of a small cluster, as far as it matters: made here, so that tests can vary
it."""


def meta(name, space="default", owner=None, labels=None, revision=None):
    out = {"name": name, "namespace": space, "labels": labels or {}}
    if owner:
        kind, of = owner.split("/")
        out["ownerReferences"] = [{"kind": kind, "name": of, "controller": True}]
    if revision:
        out["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    return out


def template(image, labels):
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "nginx",
                                                                     "image": image}]}}


def deployment(name, image, labels, replicas, updated, available, stuck, revision):
    conditions = [{"type": "Progressing", "status": "False" if stuck else "True",
                   "reason": "ProgressDeadlineExceeded" if stuck else "NewReplicaSetAvailable",
                   "message": f"ReplicaSet \"{name}\" has timed out progressing."}]
    return {"kind": "Deployment", "metadata": meta(name, labels=labels, revision=revision),
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": template(image, labels)},
            "status": {"replicas": replicas, "updatedReplicas": updated,
                       "availableReplicas": available, "conditions": conditions}}


def replica_set(name, of, image, labels, replicas, ready, revision):
    return {"kind": "ReplicaSet",
            "metadata": meta(name, owner=f"Deployment/{of}", labels=labels, revision=revision),
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": template(image, labels)},
            "status": {"replicas": replicas, "readyReplicas": ready}}


def pod(name, of, image, labels, ip=None, waiting=None, message=""):
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    return {"kind": "Pod", "metadata": meta(name, owner=f"ReplicaSet/{of}", labels=labels),
            "spec": {"nodeName": "node1",
                     "containers": [{"name": "nginx", "image": image,
                                     "ports": [{"containerPort": 80}]}]},
            "status": {"phase": "Pending" if waiting else "Running", "podIP": ip or "",
                       "conditions": [{"type": "Ready", "status": "False" if waiting else "True"}],
                       "containerStatuses": [{"name": "nginx", "image": image, "state": state}]}}


def field_report():
    """The Deployment jjt-test after a broken rollout: its new image cannot be pulled, older
    ReplicaSets are left, and what runs is reachable by nobody."""
    labels = {"app": "jjt-test"}
    denied = "registry.cn-hangzhou.aliyuncs.com/library/nginx:1.25"
    good = "docker.io/library/app:1.0"
    return {"kind": "List", "apiVersion": "v1", "items": [
        deployment("jjt-test", denied, labels, 2, 1, 2, True, 3),
        replica_set("jjt-test-7c9d", "jjt-test", denied, labels, 1, 0, 3),
        replica_set("jjt-test-66b4", "jjt-test", good, labels, 2, 2, 2),
        replica_set("jjt-test-5f0a", "jjt-test", "nginx:1.0", labels, 0, 0, 1),
        pod("jjt-test-7c9d-aaaaa", "jjt-test-7c9d", denied, labels, waiting="ImagePullBackOff",
            message=f"Back-off pulling image \"{denied}\""),
        pod("jjt-test-66b4-bbbbb", "jjt-test-66b4", good, labels, ip="10.244.0.7"),
        pod("jjt-test-66b4-ccccc", "jjt-test-66b4", good, labels, ip="10.244.0.8"),
        {"kind": "Service", "metadata": meta("kubernetes"), "spec": {"type": "ClusterIP"}},
        {"kind": "Event", "metadata": meta("e1"), "reason": "Failed",
         "involvedObject": {"kind": "Pod", "namespace": "default", "name": "jjt-test-7c9d-aaaaa"},
         "message": f"Failed to pull image \"{denied}\": rpc error: code = Unknown desc = "
                    "pull access denied, repository does not exist or may require authorization: "
                    "server message: insufficient_scope: authorization failed"}]}
