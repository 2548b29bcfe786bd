#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Kernel WireGuard against Talon as routing peer inside one VM, per kernel. Both are emulated: read the ratio, not the times.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
for kernel in ${VM_KERNELS:-6.1 6.12}; do
	VM_TIMEOUT=${VM_TIMEOUT:-400} "$here/run.sh" "$kernel" bench.sh
done
