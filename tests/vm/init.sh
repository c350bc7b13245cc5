#!/bin/busybox sh
# First program in the guest: reach the root, then serve a shell on the virtio-serial port "ctl".
# Kernel command line: dmr.root=host|initramfs, dmr.keep_tmp (the project lies under /tmp),
# dmr.modules (the kernel's modules are a share of their own).

bb=/bin/busybox

fail() {
	echo "dm-remap guest: $1" >/dev/kmsg
	$bb poweroff -f
}

$bb mkdir -p /proc /sys /dev /run /tmp
$bb mount -t proc proc /proc
$bb mount -t sysfs sys /sys
$bb mount -t devtmpfs dev /dev

root=host
keep_tmp=
modules=
for word in $($bb cat /proc/cmdline); do
	case $word in
	dmr.root=*) root=${word#dmr.root=} ;;
	dmr.keep_tmp) keep_tmp=1 ;;
	dmr.modules) modules=1 ;;
	esac
done

# Numbered in the order of their dependencies.
for module in /boot-modules/*.ko; do
	[ -e "$module" ] && { $bb insmod "$module" || fail "can't load $module"; }
done

if [ "$root" = host ]; then
	new=/new
	$bb mkdir -p /lower /upper $new
	$bb mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose host /lower ||
		fail "can't mount the host's root"
	$bb mount -t tmpfs upper /upper
	$bb mkdir /upper/upper /upper/work
	$bb mount -t overlay -o lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work root $new ||
		fail "can't mount the overlay"
	if [ -n "$modules" ]; then
		tree=$new/lib/modules/$($bb uname -r)
		$bb mkdir -p "$tree"
		$bb mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=262144,cache=loose modules "$tree" ||
			fail "can't mount the modules"
	fi
	for dir in proc sys dev; do
		$bb mount --move /$dir $new/$dir
	done
else
	new=
	$bb --install -s /bin
fi

$bb mount -t tmpfs run $new/run
[ -n "$keep_tmp" ] || $bb mount -t tmpfs tmp $new/tmp
$bb mkdir -p $new/dev/pts $new/dev/shm $new/run/job
$bb mount -t devpts pts $new/dev/pts
$bb mount -t tmpfs shm $new/dev/shm
$bb mount -t debugfs debug $new/sys/kernel/debug
$bb mount -t tracefs trace $new/sys/kernel/tracing
# With the first event that is switched on, the scheduler's tracepoints are, too, to learn the names of
# tasks. When code that all processors run is changed, QEMU without KVM may run into the breakpoint
# that was there for a moment ("int3: 0000", and the guest panics: within 100 switches when it is busy).
echo 0 >$new/sys/kernel/tracing/options/record-cmd
$bb mount -t cgroup2 cgroup $new/sys/fs/cgroup
$bb mount -t bpf bpf $new/sys/fs/bpf
$bb ln -sfn /proc/self/fd $new/dev/fd
$bb hostname dm-remap
$bb ifconfig lo 127.0.0.1 up

for port in $new/sys/class/virtio-ports/*; do
	read -r name <"$port/name" && [ "$name" = ctl ] && ctl=/dev/${port##*/}
done
[ -n "$ctl" ] || fail "there is no control port"

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM=dumb DM_DISABLE_UDEV=1 PYTHONDONTWRITEBYTECODE=1 DMR_GUEST=1

# Without udev nobody loads configfs. The loop restarts a shell that a command has made exit.
serve="modprobe configfs && mount -t configfs config /sys/kernel/config
exec 0<>$ctl 1>&0 2>&0; echo READY; while :; do /bin/sh; done"
if [ -n "$new" ]; then
	exec $bb switch_root $new /bin/sh -c "$serve"
else
	exec $bb sh -c "$serve"
fi
