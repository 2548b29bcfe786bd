#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo without a mesh: a laptop with stock WireGuard reaches a gateway through a node with Talon, all in network namespaces of this machine.
#
#   demo_static.sh               show it and clean up (KEEP=1: leave it running and say how to look around)
#   demo_static.sh in HOST CMD   run a command on lap, node, gw or rtr of a kept demo
#   demo_static.sh talon ARGS    run talon on the node of a kept demo
#   demo_static.sh clean         remove a kept demo
set -eEuo pipefail
ME=$0
FOLDER=${DEMO_FOLDER:-/tmp/talon-demo-static}
PREFIX=${DEMO_PREFIX:-demos}
NEEDS="wg ${WIREGUARD_GO:-wireguard-go}"
LOGS=node
. "$(dirname "$(readlink -f "$0")")/demo_lib.sh"

draw() {
	cat <<-END

	   LAPTOP                              ROUTER                      NODE with Talon
	  +-----------------------+    +------------------------+    +----------------------------+
	  | wireguard-go          |    |                        |    | XDP on eth0: decrypt, SNAT |
	  | mesh 100.64.0.2       |    |                        |    | mesh 100.64.0.1 on wt0     |
	  | eth0 10.99.0.2        +====+ 10.99.0.254            |    | eth0 $NODE         |
	  +-----------------------+    |            192.168.1.1 +====+----------------------------+
	                               |                        |
	                               |                        |    +----------------------------+
	                               |                        +----+ eth0 $GW         |
	                               +------------------------+    | HTTP server     GATEWAY    |
	                                                             +----------------------------+
	  ====  WireGuard, UDP port $PORT; the router lets the laptop reach the node, not the gateway
  ----  plain IP; the gateway sees $NODE, the node's address

	END
}

start() {
	step "Network namespaces: laptop, router, node, gateway"
	draw
	topology lap node gw
	good "made, with frames of wire size and finished checksums"

	step "Gateway: an HTTP server on $GW"
	mkdir -p "$RUN/www"
	echo "Hello from the gateway." >"$RUN/www/page"
	random_file "$RUN/www/large" $((64 << 20))
	servers_up gw
	not in_ns lap curl -s --max-time 2 -o /dev/null "http://$GW/page" || bad "the laptop reaches it without the tunnel"
	good "listening; the laptop cannot reach it without the tunnel"

	step "Node: talon up --static node.conf"
	write_config node "$RUN/node.conf"
	sed 's/^\(PrivateKey = \).*/\1(hidden)/' "$RUN/node.conf" | shown
	"${ENGINE}_up" node "$RUN/node.conf"
	good "ready"

	step "Laptop: $("$WIREGUARD_GO" --version 2>&1 | head -n 1)"
	client_up lap
	wait_for 5 "the first ping through the tunnel" in_ns lap ping -q -c 1 -W 2 $GW
	good "handshake done, $GW answers pings"
}

fetch() {
	local rate
	step "A page: curl http://$GW/page"
	get lap "http://$GW/page" >"$RUN/page"
	shown <"$RUN/page"
	cmp -s "$RUN/page" "$RUN/www/page" || bad "the page is not the gateway's"
	good "the page is the gateway's"
	check "client address that the gateway saw" $NODE "$(last_seen gw client)"

	step "A larger file: 64 MiB down, 64 MiB up"
	rate=$(get lap "http://$GW/large" -o "$RUN/large" -w '%{time_total} s, %{speed_download}')
	check "SHA-256, down" "$(sha "$RUN/www/large")" "$(sha "$RUN/large")"
	good "$(gbit "$rate")"
	rate=$(get lap "http://$GW/up" -T "$RUN/www/large" -o "$RUN/answer" -w '%{time_total} s, %{speed_upload}')
	check "SHA-256, up, as the gateway computed it" "$(sha "$RUN/www/large")" "$(cat "$RUN/answer")"
	good "$(gbit "$rate")"
}

look() {
	[ "$ENGINE" = talon ] || return 0
	step "Node: talon status -d"
	talon status -d --pin-dir "$PIN" | shown
	[ "$(ends in forwarded)" -gt 1000 ] || bad "the datapath did not count what went through it"
	good "in: $(ends in forwarded) packets opened and forwarded, out: $(ends out forwarded) sealed and forwarded, all by the datapath"
}

end() {
	demo_end <<-END
		$ME in lap curl http://$GW/page
		$ME in lap ping $GW
		$ME talon status -d
		$ME in node bpftool net show
		$ME in node ip -d link show wt0
		$ME in gw tcpdump -ni eth0
		tail -f $RUN/log/node
	END
}

case ${1:-run} in
run)
	demo_begin
	WG_LOG_LEVEL=error PEERS=lap
	start
	fetch
	look
	end
	;;
in) demo_attach; h=$2; shift 2; in_ns "$h" "$@" ;;
talon) demo_attach; shift; talon "$@" --pin-dir "$PIN" ;;
clean) demo_attach; run_end && echo "the demo is gone" ;;
*) sed -n '3,8p' "$0" | cut -c3-; exit 2 ;;
esac
