# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# talon expose: a port of the node is published by management's reverse proxy, here the laptop, for as long as the command runs.

. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup lap node
	member_up node
	member_up lap
	mesh groups lap proxies
	mesh unpolicy default
	settled node
	servers_up node 0.0.0.0
}

expose() { # NAME ARGUMENT...: in the background; its output is in log/NAME
	local name=$1
	shift
	: >"$RUN/log/$name"
	member_command node expose "$@"
	spawn "$name" node "${MEMBER_COMMAND[@]}"
	wait_for 10 "$name to say something" grep -q . "$RUN/log/$name"
}

published() { mesh exposed | jq -r 'keys | join(" ")'; }

published_are() { [ "$(published)" = "$1" ]; }	# for wait_for

page_comes() { [ "$(get lap "http://$(mesh_ip node)/page" --max-time 2)" = "$(cat "$RUN/www/page")" ]; }

refused() { # EXIT PATTERN ARGUMENT...
	local expected=$1 pattern=$2 rc=0
	shift 2
	member node expose "$@" >"$RUN/log/refused" 2>&1 </dev/null || rc=$?
	cat "$RUN/log/refused"
	equal "exit status" "$expected" $rc
	equal "lines" 1 "$(grep -c . "$RUN/log/refused")"
	grep -qE "$pattern" "$RUN/log/refused" || fail "nothing about $pattern"
}

test_a_port_is_reached_by_the_proxy_while_the_command_runs() {
	not page_comes || fail "the node answers before anything is published"
	expose one 80 --with-name-prefix web
	printf '%s\n' "Service exposed successfully!" "  Name:     web-1" "  URL:      https://web-1.proxy.test" \
		"  Domain:   web-1.proxy.test" "  Protocol: http" "  Internal: 80" "" "Press Ctrl+C to stop exposing." >"$RUN/expected"
	diff "$RUN/expected" "$RUN/log/one"
	wait_for 10 "the page" page_comes
	not get lap "http://$(mesh_ip node):8080/page" --max-time 2 || fail "another port is open, too"
	stop one INT
	printf '%s\n' "" "Service stopped." >>"$RUN/expected"
	diff "$RUN/expected" "$RUN/log/one"
	equal "published" "" "$(published)"
	wait_for 10 "the page to be closed again" not page_comes
}

test_service_ends_with_a_command_that_is_killed() {
	expose one 80
	wait_for 10 "the service" published_are svc-1.proxy.test
	stop one KILL
	wait_for 10 "the end of the service" published_are ""
}

test_several_services_at_once_in_every_protocol() {
	expose web 80 --protocol https --with-pin 123456 --with-user-groups devs,ops --with-custom-domain example.test
	expose sql 5432 --protocol TCP
	expose low 53 --protocol udp --with-external-port 53
	expose sni 4443 --protocol tls
	equal "published" "svc-1.example.test svc-2.proxy.test svc-3.proxy.test svc-4.proxy.test" "$(published)"
	equal "what the server was told" '["https","123456",["devs","ops"],"","tcp",5432]' "$(mesh exposed | jq -c \
		'[."svc-1.example.test" | .protocol, .pin, .groups, .password] + [."svc-2.proxy.test" | .protocol, .listen]')"
	grep -q "^  Domain:   svc-4.proxy.test" "$RUN/log/sni"
	not grep -q "Domain" "$RUN/log/sql" || fail "a domain for tcp"
	grep -q "^  External: 5432" "$RUN/log/sql"
	grep -q "^  External: 40053" "$RUN/log/low"
	grep -q "^  Note: requested port 53 was reassigned" "$RUN/log/low"
	not grep -qa 123456 "/proc/$(pid_of web)/cmdline" || fail "the pin is in the command line"
	stop sql INT
	wait_for 10 "one to end" published_are "svc-1.example.test svc-3.proxy.test svc-4.proxy.test"
	for name in web low sni; do stop $name INT; done
	equal "published" "" "$(published)"
	not grep -rq 123456 "$RUN/log" || fail "the pin is in a log"
}

test_each_refusal_is_one_line() {
	local code
	refused 2 "expected a port, 1-65535"
	refused 2 "'0' is not a port" 0
	refused 2 "'80a' is not a port" 80a
	refused 2 "'ftp' is not a protocol; expected http, https, tcp, udp or tls" 80 --protocol ftp
	for p in tcp udp tls; do refused 2 "do not go with --protocol $p" 80 --protocol $p --with-pin 123456; done
	refused 2 "do not go with --protocol tcp" 80 --protocol tcp --with-password x
	refused 2 "do not go with --protocol udp" 80 --protocol udp --with-user-groups a
	refused 2 "exactly 6 digits" 80 --with-pin 12345
	refused 2 "expected 1 to 128 characters" 80 --with-password=
	refused 2 "expected names of groups" 80 --with-user-groups=
	refused 2 "not go with --protocol http" 80 --with-external-port 90
	refused 2 "is not a prefix" 80 --with-name-prefix -x
	refused 2 "is not a domain" 80 --with-custom-domain example
	while read -r code words; do
		mesh fail CreateExpose "$code" 1 because
		refused 1 "receive expose event: $words" 80
	done <<-END
		INVALID_ARGUMENT management does not take the request: because
		PERMISSION_DENIED management does not let this peer publish services .*: because
		NOT_FOUND management does not know the service .*: because
		ALREADY_EXISTS another service has this domain: because
		RESOURCE_EXHAUSTED this peer publishes as many services as management permits: because
		INTERNAL management failed, its log says more: because
		UNIMPLEMENTED management is older than NetBird 0.66
		UNAVAILABLE management answers Unavailable: because
	END
	equal "published" "" "$(published)"
}

test_management_that_is_away_is_told_in_stock_s_words() {
	mesh stop management
	finally "mesh start management; wait_for 20 'the node to be back' mesh_is node sync true"
	wait_for 10 "the node to notice" not member node status --check startup
	AS=netbird refused 1 "^Error: receive expose event: client is not running, run 'netbird up' first$" 80
}

test_daemon_that_goes_down_stops_its_services_and_says_so() {
	expose one 80
	wait_for 10 "the service" published_are svc-1.proxy.test
	member_down node
	finished one 10
	grep -q "expose: the service ended: the daemon is going down" "$RUN/log/one"
	equal "published" "" "$(published)"
	member_up node
}
