# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The network of the other scripts is sound: kernel WireGuard and masquerade in Talon's place do what Talon is asked to do.
. /guest/lib.sh

kernel_node_up() {
	keys_make
	ip -n node link add wt0 type wireguard
	inside node wg set wt0 listen-port 51820 private-key /tmp/keys/node peer "$(cat /tmp/keys/laptop.pub)" \
		preshared-key /tmp/keys/psk allowed-ips 100.64.0.2/32
	ip -n node addr add 100.64.0.1/10 dev wt0
	ip -n node link set wt0 mtu 1420 up
	inside node nft -f - <<-EOF
		table ip nat {
			chain post {
				type nat hook postrouting priority srcnat;
				oifname "eth0" ip saddr 100.64.0.0/10 masquerade
			}
		}
	EOF
}

check "the network comes up" network_up
check "kernel WireGuard routes in Talon's place" kernel_node_up
laptop_up responder
check "page through the tunnel, gateway saw the node" page_says_node
check "2 MB through the tunnel, every byte" file_is_whole
check "ping through the tunnel" inside laptop ping -c 3 -i 0.2 -W 5 192.168.1.220
network_down
finish
