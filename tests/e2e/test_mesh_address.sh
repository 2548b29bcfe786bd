# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# A host's address changes while it works: everything that was connected from the old one reconnects at once. All ways lead over the relay.
. "$E2E/mesh/mesh.sh"

OLD=10.99.0.3 NEW=10.99.0.33	# lap2's

setup() {
	mesh_setup lap lap2 node gw
	servers_up gw
	member_up node
	member_up lap2 NB_FORCE_RELAY=true
	mesh route lan peer=node network=192.168.1.0/24
	relayed lap2 node
	wait_for 15 "the gateway to answer" answers lap2 $GW
}

connections() { in_ns lap2 ss -Htn state established src "$1" | wc -l; }

all_from() { [ "$(connections "$1")" -ge 3 ] && [ "$(connections "$2")" = 0 ]; }	# NEW OLD: management, signal, relay

# How long from the change to the first ping that is answered again; milliseconds.
traffic_is_back_after() {
	local begin=$(($(date +%s%N) / 1000000))
	"$@"
	until in_ns lap2 ping -q -c 1 -W 0.2 $GW >/dev/null; do
		[ $(($(date +%s%N) / 1000000 - begin)) -lt 30000 ] || fail "no traffic 30 s after the change"
	done
	took=$(($(date +%s%N) / 1000000 - begin))
}

change() { # FROM TO
	ip -n "$P-lap2" addr add "$2/24" dev eth0
	ip -n "$P-lap2" addr del "$1/24" dev eth0
	ip -n "$P-lap2" addr show dev eth0 | found "$2" || ip -n "$P-lap2" addr add "$2/24" dev eth0
	arrive
}

arrive() { ip -n "$P-lap2" route replace default via 10.99.0.254; }	# the kernel took it with the last address

test_address_change_under_load_costs_no_more_than_two_seconds() {
	local before device
	before=$(log_lines lap2)
	wait_for 5 "three connections" all_from $OLD $NEW
	spawn flood lap2 $NET ping $GW -i 0.02 -c 400 -W 3
	sleep 0.5
	traffic_is_back_after change $OLD $NEW
	echo "# traffic came back after $took ms"
	wait_for 5 "everything to be connected from the new address" all_from $NEW $OLD
	[ "$took" -le $((2000 * ${PATIENCE:-3})) ] || fail "$took ms"
	logged_since lap2 "$before" "this host's address $OLD is gone"
	finished flood 40
	cat "$RUN/log/flood"
}

test_address_that_comes_a_while_after_the_old_one_went_is_used_at_once() {
	local old=$NEW new=$OLD
	all_from $OLD $NEW && old=$OLD new=$NEW
	ip -n "$P-lap2" addr del "$old/24" dev eth0
	wait_for 5 "management to be missed" notices_loss
	sleep 6		# waits between attempts have grown by now
	traffic_is_back_after come $new
	echo "# traffic came back after $took ms"
	[ "$took" -le $((2000 * ${PATIENCE:-3})) ] || fail "$took ms"
	wait_for 5 "everything to be connected from the new address" all_from $new $old
}

come() { ip -n "$P-lap2" addr add "$1/24" dev eth0; arrive; }

notices_loss() { [ "$(member_says lap2 '.management.connected | tostring')" = false ]; }
