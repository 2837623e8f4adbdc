#!/bin/sh
# SPDX-FileCopyrightText: The Parzelle authors
# SPDX-License-Identifier: Apache-2.0 OR MIT

# Makes a Debian guest's root file system from packages, as debootstrap does in its first stage; run by
# fakeroot, so that files belong to whom Debian says without our being root.
#
#   rootfs.sh FOLDER-OF-PACKAGES FOLDER-OF-OVERLAY DIRECTORY-TO-FILL IMAGE SIZE TERMINAL
#
# Packages' own scripts can't run (the processor may be another one), so what they would do that
# this guest needs is done here: users, groups, the shell, and the tables of PAM.

set -eu
packages="$1" overlay="$2" root="$3" image="$4" size="$5" terminal="$6"
PATH="$PATH:/usr/sbin:/sbin"

rm -rf "$root"
mkdir -p "$root/etc" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
for directory in bin sbin lib lib64; do
    ln -s "usr/$directory" "$root/$directory"
done
for package in "$packages"/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$root"
done

# base-passwd, login, dash, mawk, libpam-runtime
cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
sed -n 's/^\([^:]*\):.*/\1:*:19000:0:99999:7:::/p' "$root/etc/passwd" | sed 's/^root:\*/root:/' > "$root/etc/shadow"
sed -i 's/^root:\*:/root:x:/' "$root/etc/passwd"
chmod 640 "$root/etc/shadow"
chown 0:42 "$root/etc/shadow"
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
ln -sf mawk "$root/usr/bin/awk"
for table in auth account password session session-noninteractive; do
    kind="${table%%-*}"
    [ "$kind" = auth ] && option=" nullok" || option=
    echo "$kind required pam_unix.so$option" > "$root/etc/pam.d/common-$table"
done
cp "$root/usr/share/base-files/profile" "$root/etc/profile"
cp "$root/usr/share/base-files/dot.bashrc" "$root/root/.bashrc"
cp "$root/usr/share/base-files/dot.profile" "$root/root/.profile"

# What is ours
cp -R "$overlay/." "$root/"
sed -i "s/@TERMINAL@/$terminal/" "$root/etc/inittab"
rm -rf "$root/usr/share/doc" "$root/usr/share/man" "$root/usr/share/locale"
mknod -m 600 "$root/dev/console" c 5 1
mknod -m 666 "$root/dev/null" c 1 3

# Dates say nothing here.
E2FSPROGS_FAKE_TIME=1700000000
export E2FSPROGS_FAKE_TIME
find "$root" -exec touch -h -d @1700000000 {} +
rm -f "$image"
uuid=7061727a-656c-6c65-0000-000000000001
mke2fs -q -t ext4 -U "$uuid" -E "hash_seed=$uuid,lazy_itable_init=0,root_owner=0:0" -L root -d "$root" "$image" "$size"
