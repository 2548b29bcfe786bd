# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A person signs in: by a device code and by a browser; what becomes of a peer whose login ends, and how it is extended.

. "$E2E/mesh/mesh.sh"

setup() {
	mesh_setup node lap
	mkdir -p "$RUN/state"
	mesh key $SETUP_KEY valid
	member_up lap
}

# `talon login` in the background; what it says is in log/login, its exit status last.
login_start() { # HOST [VARIABLE=VALUE...] [ARGUMENT...]
	local h=$1
	shift
	mkdir -p "$RUN/state/$h"
	: >"$RUN/log/login"
	member_command "$h" "$@"
	# shellcheck disable=SC2016
	spawn login "$h" sh -c '"$@"; echo "exit status $?"' sh "${MEMBER_COMMAND[@]}"
}

shown() { grep -qF "$1" "$RUN/log/login"; }	# TEXT: for wait_for

login_ends() { # EXIT PATTERN: it has ended with that, and said that
	finished login 20 || { cat "$RUN/log/login"; return 1; }
	sed 's/^/said: /' "$RUN/log/login"
	tail -1 "$RUN/log/login" | found -x "exit status $1" || fail "exit status"
	grep -qE "$2" "$RUN/log/login" || fail "nothing about $2"
}

# Starts it, has USER sign in by the device code that it shows, and waits for its end.
sign_in() { # HOST USER PATTERN ARGUMENT...: by the command line there
	local h=$1 user=$2 pattern=$3 code
	shift 3
	login_start "$h" "$@"
	wait_for 10 "the page and the code" shown "/device?user_code="
	code=$(mesh approve "$user")
	shown "user_code=$code" || fail "another code than $code"
	login_ends 0 "$pattern"
}

expires() { member_says "$1" .sessionExpiresAt; }	# HOST

seconds_left() { echo $(($(date -d "$(expires "$1")" +%s) - $(date +%s))); }	# HOST

# As new. Without the pause in which peers look for another way.
forget() {
	stop node
	member node down >/dev/null
	rm -rf "$RUN/state/node"
	mesh delete node 2>/dev/null || true
}

signed_in() { # [SECONDS]: the node as a peer of alice's, running, whose login ends then
	mesh sso on 3600
	if ! alive node || ! mesh_is node user alice; then
		forget
		sign_in node alice "^Logging successfully$" login
		member_start node
		wait_for 10 "the node to be ready" member_ready_or_dead node
	fi
	mesh expiry node "${1:-3600}"
	settled node
}

daemon_status_is() { member_says node ".talon.daemonStatus == \"$1\""; }

test_a_person_brings_a_peer_in_by_a_device_code() {
	forget
	mesh sso on 3600
	mesh slow 1
	sign_in node alice "^Logging successfully$" login
	equal "whose peer it is" alice "$(mesh peer node user)"
	not ip -n "$P-node" link show wt0
	member_start node
	wait_for 10 "the node to be ready" member_ready_or_dead node
	between "seconds left" 3400 3600 "$(seconds_left node)"
	member node status | grep -Ex "Session expires: [-0-9]+T[:0-9]+Z \(in 59m\)"
	between "the metric" $(($(date +%s) + 3400)) $(($(date +%s) + 3600)) \
		"$(member node metrics | awk '/^talon_login_expires_timestamp_seconds/ { printf "%d", $2 }')"
	equal "end of a login by setup key" null "$(member lap status --json | jq .sessionExpiresAt)"
	login_start node login
	login_ends 0 "^Logging successfully$"
	wait_for 15 "a way to the laptop" answers node "$(mesh_ip lap)"
}

test_a_login_is_extended_while_packets_flow() {
	local pid syncs before
	signed_in 600
	pid=$(pid_of node)
	syncs=$(mesh peer node syncs)
	before=$(expires node)
	wait_for 10 "a way to the laptop" answers node "$(mesh_ip lap)"
	spawn pings node $NET ping "$(mesh_ip lap)" -i 0.02 -c 100 -W 3
	mesh sso on 7200
	sign_in node alice "^Session extended. New expiry: [-0-9]+ [:0-9]+ [A-Z]+$" login --extend
	between "seconds left" 7000 7200 "$(seconds_left node)"
	[ "$(expires node)" != "$before" ]
	finished pings 20
	equal "pings sent and answered" "100 100" "$(tail -1 "$RUN/log/pings")"
	equal "process" "$pid" "$(pid_of node)"
	alive node
	equal "streams" "$syncs" "$(mesh peer node syncs)"
	member_logged node "the login of this peer was extended"
}

test_an_extension_that_cannot_be_says_why() {
	signed_in
	login_start node login --extend
	wait_for 10 "the code" shown user_code=
	mesh approve bob
	login_ends 1 "^talon: login: this peer belongs to another user: sign in as the one who added it \(PermissionDenied\)$"
	login_start node login --extend
	wait_for 10 "the code" shown user_code=
	mesh fail ExtendAuthSession FAILED_PRECONDITION 1
	mesh approve alice
	login_ends 1 "^talon: login: the login of this peer does not expire: "
	mesh sso old
	finally "mesh sso on"
	login_start node login --extend
	login_ends 1 "^talon: login: management http://.* is too old for signing in: register with a setup key$"
	mesh sso on
	login_start node login --extend -k $SETUP_KEY
	login_ends 2 "^talon: login: --extend: a setup key renews no login; leave it out$"
	login_start lap login --extend
	login_ends 1 "^talon: login: --extend: management names no end of this peer's login: there is nothing to extend$"
	stop node
	login_start node login --extend
	login_ends 1 "^talon: failed to connect to daemon error: "
	member_start node
	wait_for 10 "the node to be ready" member_ready_or_dead node
}

test_an_expired_login_is_told_and_the_peer_comes_back_after_another() {
	local pid ip
	signed_in
	pid=$(pid_of node)
	ip=$(mesh_ip node)
	wait_for 10 "a way to the laptop" answers node "$(mesh_ip lap)"
	mesh expire node
	wait_for 20 "the state" daemon_status_is SessionExpired
	alive node
	member_logged node "the login of this peer on management http://.* has expired: run talon login"
	equal "lines that speak of a deleted peer or of a setup key" 0 "$(log_lines node "deleted|setup key")"
	not member node status --check ready
	member node status | grep -x "Daemon status: SessionExpired"
	login_start node up
	wait_for 10 "the code" shown user_code=
	mesh deny
	login_ends 1 "^talon: up: signing in was refused at the identity provider$"
	sign_in node alice "^Logging successfully$" login
	wait_for 10 "the node to be back" daemon_status_is Connected
	wait_for 10 "the node to be ready" member_ready_or_dead node
	equal "process" "$pid" "$(pid_of node)"
	equal "address" "$ip" "$(mesh_ip node)"
	between "seconds left" 3400 3600 "$(seconds_left node)"
	wait_for 15 "a way to the laptop again" answers node "$(mesh_ip lap)"
}

test_tokens_are_nowhere_in_the_daemons_memory() {
	signed_in
	sign_in node alice "^Session extended" login --extend
	mesh expire node
	wait_for 20 "the state" daemon_status_is SessionExpired
	sign_in node alice "^Logging successfully$" login
	wait_for 10 "the node to be back" daemon_status_is Connected
	memory_of "$(pid_of node)" >"$RUN/memory"
	grep -qaF "$(member_says node .fqdn)" "$RUN/memory"	# what is there is found
	# Any piece of one: what is freed is overwritten in part. The first pieces are those of every token.
	mesh tokens | jq -r '.[]' | while read -r token; do cut -d . -f 2 <<<"$token" | cut -c 200- | fold -w 48; done >"$RUN/tokens"
	[ "$(wc -l <"$RUN/tokens")" -ge 200 ]
	not grep -qaFf "$RUN/tokens" "$RUN/memory" || fail "a piece of a token is in memory"
	rm -f "$RUN/memory" "$RUN/tokens"
}

test_an_end_that_is_near_is_warned_of_once() {
	local lines
	signed_in
	lines=$(log_lines node)
	mesh expiry node 601
	wait_for 10 "the new end" logged_since node "$lines" "warn .*the login of this peer ends at .* \(in (9|10)m\)"
	wait_for 10 "the mark of ten minutes" logged_since node "$lines" "the login of this peer ends in 9m .*: run talon login --extend"
	mesh push node
	mesh push node
	settled node
	equal "warnings" 1 "$(log_lines node "run talon login --extend")"
	equal "event" "CRITICAL true 10" "$(member node status --json | jq -r '.events[] | select(.metadata.session_warning)
		| "\(.severity) \(.metadata.session_warning) \(.metadata.lead_minutes)"' | tr 'a-z' 'A-Z' | sed 's/TRUE/true/')"
	mesh expiry node none
	wait_for 10 "no end any more" no_expiry
	mesh expiry node 3600
	wait_for 10 "an end again" not no_expiry
	mesh expiry node 400000000
	wait_for 10 "an end that cannot be" member_logged node "management says that the login of this peer ends .*, which cannot be: taken as no end"
	no_expiry
}

no_expiry() { [ "$(member node status --json | jq .sessionExpiresAt)" = null ]; }

test_the_end_is_known_while_management_is_away() {
	local before
	signed_in
	before=$(expires node)
	mesh token	# messages that say nothing of it
	mesh config node
	mesh push node
	settled node
	equal "end" "$before" "$(expires node)"
	mesh stop management
	finally "mesh start management"
	stop node
	member_start node
	wait_for 10 "the node to be ready by its last map" member_ready_or_dead node
	equal "end" "$before" "$(expires node)"
	mesh start management
	wait_for 30 "the node to be back" mesh_is node sync true
	equal "end" "$before" "$(expires node)"
}

test_a_browser_on_this_host_comes_back() {
	local url back
	forget
	mesh sso on
	login_start node DISPLAY=:0 login
	wait_for 10 "the page" shown "code_challenge="
	url=$(grep -o 'http://.*/auth?.*' "$RUN/log/login")
	back=$(mesh authorize "$url" alice)
	[[ $back == http://localhost:53000/* ]] || fail "it goes back to $back"
	in_ns node /usr/bin/python3 -c 'import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).status)' "$back"
	login_ends 0 "^Logging successfully$"
	equal "whose peer it is" alice "$(mesh peer node user)"
}

test_where_nobody_can_sign_in_one_line_says_so() {
	forget
	mesh sso off
	finally "mesh sso on"
	login_start node login
	login_ends 1 "^talon: login: management http://.* has no identity provider to sign in at by a device code: register with a setup key$"
	mesh sso old
	login_start node DISPLAY=:0 login
	login_ends 1 "^talon: login: management http://.* is too old for signing in: register with a setup key$"
	mesh sso on
	login_start node login --qr
	login_ends 1 "^talon: login: --qr: expected a terminal to draw on$"
	login_start node login
	wait_for 10 "the code" shown user_code=
	mesh deny
	login_ends 1 "^talon: login: signing in was refused at the identity provider$"
	equal "peers" null "$(mesh status | jq '[.peers[] | select(.name == "node")][0]')"
}

test_a_lost_answer_costs_no_second_sign_in() {
	local before
	forget
	mesh sso on
	before=$(grep -c "node came by alice" "$RUN/log/mesh.now")
	login_start node login
	wait_for 10 "the code" shown user_code=
	mesh lose_login 1
	mesh approve alice
	login_ends 0 "^Logging successfully$"
	equal "logins that came with a token" $((before + 1)) "$(grep -c "node came by alice" "$RUN/log/mesh.now")"
}

test_no_token_is_in_any_log() {
	not grep -rqE "eyJ[A-Za-z0-9_-]+\." "$RUN/log" || fail "a token is in a log"
	no_secret_in_logs
}
