#!/bin/sh
# The first process of a test node's namespaces: lays an overlay of this machine's root, with
# everything that a node writes on tmpfs, and becomes systemd in it.
# Arguments: WORK (an empty directory), CONTAINERD (a directory with usr/bin/containerd…), ETC (a
# directory whose contents are copied over the node's root), then paths to show in the node at the
# same place, for /tmp and /run are its own.
set -eu
work=$1 containerd=$2 etc=$3
shift 3
if ! awk '$5 == "/" { found = 1 } END { exit !found }' /proc/self/mountinfo; then
    # In a plain chroot: the same files again, as a mount of their own.
    base=${work%/*}/base
    mount --rbind / "$base"
    mount --make-rprivate "$base"
    exec chroot "$base" "$0" "$work" "$containerd" "$etc" "$@"
fi
mount --make-rprivate /
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
# Without its own /tmp, systemd-tmpfiles would empty the machine's.
mkdir -p "$root/var/lib/containerd" "$root/var/lib/nodemirrord"
for directory in run tmp var/lib/containerd var/lib/nodemirrord var/log; do
    mount -t tmpfs tmpfs "$root/$directory"
done
chmod 755 "$root/var/lib/containerd" "$root/var/lib/nodemirrord"
rm -rf "$root/etc/containerd" "$root/etc/nodemirrord"
cp -R --preserve=mode,links,timestamps "$etc/." "$root/"
for binary in "$containerd"/usr/bin/*; do
    install -m 0755 "$binary" "$root/usr/bin/${binary##*/}"
done
cat "$root/etc/nodetest/ca.crt" >>"$root/etc/ssl/certs/ca-certificates.crt"
for path in "$@"; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done
hostname testnode
ip link set lo up
# What a test node has no use for.
for unit in docker-registry.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer \
    man-db.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer ssh.service cron.service \
    networking.service systemd-logind.service getty@tty1.service postgresql.service \
    e2scrub_reap.service docker.service docker.socket rsyslog.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
exec chroot "$root" /usr/bin/env -i container=nodetest PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=multi-user.target
