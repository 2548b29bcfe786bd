#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Builds the Debian package of a built binary: build.sh FOLDER writes FOLDER/talon_VERSION_ARCHITECTURE.deb and prints that name.
#
# Two builds of one binary are the same byte for byte. Environment: BUILD (build directory), DEB_VERSION (that of the file VERSION),
# SOURCE_DATE_EPOCH (the last commit's time, else that of the file VERSION).
set -euo pipefail

top=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
build=${BUILD:-$top/build}
mkdir -p "${1:?usage: build.sh FOLDER}"
out=$(cd "$1" && pwd)
version=${DEB_VERSION:-$(tr - '~' <"$top/VERSION")}
arch=$(dpkg --print-architecture)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || stat -c %Y "$top/VERSION")}
export SOURCE_DATE_EPOCH LC_ALL=C

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

put() { # MODE SOURCE TARGET
	install -D -m "$1" "$2" "$root$3"
}

put_packed() { # SOURCE TARGET
	mkdir -p "$root$(dirname "$2")"
	gzip -9n <"$1" >"$root$2.gz"
}

# Libraries by the packages that have them: with their versions where dpkg-shlibdeps is installed, else by name.
depends() {
	if command -v dpkg-shlibdeps >/dev/null; then
		mkdir -p "$work/debian"
		printf 'Source: talon\n\nPackage: talon\nArchitecture: any\n' >"$work/debian/control"
		(cd "$work" && dpkg-shlibdeps -O "$root/usr/bin/talon" 2>/dev/null) | sed 's/^shlibs:Depends=//'
	else
		# A file below /usr may be known by its name from before the two were merged.
		ldd "$root/usr/bin/talon" | awk '$3 ~ /^\// { print $3 }' | xargs -n 1 readlink -f | while read -r file; do
			dpkg-query -S "$file" 2>/dev/null || dpkg-query -S "${file#/usr}"
		done | sed 's/:.*//' | sort -u | paste -sd , | sed 's/,/, /g'
	fi
}

put 755 "$build/talon" /usr/bin/talon
strip --strip-unneeded --remove-section=.comment "$root/usr/bin/talon"
# Scripts written for NetBird's client find it under that name here; its own package keeps /usr/bin/netbird.
mkdir -p "$root/usr/lib/talon"
ln -s ../../bin/talon "$root/usr/lib/talon/netbird"
put 644 "$top/manifests/systemd/talon.service" /usr/lib/systemd/system/talon.service
put 644 "$top/manifests/hub/talon-hub.service" /usr/lib/systemd/system/talon-hub.service
put 644 "$top/manifests/hub/hub.yaml" /usr/share/doc/talon/examples/hub.yaml
put 644 "$top/manifests/systemd/talon.default" /etc/default/talon
put 644 "$top/manifests/systemd/talon.logrotate" /etc/logrotate.d/talon
put 644 "$top/docs/completion/talon.bash" /usr/share/bash-completion/completions/talon
put 644 "$top/LICENSE" /usr/share/doc/talon/copyright
put_packed "$top/CHANGELOG.md" /usr/share/doc/talon/changelog
for page in "$top"/docs/man/*.[0-9]; do
	put_packed "$page" "/usr/share/man/man${page##*.}/${page##*/}"
done

mkdir "$root/DEBIAN"
printf '/etc/default/talon\n/etc/logrotate.d/talon\n' >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 755 "$top/manifests/debian/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
# No Provides, no Conflicts: netbird-ui and others that depend on netbird speak to its daemon's own interface, and both packages may be
# installed side by side; that one of them runs is what the unit's Conflicts= says.
cat >"$root/DEBIAN/control" <<-END
	Package: talon
	Version: $version
	Architecture: $arch
	Maintainer: The Talon authors <talon@localhost>
	Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
	Depends: $(depends)
	Recommends: libcurl4, libsqlite3-0, libyaml-0-2
	Suggests: logrotate, bash-completion, libqrencode4
	Section: net
	Priority: optional
	Description: WireGuard routing peer whose packets stay in the kernel
	 Talon joins a NetBird mesh, or serves the peers of a WireGuard configuration,
	 and routes between them and the host's networks. BPF programs decrypt,
	 translate, forward and encrypt packets; a controller does handshakes and
	 keeps their maps, and may be restarted without losing a packet.
END
find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/talon_${version}_$arch.deb" >/dev/null
echo "$out/talon_${version}_$arch.deb"
