# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Shared by guest scripts: one line per case, waiting for a condition, the network, both ends of the tunnel.
#
#   laptop 10.99.0.2 ---- 10.99.0.1 router 192.168.1.1 --- bridge --- node    192.168.1.221
#   wg0 100.64.0.2                                            `----- gateway 192.168.1.220 (busybox httpd)

fails=0

pass() {
	echo "PASS $*"
}

fail() {
	echo "FAIL $*"
	fails=$((fails + 1))
}

skip() {
	echo "SKIP $*"
}

finish() {
	[ "$fails" -eq 0 ]
	exit $?
}

# check TEXT COMMAND...: the case passes when the command does; its output is shown when it does not.
check() {
	local text="$1"

	shift
	if "$@" >/tmp/check.log 2>&1; then
		pass "$text"
	else
		fail "$text"
		tail -n 60 /tmp/check.log
		return 1
	fi
}

# wait_for SECONDS COMMAND...: three times as long, as the guest gets what the rest of make test leaves.
wait_for() {
	local end=$(($(cut -d. -f1 /proc/uptime) + 3 * $1))

	shift
	until "$@" >/tmp/wait.log 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
		sleep 0.2
	done
}

# inside NAMESPACE COMMAND...: as `ip netns exec` does, but with this mount namespace, so that pins are seen by all.
inside() {
	local namespace="$1"

	shift
	nsenter --net="/run/netns/$namespace" -- "$@"
}

# wire NAMESPACE ADDRESS PORT: a veth from eth0 in the namespace to PORT in the router. Towards eth0 frames are
# finished: summed and of wire size, as from a switch; and GRO there lets the port take frames that XDP on eth0 sends
# back.
wire() {
	ip netns add "$1"
	ip link add "$3" netns router type veth peer name eth0 netns "$1"
	ip -n "$1" link set lo up
	ip -n "$1" addr add "$2/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n router link set "$3" up
	inside router ethtool -K "$3" tx off gro on >/dev/null
}

network_up() {
	ip netns add router
	ip -n router link set lo up
	inside router sysctl -qw net.ipv4.ip_forward=1
	wire laptop 10.99.0.2 port-laptop
	wire node 192.168.1.221 port-node
	wire gateway 192.168.1.220 port-gateway
	ip -n router addr add 10.99.0.1/24 dev port-laptop
	ip -n router link add lan type bridge
	ip -n router link set port-node master lan
	ip -n router link set port-gateway master lan
	ip -n router addr add 192.168.1.1/24 dev lan
	ip -n router link set lan up
	ip -n laptop route add default via 10.99.0.1
	ip -n node route add default via 192.168.1.1
	ip -n gateway route add default via 192.168.1.1
	inside node sysctl -qw net.ipv4.ip_forward=1
	gateway_serve
	wait_for 10 inside laptop ping -c 1 -W 1 192.168.1.221
}

network_down() {
	local namespace

	[ -z "$httpd" ] || kill "$httpd"
	httpd=
	for namespace in laptop node gateway router; do
		ip netns del "$namespace" 2>/dev/null
	done
}

# A page that says who asked, and a file of 2 MB.
gateway_serve() {
	mkdir -p /tmp/www/cgi-bin
	[ -e /tmp/www/file ] || head -c 2000000 /dev/urandom >/tmp/www/file
	if [ ! -e /tmp/www/cgi-bin/who ]; then
		printf '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n%%s\\n" "$REMOTE_ADDR"\n' >/tmp/www/cgi-bin/who
		chmod 755 /tmp/www/cgi-bin/who
	fi
	inside gateway busybox httpd -f -p 80 -h /tmp/www &
	httpd=$!
	wait_for 10 inside gateway wget -q -O /dev/null http://192.168.1.220/cgi-bin/who
}

keys_make() {
	[ -e /tmp/keys/psk ] && return
	mkdir -p /tmp/keys
	(
		umask 077
		wg genkey >/tmp/keys/laptop
		wg genkey >/tmp/keys/node
		wg genpsk >/tmp/keys/psk
	)
	wg pubkey </tmp/keys/laptop >/tmp/keys/laptop.pub
	wg pubkey </tmp/keys/node >/tmp/keys/node.pub
}

# laptop_up responder|initiator: kernel WireGuard; which role the node plays decides who knows whose endpoint.
laptop_up() {
	keys_make
	ip -n laptop link add wg0 type wireguard
	inside laptop wg set wg0 listen-port 51821 private-key /tmp/keys/laptop peer "$(cat /tmp/keys/node.pub)" \
		preshared-key /tmp/keys/psk allowed-ips 100.64.0.1/32,192.168.1.0/24
	if [ "$1" = responder ]; then
		inside laptop wg set wg0 peer "$(cat /tmp/keys/node.pub)" endpoint 192.168.1.221:51820
	fi
	ip -n laptop addr add 100.64.0.2/10 dev wg0
	ip -n laptop link set wg0 mtu 1420 up
	ip -n laptop route replace 192.168.1.221/32 via 10.99.0.1
	ip -n laptop route add 192.168.1.0/24 dev wg0
}

laptop_handshaken() {
	[ "$(inside laptop wg show wg0 latest-handshakes | cut -f 2)" -gt 0 ]
}

# Kernel WireGuard and nftables masquerade in Talon's place.
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

# node_file responder|initiator [LINE...]: the static file; LINEs are Talon's own keys.
node_file() {
	local role="$1"

	shift
	keys_make
	: >/tmp/node.conf
	chmod 600 /tmp/node.conf
	{
		echo "[Interface]"
		echo "PrivateKey = $(cat /tmp/keys/node)"
		echo "ListenPort = 51820"
		echo "Address = 100.64.0.1/10"
		echo "MTU = 1420"
		echo "Route = 192.168.1.0/24 masquerade"
		for line in "$@"; do
			echo "$line"
		done
		echo "[Peer]"
		echo "PublicKey = $(cat /tmp/keys/laptop.pub)"
		echo "PresharedKey = $(cat /tmp/keys/psk)"
		echo "AllowedIPs = 100.64.0.2/32"
		if [ "$role" = initiator ]; then
			echo "Endpoint = 10.99.0.2:51821"
			echo "PersistentKeepalive = 5"
		fi
	} >/tmp/node.conf
}

pins=/sys/fs/bpf/talon
talon=

# node_up ROLE [LINE...]: Talon in the foreground of a job of ours, waited for until it says that it is ready.
node_up() {
	node_file "$@"
	inside node talon up --static /tmp/node.conf --pin-dir $pins >/tmp/talon.log 2>&1 &
	talon=$!
	wait_for 120 inside node talon status --check ready --pin-dir $pins	# the verifier is slow under emulation
}

node_status() {
	inside node talon status "$@" --pin-dir $pins
}

node_down() {
	inside node talon down --pin-dir $pins || return 1
	wait $talon
	talon=
}

node_tell() {
	cat /tmp/talon.log
	node_status -d
	inside node ip -d link show eth0
	inside laptop wg show
}

page_says_node() {
	local seen

	seen=$(inside laptop timeout 60 wget -q -O - http://192.168.1.220/cgi-bin/who | tr -d "[]")
	[ "${seen#::ffff:}" = 192.168.1.221 ]
}

file_is_whole() {
	inside laptop timeout 120 wget -q -O /tmp/fetched http://192.168.1.220/file && cmp /tmp/www/file /tmp/fetched
}
