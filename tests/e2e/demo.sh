#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# The demo: a whole mesh of `talon hub`, a routing peer and two agents, all in network namespaces of this machine.
#
#   demo.sh               show it and clean up (KEEP=1: leave it running and say how to look around)
#   demo.sh in HOST CMD   run a command on lap, node, vps, gw or rtr of a kept demo
#   demo.sh talon HOST ARGS   run talon on lap, node or vps of a kept demo
#   demo.sh hub ARGS      ask the hub of a kept demo: peers, keys, routes, policies
#   demo.sh clean         remove a kept demo
set -eEuo pipefail
ME=$0
FOLDER=${DEMO_FOLDER:-/tmp/talon-demo}
PREFIX=${DEMO_PREFIX:-demo}
NEEDS="nginx openssl"
LOGS="hub nginx node lap vps"
. "$(dirname "$(readlink -f "$0")")/demo_lib.sh"
. "$E2E/mesh/mesh.sh"

VPS=10.99.0.9
ADDRESS[vps]=$VPS/24 ADDRESS6[vps]=fd10::9/64
URL=https://$VPS

draw() {
	cat <<-END

	   LAPTOP, agent                       ROUTER                      NODE, routing peer
	  +-----------------------+    +------------------------+    +----------------------------+
	  | talon up              |    | translates what leaves |    | talon up                   |
	  | eth0 10.99.0.2        +====+ the LAN, lets nothing  +====+ eth0 $NODE         |
	  +-----------------------+    | in unasked             |    +----------------------------+
	                               |                        |
	   VPS                         |                        |    +----------------------------+
	  +-----------------------+    |                        +----+ eth0 $GW         |
	  | nginx :443, TLS       +----+ 10.99.0.254            |    | HTTP server     GATEWAY    |
	  | talon hub :8080       |    +------------------------+    +----------------------------+
	  | talon up, agent       |
	  | eth0 $VPS        |    ====  WireGuard, through the hub's relay or directly
	  +-----------------------+    ----  plain IP; the gateway sees $NODE, the node's address

	END
}

# What members of a mesh are started with, here by way of nginx. mesh.sh reads it.
member_env() { # HOST
	MEMBER_ENV=(-i PATH="$PATH" SSL_CERT_FILE="$RUN/tls/ca.pem" NB_STATE_DIR="$RUN/state/$1" NB_DAEMON_ADDR="unix://$RUN/$1.sock"
		NB_MANAGEMENT_URL="$URL" NB_HOSTNAME="$1" TALON_PIN_DIR="$RUN/bpf/$1")
	case $1 in node*) ;; *) MEMBER_ENV+=(TALON_AGENT=true) ;; esac
}

hub() { in_ns vps "$TALON" hub "$@" --data-dir "$RUN/hub"; }

make_certificate() {
	mkdir -p "$RUN/tls"
	{
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$RUN/tls/ca.key" -out "$RUN/tls/ca.pem" -days 2 \
			-subj "/CN=the demo's authority"
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$RUN/tls/key.pem" -out "$RUN/tls/request" -subj "/CN=$VPS"
		openssl x509 -req -in "$RUN/tls/request" -CA "$RUN/tls/ca.pem" -CAkey "$RUN/tls/ca.key" -days 2 -out "$RUN/tls/cert.pem" \
			-extfile <(echo "subjectAltName=IP:$VPS")
	} >/dev/null 2>&1
}

# gRPC by path to HTTP/2, the relay's WebSocket to HTTP/1.1: what a server behind a proxy needs.
write_nginx() {
	cat >"$RUN/nginx.conf" <<-END
		daemon off;
		user root;
		worker_processes 1;
		pid $RUN/nginx.pid;
		error_log stderr warn;
		events { worker_connections 256; }
		http {
			access_log off;
			client_body_temp_path $RUN/nginx-body;
			proxy_temp_path $RUN/nginx-proxy;
			fastcgi_temp_path $RUN/nginx-fastcgi;
			uwsgi_temp_path $RUN/nginx-uwsgi;
			scgi_temp_path $RUN/nginx-scgi;
			map \$http_upgrade \$connection_upgrade { default upgrade; '' close; }
			server {
				listen $VPS:443 ssl http2;
				ssl_certificate $RUN/tls/cert.pem;
				ssl_certificate_key $RUN/tls/key.pem;
				client_header_timeout 1d;
				client_body_timeout 1d;
				location ~ ^/(management\.ManagementService|signalexchange\.SignalExchange)/ {
					grpc_pass grpc://127.0.0.1:8080;
					grpc_read_timeout 1d;
					grpc_send_timeout 1d;
					grpc_socket_keepalive on;
					grpc_set_header X-Forwarded-For \$remote_addr;
				}
				location /relay {
					proxy_pass http://127.0.0.1:8080;
					proxy_http_version 1.1;
					proxy_set_header Upgrade \$http_upgrade;
					proxy_set_header Connection \$connection_upgrade;
					proxy_set_header X-Forwarded-For \$remote_addr;
				}
			}
		}
	END
}

write_hub_file() { # [1]: with the policy by which agents reach the gateway
	cat >"$RUN/hub.yaml.new" <<-END
		public-url: $URL
		proxies: [127.0.0.1]
		groups: {agents: [], routers: [], gateway: []}
		keys:
		  agents: {file: agents.key, uses: unlimited, groups: agents}
		  node: {file: node.key, groups: routers}
		networks:
		  - name: home
		    routers: {groups: routers}
		    resources: [{name: gateway, network: $GW, groups: gateway}]
		policies:
		  - {name: agents ping each other, from: agents, to: agents, protocol: icmp, both-ways: true}
		${1:+  - {name: agents use the gateway, from: agents, to: gateway\}}
	END
	mv "$RUN/hub.yaml.new" "$RUN/hub.yaml"
}

rules() { in_ns rtr nft -f -; }

translate() {
	rules <<-END
		table ip demo {
			chain out {
				type nat hook postrouting priority srcnat;
				iifname br-lan oifname br-inet masquerade
			}
			chain in {
				type filter hook forward priority 0;
				iifname br-inet oifname br-lan ct state new drop
			}
			chain direct {
				type filter hook forward priority -1;
				ip daddr 10.99.0.2 meta l4proto udp drop
				ip saddr 10.99.0.2 meta l4proto udp drop
			}
		}
	END
}

join() { # HOST KEY: a member with its first word to the hub
	member_start "$1" NB_SETUP_KEY_FILE="$RUN/$2.key"
	wait_for 15 "$1 to be ready" member_ready_or_dead "$1"
	alive "$1" || { tail -n 5 "$RUN/log/$1"; bad "talon up on $1 ended"; }
	good "$1 joined, as $(member_says "$1" .netbirdIp) $(member_says "$1" .fqdn)"
}

start() {
	step "Network namespaces: laptop, VPS, router, node, gateway"
	draw
	topology lap vps node gw
	for h in lap vps node; do ip -n "$P-$h" addr flush dev eth0 scope global to fd00::/8; done
	translate
	mkdir -p "$RUN/www"
	echo "Hello from the gateway." >"$RUN/www/page"
	random_file "$RUN/www/large" $((64 << 20))
	servers_up gw
	not in_ns lap curl -s --max-time 2 -o /dev/null "http://$GW/page" || bad "the laptop reaches the gateway without the tunnel"
	good "made; the laptop cannot reach the gateway, and no UDP packet passes between laptop and node"

	step "VPS: talon hub behind nginx"
	make_certificate
	write_nginx
	(umask 077; for k in agents node; do python3 -c 'import uuid; print(uuid.uuid4())' >"$RUN/$k.key"; done)
	write_hub_file 1
	shown <"$RUN/hub.yaml"
	spawn hub vps "$TALON" hub --file "$RUN/hub.yaml" --listen 127.0.0.1:8080 --stun "$VPS:3478" --page 127.0.0.1:9091 --data-dir "$RUN/hub"
	spawn nginx vps nginx -c "$RUN/nginx.conf" -e stderr
	wait_for 10 "the hub" in_ns vps curl -sf -o /dev/null http://127.0.0.1:9091/readyz
	wait_for 5 "nginx" listening vps "$VPS:443" t
	good "$URL serves management, signal and relay on one port, STUN on UDP 3478"

	step "Setup keys in: talon up on the node, the VPS and the laptop"
	join node node
	join vps agents
	join lap agents
}

status_of_both() {
	step "Laptop: talon status"
	member lap status | shown
	step "Node: talon status -d, about the laptop"
	member node status -d -N lap | sed -n '/Peers detail/,/^$/p' | shown
}

fetch() { # WAY
	local rate
	get lap "http://$GW/page" >"$RUN/page"
	cmp -s "$RUN/page" "$RUN/www/page" || bad "the page is not the gateway's"
	good "curl http://$GW/page: $(cat "$RUN/page")"
	check "client address that the gateway saw" $NODE "$(last_seen gw client)"
	rate=$(get lap "http://$GW/large" -o "$RUN/large" -w '%{time_total} s, %{speed_download}')
	check "SHA-256 of 64 MiB" "$(sha "$RUN/www/large")" "$(sha "$RUN/large")"
	good "$1: $(gbit "$rate")"
}

download_begin() { # RATE
	rm -f "$RUN/slow"
	spawn download lap curl -sS --fail --noproxy '*' --limit-rate "$1" --max-time 100 -o "$RUN/slow" "http://$GW/large"
	wait_for 10 "the first bytes" test -s "$RUN/slow"
}

download_goes_on() { [ "$(stat -c %s "$RUN/slow")" -gt "$1" ]; }

download_end() {	# long before the file's end: what has come is compared
	local size
	stop download
	size=$(stat -c %s "$RUN/slow")
	cmp -s -n "$size" "$RUN/slow" "$RUN/www/large" || bad "what came is not the file's beginning"
	good "the $((size >> 20)) MiB that came over one connection are those of the file"
}

grows() { # WHAT
	local size
	size=$(stat -c %s "$RUN/slow")
	wait_for 10 "the download to go on" download_goes_on $((size + (1 << 20)))
	good "$1: the download has gone from $((size >> 20)) to more than $(((size >> 20) + 1)) MiB"
}

relay_then_direct() {
	step "By relay: the direct path is blocked"
	wait_for 15 "the relayed path" connected lap node Relayed
	wait_for 10 "the first ping" answers lap $GW
	fetch "through the hub's relay"
	hub_relay=$(in_ns vps curl -sf http://127.0.0.1:9091/metrics | awk '/^talon_hub_relay_bytes_total/ { print $2 }')
	[ "${hub_relay:-0}" -gt $((64 << 20)) ] || bad "the hub's relay counted ${hub_relay:-nothing}"
	good "the hub's relay carried $((${hub_relay%.*} >> 20)) MiB, and read none of it"
	status_of_both

	step "Directly: the block is taken away while a download runs"
	download_begin 1M
	in_ns rtr nft delete chain ip demo direct 2>/dev/null || in_ns rtr nft flush chain ip demo direct
	wait_for 60 "the direct path" connected lap node P2P
	good "lap and node reach each other directly, through the router's translation"
	grows "the connection lives"
	download_end
	fetch "directly"
}

survive() {
	step "Node: kill -9 of the controller while a download runs"
	download_begin 2M
	stop node KILL
	good "the controller is gone; programs, keys and flows stay in the kernel"
	grows "without a controller"
	member_start node
	wait_for 15 "the node to be ready" member_ready_or_dead node
	grows "the next controller adopted what ran"
	download_end
}

revoke() {
	local began
	step "Hub: the policy is taken away while a download runs"
	download_begin 2M
	write_hub_file
	began=${EPOCHREALTIME/./}
	kill -HUP "$(pid_of hub)"
	while answers_quickly; do
		[ $((${EPOCHREALTIME/./} - began)) -lt 5000000 ] || bad "packets still pass after 5 s"
	done
	good "no packet passes $(((${EPOCHREALTIME/./} - began) / 1000)) ms after the file was read again"
	check "pings sent after that, and answered" "10 0" "$(ping_counts lap $GW -c 10 -i 0.1)"
	stop download
	hub peers | shown
}

answers_quickly() { in_ns lap curl -s -o /dev/null --noproxy '*' --max-time 0.3 "http://$GW/page"; }

end() {
	demo_end <<-END
		$ME hub peers
		$ME talon lap status -d
		$ME talon node status -d
		$ME in lap curl http://$GW/page
		$ME in vps curl -s http://127.0.0.1:9091/
		$ME in gw tcpdump -ni eth0
		tail -f $RUN/log/hub $RUN/log/node
	END
}

teardown() {
	local h
	for h in lap vps node; do
		[ ! -e "$RUN/bpf/$h" ] || { stop $h; member $h down >/dev/null 2>&1; }
	done
}

case ${1:-run} in
run)
	[ "$ENGINE" = talon ] || { echo "only Talon does this" >&2; exit 2; }
	demo_begin
	start
	relay_then_direct
	survive
	revoke
	end
	;;
in) demo_attach; h=$2; shift 2; in_ns "$h" "$@" ;;
talon) demo_attach; h=$2; shift 2; member "$h" "$@" ;;
hub) demo_attach; shift; hub "$@" ;;
clean) demo_attach; run_end && echo "the demo is gone" ;;
*) sed -n '3,9p' "$0" | cut -c3-; exit 2 ;;
esac
