#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Build what runs inside the VMs and is not part of talon: loadall and the counting XDP programs, into $BUILD/vm.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${BUILD:-build}/vm
mkdir -p "$out"

# Several runs at once may build: each makes its own file and moves it into place.
newer() {
	[ -e "$1" ] && [ "$1" -nt "$2" ]
}

program() {
	newer "$out/loadall" "$here/loadall.c" && return
	${CC:-gcc} -std=gnu17 -O2 -g -Wall -Wextra -Wshadow -Werror -o "$out/loadall.$$" "$here/loadall.c" -lbpf
	mv "$out/loadall.$$" "$out/loadall"
}

counter() {
	newer "$out/$1.bpf.o" "$here/xdp_count.bpf.c" && return
	${CLANG:-clang} -O2 -g -target bpf -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror \
		-I"/usr/include/$(gcc -print-multiarch)" "-DNAME=$1" "-DPRIORITY=$2" ${3:+"$3"} -c "$here/xdp_count.bpf.c" -o "$out/$1.$$"
	mv "$out/$1.$$" "$out/$1.bpf.o"
}

program
counter count_before 10
counter count_after 90
counter count_moving 70 -DMOVES
