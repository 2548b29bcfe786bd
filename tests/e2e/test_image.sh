# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The image: what is in it, whether it says so, whether it runs as a container's root, and whether it is the same each time.
# background: building libcurl takes a while on a fresh machine

TOP=$E2E/../..
NATIVE=$(dpkg --print-architecture)

rootfs() { echo "$RUN/image/rootfs-$NATIVE"; }
archive() { echo "$RUN"/image/*.oci.tar; }
bill() { echo "$RUN"/image/*.spdx.json; }

setup() {
	needs_talon
	needs readelf llvm-objcopy patch unshare
	make_image "$RUN/image"
	topology lap node gw
	servers_up gw
	client_up lap
	contained "$RUN/contained" "$(rootfs)"
}

make_image() { # FOLDER
	local rc=0
	SOURCE_DATE_EPOCH=${EPOCH:-1700000000} "$TOP/manifests/image/build.sh" "$1" || rc=$?
	[ $rc -ne 77 ] || skip "curl's source package cannot be had"
	return $rc
}

check() { /usr/bin/python3 -B "$E2E/image/check.py" "$@"; }

# A program at that path that is Talon in a container.
contained() { # PATH ROOTFS
	printf '#!/bin/sh\nexec unshare -m /usr/bin/python3 -B %s %s %s ${CONTAINED:-/usr/bin/talon} "$@"\n' "$E2E/image/container.py" "$2" "$RUN" >"$1"
	chmod 755 "$1"
}

inside() { CONTAINED=$1 "$RUN/contained" "${@:2}"; }	# PROGRAM ARGUMENT...

test_an_archive_holds_what_its_index_says_and_no_shell() {
	check archive "$(archive)" "$RUN/image/rootfs-ARCH" "$NATIVE"
}

test_the_containerfile_says_the_same() {
	check containerfile "$TOP/manifests/image/Containerfile" "$(archive)"
}

test_every_file_is_in_the_bill_of_materials() {
	check bill "$(archive)" "$(bill)"
}

test_every_library_is_there_those_loaded_later_too() {
	local loader lib
	check libraries "$(archive)" "$TOP/userspace"
	loader=$(cd "$(rootfs)" && echo /lib/*-linux-gnu/ld-linux*)
	for lib in "" $(cd "$(rootfs)" && ls usr/lib/*-linux-gnu/*.so.*); do
		inside "$loader" --list "/${lib:-usr/bin/talon}" >"$RUN/list" 2>&1 || fail "$lib: $(cat "$RUN/list")"
		! grep "not found" "$RUN/list" || fail "of ${lib:-talon}"
	done
}

test_it_answers_under_both_names() {
	local name
	equal "version" "$("$TALON" version)" "$(inside /usr/bin/talon version)"
	for name in /usr/bin/netbird /usr/local/bin/netbird; do
		equal "$name version" "$(exec -a netbird "$TALON" version)" "$(inside $name version)"
		! inside $name status >"$RUN/out" 2>&1 || fail "$name status: nothing runs"
		grep -q "is it running" "$RUN/out"
	done
}

test_the_hub_reads_its_file_and_keeps_its_store() {
	printf '%s\n' "data: $RUN/hub" "listen: 127.0.0.1:8080" "public-url: http://192.168.1.221:8080" "policies: []" >"$RUN/hub.yaml"
	inside /usr/bin/talon hub --check "$RUN/hub.yaml"
	spawn hub node "$RUN/contained" hub --file "$RUN/hub.yaml"
	finally "stop hub"
	wait_for 10 "the hub" inside /usr/bin/talon hub status --data-dir "$RUN/hub"
	inside /usr/bin/talon hub keys add home --data-dir "$RUN/hub" >/dev/null
	inside /usr/bin/talon hub keys --data-dir "$RUN/hub" | found home
}

test_a_laptop_reaches_a_gateway_through_the_image() {
	local TALON=$RUN/contained
	node_up
	finally node_down
	equal "sent and received" "3 3" "$(ping_counts lap $GW -c 3 -i 0.2 -W 3)"
	fetch_page lap
	grep CapBnd "/proc/$(pid_of node)/status" | found "000000c000003000$"
	equal "its root" "$(cksum <"$(rootfs)/usr/bin/talon")" "$(cksum <"/proc/$(pid_of node)/root/usr/bin/talon")"
}

test_a_second_build_is_the_same_byte_for_byte() {
	local file
	(umask 077; TZ=Asia/Kolkata LC_ALL=C.UTF-8 make_image "$RUN/again")
	for file in "$(archive)" "$(bill)"; do
		cmp "$file" "$RUN/again/${file##*/}"
	done
	(EPOCH=1700000001 make_image "$RUN/later")
	file=$RUN/later/$(basename "$(archive)")
	not cmp -s "$(archive)" "$file"
	# What Debian made is the same layer still: it need not be fetched again.
	equal "layers in both" 1 "$( (tar -tvf "$(archive)"; tar -tvf "$file") | awk '$3 > 1000000 { print $6 }' | sort | uniq -d | wc -l)"
}

test_one_archive_has_both_architectures() {
	[ -x "$BUILD/arm64/talon" ] && [ -e "$BUILD/image/libcurl-arm64/version" ] || skip "arm64 is not built: make image ARCH=\"amd64 arm64\""
	ARCH="amd64 arm64" make_image "$RUN/both"
	check archive "$RUN"/both/*.oci.tar "$RUN/both/rootfs-ARCH" amd64 arm64
	check bill "$RUN"/both/*.oci.tar "$RUN"/both/*-arm64.spdx.json
	readelf -h "$RUN/both/rootfs-arm64/usr/bin/talon" | found "AArch64"
}
