#!/bin/busybox sh
# The first process of a guest that `cargo xtask kernels` boots: makes the machine that the suite `kernel` needs, runs the
# suite, and tells how it went. What it says goes to the second serial line, for people and for the command; the
# kernel has the first one for itself.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
b=/bin/busybox

$b mount -t devtmpfs dev /dev
exec >/dev/ttyS1 2>&1
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t bpf bpf /sys/fs/bpf
$b mount -t cgroup2 cgroup /sys/fs/cgroup
$b mount -t tmpfs tmp /tmp
$b mount -t tmpfs run /run
for module in /modules/*; do
    $b insmod "$module" || echo "cannot load $module"
done
ip link set lo up
# Tests run beside each other, and this machine is small: else it would be short of memory for TCP now and then, which has a test of its own.
echo 131072 131072 131072 >/proc/sys/net/ipv4/tcp_mem

export WARMLANE_EBPF_OBJECT=/warmlane-lane.o
# An emulated processor takes ten times as long and more.
export WARMLANE_LANE_SLOWNESS=10
part() {
    name=$1
    shift
    "$@"
    status=$?
    echo "warmlane-guest: $name $status"
    return $status
}
# One line for one argument.
suite() {
    set -f
    IFS='
'
    part suite /kernel --skip "$self_test" $($b cat /arguments)
}

echo "warmlane-guest: kernel $($b uname -r)"
self_test=privileged::bodies::the_self_test_passes
# Where the lane does not work at all, each test would tell it again.
part self-test /kernel --exact "$self_test" && suite
echo "warmlane-guest: end"
$b poweroff -f
