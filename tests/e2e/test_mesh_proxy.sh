# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A mesh behind a reverse proxy that terminates TLS and speaks h2c, and a node that reaches it through a forward proxy.

. "$E2E/mesh/mesh.sh"

NAME=netbird.mesh.test
EDGE=10.99.0.11
ADDRESS[edge]=$EDGE/24 ADDRESS6[edge]=fd10::11/64

setup() {
	needs_talon
	needs nginx openssl
	know_name
	via_edge
	topology mesh lap node gw
	host_add edge
	servers_up gw
	certificates
	mesh_start mesh $MESH_HOST --signal-port=8080 --signal-uri "$NAME:443" --signal-https --relay-url "rels://$NAME:443"
	mesh key "$SETUP_KEY" valid
	mesh route gw peer=node network=$GW/32
	edge_up
	member_up lap "${VIA_EDGE[@]}"
}

# No DNS has the name: Talon runs with a private /etc/hosts.
know_name() {
	printf '%s\n' "127.0.0.1 localhost" "$EDGE $NAME" >"$RUN/hosts"
	cat >"$RUN/talon" <<-END
		#!/bin/bash
		exec unshare -m bash -c 'mount --bind "$RUN/hosts" /etc/hosts && exec "\$0" "\$@"' "$(readlink -f "$TALON")" "\$@"
	END
	chmod +x "$RUN/talon"
}

via_edge() {
	TALON=$RUN/talon
	VIA_EDGE=(NB_MANAGEMENT_URL="https://$NAME" SSL_CERT_FILE="$RUN/tls/ca.pem")
}

certificates() {
	local d=$RUN/tls name
	mkdir -p "$d"
	for name in ca other; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$d/$name.key" -out "$d/$name.pem" -days 2 \
			-subj "/CN=$name"
	done
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$d/edge.key" -out "$d/edge.csr" -subj "/CN=$NAME"
	openssl x509 -req -in "$d/edge.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 2 -out "$d/edge.pem" \
		-extfile <(echo "subjectAltName=DNS:$NAME")
}

# The rules of the usual deployment: two gRPC services over h2c, the relay by WebSocket upgrade, all on one port.
edge_up() { # [DIRECTIVE for the gRPC services]
	local to=${1:-grpc_pass grpc://$MESH_HOST:8080;} d=$RUN/nginx
	mkdir -p "$d"
	cat >"$d/conf" <<-END
		daemon off;
		master_process off;
		pid $d/pid;
		error_log $RUN/log/nginx-error;
		events { }
		http {
			access_log $RUN/log/nginx-access;
			client_body_temp_path $d/body;
			proxy_temp_path $d/proxy;
			fastcgi_temp_path $d/fastcgi;
			uwsgi_temp_path $d/uwsgi;
			scgi_temp_path $d/scgi;
			map \$http_upgrade \$connection_upgrade { default upgrade; '' close; }
			server {
				listen $EDGE:443 ssl http2;
				server_name $NAME;
				ssl_certificate $RUN/tls/edge.pem;
				ssl_certificate_key $RUN/tls/edge.key;
				client_header_timeout 1d;
				client_body_timeout 1d;
				location /relay {
					proxy_pass http://$MESH_HOST:8082;
					proxy_http_version 1.1;
					proxy_set_header Upgrade \$http_upgrade;
					proxy_set_header Connection \$connection_upgrade;
					proxy_set_header Host \$host;
					proxy_read_timeout 1d;
				}
				location ~ ^/(management.ManagementService|signalexchange.SignalExchange)/ {
					grpc_read_timeout ${EDGE_READ:-1d};
					client_body_timeout ${EDGE_BODY:-1d};
					grpc_send_timeout 1d;
					$to
				}
				location / { return 404; }
			}
		}
	END
	spawn nginx edge nginx -p "$d" -e "$RUN/log/nginx-error" -c "$d/conf"
	wait_for 5 "nginx to listen" listening edge "$EDGE:443" t
}

# Connections break, as when a proxy is exchanged.
edge_as() { # DIRECTIVE
	stop nginx
	edge_up "$1"
}

edge_saw() { grep -qE "$1" "$RUN/log/nginx-access"; }

fresh_node() {
	via_edge
	[ ! -e "$RUN/bpf/node" ] || member_down node
	stop node
	in_ns rtr nft flush ruleset
	: >"$RUN/log/node"
}

test_node_joins_and_connects_through_a_reverse_proxy() {
	fresh_node
	in_ns rtr nft "add table inet cut; add chain inet cut forward { type filter hook forward priority 0; }; \
		add rule inet cut forward meta l4proto udp drop"
	member_up node "${VIA_EDGE[@]}"
	wait_for 15 "management, signal and relay" member node status --check startup
	wait_for 15 "a relayed way" connected lap node Relayed
	equal "the relay" "rels://$NAME:443" "$(about_peer lap node relayAddress)"
	fetch_and_put lap medium
	member node status -d >"$RUN/log/said"
	grep -x "Management: Connected to https://$NAME:443" "$RUN/log/said"
	grep -x "Signal: Connected to https://$NAME:443" "$RUN/log/said"
	edge_saw 'POST /management.ManagementService/Login HTTP/2.0" 200'
	edge_saw 'POST /signalexchange.SignalExchange/Send HTTP/2.0" 200'
	in_ns rtr nft flush ruleset
	wait_for 40 "a direct way" connected lap node P2P
	member_down node	# what lasted is logged when it ends
	wait_for 5 "the end of the streams" edge_saw 'POST /management.ManagementService/Sync HTTP/2.0" 200'
	edge_saw 'POST /signalexchange.SignalExchange/ConnectStream HTTP/2.0" 200'
	edge_saw 'GET /relay HTTP/1.1" 101'
}

test_certificate_of_another_authority_is_said_in_one_line() {
	fresh_node
	member_start node NB_MANAGEMENT_URL="https://$NAME" SSL_CERT_FILE="$RUN/tls/other.pem"
	wait_for 10 "the certificate to be named" member_logged node "management.*certificate.*SSL_CERT_FILE"
	alive node
	equal "lines about management" 1 "$(log_lines node 'management: ')"
	member node status | grep -E "^Management: Disconnected, reason: .*certificate"
	stop node
}

# A proxy's answer is not the server's: no login is demanded, tunnels stay, and the node reconnects by itself.
proxy_trouble() { # STATUS DIRECTIVE
	local pid
	via_edge
	[ -e "$RUN/state/node/default.json" ] && alive node || { fresh_node; member_up node "${VIA_EDGE[@]}"; }
	wait_for 40 "the node to be there" mesh_is node sync true
	wait_for 40 "a direct way" connected lap node P2P
	: >"$RUN/log/node"
	pid=$(pid_of node)
	edge_as "$2"
	wait_for 20 "the proxy's answer to be said" member_logged node "a proxy before management .* answers with HTTP status $1"
	member node status >"$RUN/log/said"
	grep -E "^Management: Disconnected, reason: .*HTTP status $1" "$RUN/log/said"
	not grep -E "NeedsLogin|setup key|deleted" "$RUN/log/said"
	member node status --check ready
	fetch_page lap
	edge_as "grpc_pass grpc://$MESH_HOST:8080;"
	wait_for 40 "the node to be back" mesh_is node sync true
	wait_for 5 "its status" member node status --check ready
	equal "process" "$pid" "$(pid_of node)"
	alive node
	not member_logged node "error "
	equal "peers" 2 "$(mesh status | jq '.peers | length')"
}

test_web_filter_s_403_is_not_the_server_s_verdict() {
	proxy_trouble 403 "return 403;"
}

test_gateway_s_502_is_not_the_server_s_verdict() {
	proxy_trouble 502 "grpc_pass grpc://$MESH_HOST:9;"
}

test_forward_proxy_of_the_environment_is_used() {
	fresh_node
	in_ns rtr nft "add table ip cut; add chain ip cut forward { type filter hook forward priority 0; }; \
		add rule ip cut forward ip saddr $NODE tcp dport 443 drop"
	rm -f "$RUN/connects"
	spawn proxy edge $NET connect-proxy $EDGE 3128 "$EDGE:443" "$RUN/connects" --auth "talon:se-cret"
	wait_for 5 "the proxy to listen" listening edge "$EDGE:3128" t
	member_start node "${VIA_EDGE[@]}" HTTPS_PROXY="http://talon:wrong@$EDGE:3128"
	wait_for 10 "the proxy's no to be said" member_logged node "management.*407"
	stop node
	member_up node "${VIA_EDGE[@]}" HTTPS_PROXY="http://talon:se-cret@$EDGE:3128"
	wait_for 20 "management, signal and relay" member node status --check startup
	wait_for 15 "a way" connected lap node
	fetch_page lap
	equal "what the proxy was asked for" "CONNECT $NAME:443 HTTP/1.1" "$(jq -r 'select(.allowed).request' "$RUN/connects" | sort -u)"
	[ "$(jq -r 'select(.allowed).request' "$RUN/connects" | wc -l)" -ge 3 ]
	not grep -F se-cret "$RUN/log/node"
	in_ns rtr nft flush ruleset
	stop node
	stop proxy
	member_start node "${VIA_EDGE[@]}" NO_PROXY=.mesh.test HTTPS_PROXY="http://talon:se-cret@$EDGE:3128"
	wait_for 20 "the node to go without the proxy" mesh_is node sync true
}

# The name is in no hosts file of this node and in no DNS: only the proxy knows it.
test_socks_proxy_of_the_environment_looks_names_up() {
	fresh_node
	in_ns rtr nft "add table ip cut; add chain ip cut forward { type filter hook forward priority 0; }; \
		add rule ip cut forward ip saddr $NODE tcp dport 443 drop"
	rm -f "$RUN/connects"
	spawn socks edge $NET socks-proxy $EDGE 1080 "$EDGE:443" "$RUN/connects" --auth "talon:se-cret"
	wait_for 5 "the proxy to listen" listening edge "$EDGE:1080" t
	TALON=$BUILD/talon
	member_start node "${VIA_EDGE[@]}" HTTPS_PROXY="socks5h://talon:wrong@$EDGE"
	wait_for 10 "the proxy's no to be said" member_logged node "management.*proxy $EDGE:1080: does not take the user and the password"
	stop node
	: >"$RUN/log/node"
	member_up node "${VIA_EDGE[@]}" NB_SETUP_KEY="$SETUP_KEY" HTTPS_PROXY="socks5h://talon:se-cret@$EDGE"
	wait_for 20 "management, signal and relay" member node status --check startup
	equal "what the proxy was asked for" "$NAME:443" "$(jq -r 'select(.allowed and .by_name).request' "$RUN/connects" | sort -u)"
	[ "$(jq -r 'select(.allowed).request' "$RUN/connects" | wc -l)" -ge 3 ]
	equal "lines about the proxy" 1 "$(log_lines node "go through the proxy $EDGE:1080 \\(HTTPS_PROXY\\)")"
	not grep -F se-cret "$RUN/log/node"
	in_ns rtr nft flush ruleset
	stop node
	stop socks
	via_edge
}

# A variable that curl does not read is ignored here, too.
test_http_proxy_in_upper_case_is_not_used() {
	fresh_node
	member_up node NB_MANAGEMENT_URL="http://$MESH_HOST:8080" HTTP_PROXY="http://192.0.2.1:1"
	wait_for 20 "the node to be there" mesh_is node sync true
	not member_logged node "go through the proxy"
	stop node
}

test_no_secret_is_in_any_log() {
	no_secret_in_logs
}
