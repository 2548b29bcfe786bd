#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Kernel WireGuard against Talon as routing peer inside one VM, per kernel. The guest's clock counts instructions (two
# nanoseconds each), so the host's load does not matter; but instructions are not time, and vector code of the kernel
# counts as little: read the ratio as a hint.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for kernel in ${VM_KERNELS:-6.1 6.12}; do
	VM_TIMEOUT=${VM_TIMEOUT:-400} VM_QEMU="-icount shift=1,sleep=off" "$here/run.sh" "$kernel" bench.sh
done
