# Runs as PID 1 of a host's new namespaces, still on the machine's root file system.
set -eu
mount --make-rprivate /
mount -t overlay overlay \
    -o "lowerdir=$LAB_LOWER,upperdir=$LAB_DIR/upper,workdir=$LAB_DIR/work" "$LAB_DIR/root"
cd "$LAB_DIR/root"
mkdir -p var/lib/docker .old
# overlay2 refuses to lie on an overlay, so Docker's data root is a plain directory
mount --bind "$LAB_DIR/docker" var/lib/docker

mount -t proc proc proc
# sysrq is the whole machine's
[ ! -e proc/sysrq-trigger ] || mount --bind /dev/null proc/sysrq-trigger
mount -t sysfs sysfs sys
if [ -n "$LAB_CGROUPS" ]; then
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    for options in $LAB_CGROUPS; do
        directory=sys/fs/cgroup/${options#none,name=}
        mkdir "$directory"
        mount -t cgroup -o "$options" cgroup "$directory"
    done
else
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    # v2 allows no processes beside controlled children
    mkdir -p sys/fs/cgroup/init
    echo 1 > sys/fs/cgroup/init/cgroup.procs
    sed 's/ / +/g; s/^/+/' sys/fs/cgroup/cgroup.controllers > sys/fs/cgroup/cgroup.subtree_control
fi

# fresh tmpfs: no stale pid files or sockets outlive a power cut
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/mqueue
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    name=${device%%:*} numbers=${device#*:}
    mknod -m 666 "dev/$name" c "${numbers%:*}" "${numbers#*:}"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t mqueue mqueue dev/mqueue
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/sshd run/lock
mkfifo -m 600 run/initctl
cp "$LAB_INIT" run/lab-init

hostname "$LAB_NAME"
echo "$LAB_NAME" > etc/hostname
printf '127.0.0.1 localhost\n%s %s\n' "$LAB_IP" "$LAB_NAME" > etc/hosts
echo 'nameserver 127.0.0.1' > etc/resolv.conf
if [ -n "$LAB_MEMORY_KB" ]; then
    awk -v total="$LAB_MEMORY_KB" '
        /^MemTotal/ { $2 = total }
        /^Mem(Free|Available)/ { $2 = int(total * 0.9) }
        { print $1, $2, $3 }' /proc/meminfo > run/meminfo
    mount --bind run/meminfo proc/meminfo
fi
ip link set lo up
ip addr add "$LAB_IP/$LAB_PREFIX" dev eth0
ip link set eth0 up

pivot_root . .old
cd /
umount -l /.old
exec env -i HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin tini -- /bin/sh /run/lab-init
