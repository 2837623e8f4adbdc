#!/bin/sh
# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT

# The first process of the Debian guest. On the kernel's command line:
#   root=/dev/xvda      go on with the system on that disk; else, here:
#   parzelle.load=N     hash N times a mebibyte, each round on top of the one before
#   parzelle.poweroff   then switch off; without it a shell takes the console

export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

uname -a

load=0
off=no
root=
for word in $(cat /proc/cmdline); do
    case "$word" in
        parzelle.load=*) load="${word#parzelle.load=}" ;;
        parzelle.poweroff) off=yes ;;
        root=*) root="${word#root=}" ;;
    esac
done

# The frontends of paravirtual disks and networks are modules of Debian's kernels; another kernel than
# theirs refuses them.
for module in /lib/modules/*.ko; do
    insmod "$module" 2> /dev/null
done
if [ -n "$root" ]; then
    patience=200
    while [ ! -b "$root" ] && [ "$patience" -gt 0 ]; do
        sleep 0.05
        patience=$((patience - 1))
    done
    if mount -o ro "$root" /root; then
        umount /proc /sys
        mount -o move /dev /root/dev
        exec switch_root /root /sbin/init
    fi
    echo "init: cannot mount $root; disks: $(echo /sys/block/*)"
fi

if [ "$load" -gt 0 ]; then
    echo "load: started, $load rounds"
    sum=parzelle
    round=0
    while [ "$round" -lt "$load" ]; do
        sum="$({ echo "$sum"; head -c 1048576 /dev/zero; } | sha256sum)"
        sum="${sum%% *}"
        round=$((round + 1))
    done
    echo "load: finished, sha256 $sum"
fi

if [ "$off" = yes ]; then
    exec poweroff -f
fi

busybox --install -s /bin
exec setsid cttyhack sh
