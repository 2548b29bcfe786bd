# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# People join a mesh of talon hub by signing in at an OpenID issuer: by device code, with the groups of their token, and not with a token that
# is not the issuer's.

. "$E2E/mesh/mesh.sh"
. "$E2E/mesh/hub.sh"

ISSUER_PORT=8084

# The issuer is asked by the hub on loopback, and by clients at the hub's address.
setup() {
	needs_talon
	topology hub lap lap2
	servers_up lap2
	mkdir -p "$RUN/state" "$RUN/issuer"
	spawn issuer hub /usr/bin/python3 "$E2E/mesh/issuer.py" $ISSUER_PORT "$RUN/issuer"
	wait_for 10 "the issuer" issuer .well-known/openid-configuration
	hub_file <<-END
		groups:
		  people: []
		  admins: {sign-in: [ops]}
		policies: [{name: admins, from: admins, to: admins}]
		sign-in:
		  issuer: http://127.0.0.1:$ISSUER_PORT
		  client-id: mesh-cli
		  device-endpoint: http://$MESH_HOST:$ISSUER_PORT/device/code
		  token-endpoint: http://$MESH_HOST:$ISSUER_PORT/token
		  scope: openid
		  groups: people
		  expires-after: 1h
	END
	hub_start
	wait_for 10 "the issuer's keys" hub_metric_is issuer_keys 1
}

issuer() { get hub "http://127.0.0.1:$ISSUER_PORT/$1"; }	# PATH

said_code() { grep -qF "user_code=" "$RUN/log/login"; }

# `talon login`, at which USER with GROUPS signs in; its exit status is the last line of log/login.
sign_in() { # HOST USER GROUPS
	mkdir -p "$RUN/state/$1"
	rm -f "$RUN/log/login"
	member_command "$1" login
	# shellcheck disable=SC2016
	spawn login "$1" sh -c '"$@"; echo "exit status $?"' sh "${MEMBER_COMMAND[@]}"
	wait_for 10 "the code" said_code
	issuer "approve?user=$2&groups=$3"
	finished login 20 || { cat "$RUN/log/login"; return 1; }
	sed 's/^/said: /' "$RUN/log/login"
}

sign_in_fails() { # HOST USER PATTERN: and the hub knows nobody more
	local peers
	peers=$(hub_metric peers)
	sign_in "$1" "$2" ops
	tail -1 "$RUN/log/login" | grep -qx "exit status 1" || fail "it went well"
	grep -qE "$3" "$RUN/log/login" || fail "nothing about $3"
	equal "peers" "$peers" "$(hub_metric peers)"
	rm -rf "$RUN/state/$1"
}

signed_in() { # HOST USER GROUPS: once
	[ -e "$RUN/state/$1" ] || sign_in "$@"
	alive "$1" || hub_join "$1"
}

test_people_join_with_the_groups_of_their_tokens() {
	signed_in lap anna ops,home
	signed_in lap2 bert ops
	equal "joins" 2 "$(hub_metric 'joins_total{result="sign_in"}')"
	equal "tokens" 2 "$(hub_metric 'tokens_total{result="accepted"}')"
	wait_for 15 "a way between them" connected lap lap2
	between "seconds until the login ends" 3400 3600 \
		$(($(date -d "$(member_says lap .sessionExpiresAt)" +%s) - $(date +%s)))
	# who is in none of the groups sees nobody
	stop lap
	member lap down >/dev/null
	rm -rf "$RUN/state/lap"
	sign_in lap cleo home
	hub_join lap
	equal "whom cleo sees" 0 "$(member_says lap '.peers.total | tostring' | tr -d '"')"
	not grep -rq "eyJ" "$RUN/log" || fail "a token is in a log"
}

test_tokens_that_are_not_the_issuers_are_refused() {
	local mode
	finally "issuer mode?is=good"
	for mode in "unsigned:algorithm:the token is not signed" "forged:signature:the token's signature is wrong" \
		"expired:time:the token has expired" "stranger:issuer:the token is by another issuer"; do
		rm -rf "$RUN/state/lap"
		stop lap
		issuer "mode?is=${mode%%:*}"
		sign_in_fails lap mallory "${mode##*:}"
		equal "counted" 1 "$(hub_metric "tokens_total{result=\"$(cut -d: -f2 <<<"$mode")\"}")"
	done
	grep -q "a sign-in from .* was refused: the token has expired" "$RUN/log/hub" || fail "nothing in the hub's log"
}

test_a_new_key_of_the_issuer_is_found() {
	local asked
	issuer mode?is=good
	asked=$(hub_metric 'issuer_asked_total{result="answered"}')
	issuer rotate
	stop lap2
	rm -rf "$RUN/state/lap2"
	sign_in lap2 dora ops
	tail -1 "$RUN/log/login" | grep -qx "exit status 0" || fail "it did not go well"
	equal "questions" $((asked + 1)) "$(hub_metric 'issuer_asked_total{result="answered"}')"
}
