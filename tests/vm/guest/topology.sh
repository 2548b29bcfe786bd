# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Checks the network of the other scripts: kernel WireGuard and masquerade in Talon's place do what Talon is asked
# to do.
. /guest/lib.sh

check "the network comes up" network_up
check "kernel WireGuard routes in Talon's place" kernel_node_up
laptop_up responder
check "page through the tunnel, gateway saw the node" page_says_node
check "2 MB through the tunnel, every byte" file_is_whole
check "ping through the tunnel" inside laptop ping -c 3 -i 0.2 -W 5 192.168.1.220
network_down
finish
