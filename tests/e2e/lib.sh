# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Namespaces, clients, servers and the node under test for the end-to-end scenarios, the demo and their bench. Sourced by bash.
#
#   lap  10.99.0.2 --+                    +-- node  192.168.1.221
#   lap2 10.99.0.3 --+-- rtr (two bridges)+-- node2 192.168.1.222
#                     10.99.0.254 / 1.1   +-- gw    192.168.1.220
#
# Everything made here carries the run's prefix or lives in the run's folder; run_end proves that none of it is left.

E2E=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
BUILD=${BUILD:-$E2E/../../build}
TALON=${TALON:-$BUILD/talon}
ENGINE=${ENGINE:-talon}			# what runs on the node: talon, or reference (wireguard-go and nftables masquerade)
WIREGUARD_GO=${WIREGUARD_GO:-wireguard-go}
NODE_WIREGUARD_GO=${NODE_WIREGUARD_GO:-$WIREGUARD_GO}	# of the reference
NET="/usr/bin/python3 -BESs $E2E/net.py"	# the standard library alone: starts in half of the time
NODE=192.168.1.221 NODE2=192.168.1.222 GW=192.168.1.220 PORT=51820
export PATH=$PATH:/usr/sbin:/sbin

note() { echo "# $*"; }
fail() { echo "FAILED: $*"; exit 1; }
skip() { echo "SKIPPED: $*"; exit 77; }
needs_talon() { [ "$ENGINE" = talon ] || skip "only Talon does this"; }
needs() { local c; for c; do command -v "$c" >/dev/null || skip "$c is not installed"; done; }

equal() { # WHAT EXPECTED ACTUAL
	[ "$2" = "$3" ] || fail "$1: expected '$2', got '$3'"
}

between() { # WHAT LEAST MOST ACTUAL
	[ "$4" -ge "$2" ] && [ "$4" -le "$3" ] || fail "$1: expected $2 to $3, got '$4'"
}

# Commands to run when the case ends, for whatever reason, last one first.
FINALLY=
finally() { FINALLY="$*; $FINALLY"; }

# Polls a command until it succeeds; never a fixed sleep. PATIENCE stretches every deadline: machines that run tests are busy. Between two polls it sleeps
# as long as one takes, so that waiting leaves at least half of a processor to what is waited for.
wait_for() { # SECONDS WHAT COMMAND...
	# the command sees these, too, and may have names of its own from whoever waits
	local wait_what=$2 wait_end=$((${EPOCHREALTIME/./} + $1 * 1000000 * ${PATIENCE:-3})) wait_from wait_us
	shift 2
	until wait_from=${EPOCHREALTIME/./}; "$@" >/dev/null 2>&1; do
		wait_us=$((${EPOCHREALTIME/./} - wait_from))
		[ $((wait_from + wait_us)) -lt "$wait_end" ] || { echo "waited in vain for: $wait_what"; return 1; }
		wait_us=$((wait_us < 20000 ? 20000 : wait_us > 200000 ? 200000 : wait_us))
		printf -v wait_us %06d "$wait_us"
		sleep "0.$wait_us"
	done
}

not() { ! "$@"; }

# --- A run: prefix, folder, processes ---

run_begin() { # [PREFIX [FOLDER]]
	P=${1:-t$BASHPID}
	RUN=${2:-$(mktemp -d /tmp/talon-e2e.XXXXXX)}
	PIN=$RUN/bpf/talon
	mkdir -p "$RUN"/{log,proc,keys,www,bpf}
	mount -t bpf bpf "$RUN/bpf" || { echo "cannot mount a bpffs: root on a kernel with BPF is needed" >&2; return 2; }
	export P RUN PIN
}

in_ns() { local h=$1; shift; nsenter --net="/run/netns/$P-$h" "$@"; }

spawn() { # NAME HOST COMMAND...: in the background; its output is in log/NAME
	local name=$1 host=$2
	shift 2
	nsenter --net="/run/netns/$P-$host" "$@" >>"$RUN/log/$name" 2>&1 </dev/null 9>&- &
	echo "$! $(start_time $!)" >"$RUN/proc/$name"
	disown
}

# Of /proc/PID/stat what follows the name, which may hold blanks: the state is the first word, the start time the 20th.
stat_of() { # PID: in STAT
	local line
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -ra STAT <<<"${line##*) }"
}

start_time() { stat_of "$1" && echo "${STAT[19]}"; }

pid_of() { local pid rest; read -r pid rest <"$RUN/proc/$1" && echo "$pid"; }

alive() { # NAME: the process we started, not a later one with the same pid
	local pid start STAT
	[ -e "$RUN/proc/$1" ] && read -r pid start <"$RUN/proc/$1" || return 1
	[ -n "$start" ] && stat_of "$pid" && [ "${STAT[19]}" = "$start" ] || return 1
	# A killed process whose first thread is a zombie still holds its files until its other threads have ended.
	[ "${STAT[0]}" != Z ] || [ "$(ls "/proc/$pid/task" 2>/dev/null | wc -l)" -gt 1 ]
}

stop() { # NAME [SIGNAL]
	alive "$1" || { rm -f "$RUN/proc/$1"; return 0; }
	kill "-${2:-TERM}" "$(pid_of "$1")" 2>/dev/null || true	# it may end by itself just now
	if ! wait_for 5 "the end of $1" not alive "$1"; then
		kill -KILL "$(pid_of "$1")" 2>/dev/null
		wait_for 5 "the end of $1 after SIGKILL" not alive "$1"
		rm -f "$RUN/proc/$1"
		return 1
	fi
	rm -f "$RUN/proc/$1"
}

finished() { # NAME SECONDS: wait for a spawned process to end by itself
	wait_for "$2" "$1 to finish" not alive "$1"
}

# --- Topology ---

declare -A ADDRESS=([lap]=10.99.0.2/24 [lap2]=10.99.0.3/24 [node]=$NODE/24 [node2]=$NODE2/24 [gw]=$GW/24)
declare -A ADDRESS6=([lap]=fd10::2/64 [lap2]=fd10::3/64 [node]=fd01::221/64 [node2]=fd01::222/64 [gw]=fd01::220/64)

topology() { # HOST...
	local h
	ns_add rtr
	ip -n "$P-rtr" -batch - <<-END
		link add br-inet type bridge forward_delay 0
		link add br-lan type bridge forward_delay 0
		link set br-inet up
		link set br-lan up
		addr add 10.99.0.254/24 dev br-inet
		addr add 192.168.1.1/24 dev br-lan
		addr add fd10::fe/64 dev br-inet nodad
		addr add fd01::1/64 dev br-lan nodad
		rule add iif br-inet to $GW prohibit
	END
	in_ns rtr sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0
	for h; do host_add "$h"; done
}

ns_add() {
	ip netns add "$P-$1"
	in_ns "$1" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
	ip -n "$P-$1" link set lo up
}

host_add() { # HOST
	local h=$1 bridge=br-lan via=192.168.1.1 via6=fd01::1
	case ${ADDRESS[$h]} in 10.99.*) bridge=br-inet via=10.99.0.254 via6=fd10::fe ;; esac
	ns_add "$h"
	ip -n "$P-$h" link add eth0 type veth peer name "p-$h" netns "$P-rtr"
	ip -n "$P-rtr" -batch - <<-END
		link set p-$h master $bridge
		link set p-$h up
	END
	wire_sized "$h"
	ip -n "$P-$h" -batch - <<-END
		link set eth0 up
		addr add ${ADDRESS[$h]} dev eth0
		addr add ${ADDRESS6[$h]} dev eth0 nodad
		route add default via $via
		route add default via $via6
	END
	# A cluster node forwards; Talon needs no other setting and changes none.
	case $h in node*) in_ns "$h" sysctl -qw net.ipv4.ip_forward=1 ;; esac
}

# Frames as on a real wire: complete checksums, no longer than the MTU. A router's port completes what it sends (tx off); a
# host's own port keeps tx on, so that a userspace WireGuard there can batch. GRO on the router's ports gives them the NAPI without which a veth
# drops what XDP_REDIRECT sends to it, and lets the receivers join frames again, as NICs do.
wire_sized() { # HOST
	in_ns "$1" ethtool -K eth0 tso off tx-udp-segmentation off gro on >/dev/null 2>&1 || true
	in_ns rtr ethtool -K "p-$1" tx off tso off tx-udp-segmentation off gro on >/dev/null 2>&1 || true
}

# --- Stock WireGuard clients ---

declare -A MESH=([node]=100.64.0.1 [node2]=100.64.0.11 [lap]=100.64.0.2 [lap2]=100.64.0.3)

key() { # HOST [pub]
	[ -e "$RUN/keys/$1" ] || (umask 077 && wg genkey >"$RUN/keys/$1" && wg pubkey <"$RUN/keys/$1" >"$RUN/keys/$1.pub")
	cat "$RUN/keys/$1${2:+.pub}"
}

dev() { echo "$P-$1"; }		# a client's device; its control socket's name is global, hence the prefix

client_up() { # HOST
	local h=$1 d
	d=$(dev "$h")
	key "$h" >/dev/null
	LOG_LEVEL=${WG_LOG_LEVEL:-verbose} spawn "wg-$h" "$h" "$WIREGUARD_GO" -f "$d"
	wait_for 5 "the control socket of $d" test -S "/var/run/wireguard/$d.sock"
	wg set "$d" private-key "$RUN/keys/$h" fwmark 51820
	ip -n "$P-$h" -batch - <<-END
		addr add ${MESH[$h]}/32 dev $d
		link set $d mtu 1420 up
		route add 192.168.1.0/24 dev $d table 51820
		route add 100.64.0.0/10 dev $d table 51820
		route add 10.42.0.0/16 dev $d table 51820
		route add 10.50.0.0/16 dev $d table 51820
		rule add not fwmark 51820 lookup 51820
	END
	client_peer "$h"
}

# Adds the node as a new peer: the client forgets its sessions, and the next packet starts a handshake.
client_peer() { # HOST [WG-SET-ARGUMENT...]
	local h=$1
	shift
	wg set "$(dev "$h")" peer "$(key node pub)" remove
	wg set "$(dev "$h")" peer "$(key node pub)" endpoint "$NODE:$PORT" \
		allowed-ips 192.168.1.0/24,100.64.0.1/32,10.42.0.0/16,10.50.0.0/16 "$@"
}

client_down() { # HOST
	stop "wg-$1"
	rm -f "/var/run/wireguard/$(dev "$1").sock"
}

wg_bytes() { # HOST rx|tx
	wg show "$(dev "$1")" transfer | awk -v f="$2" '{ print f == "rx" ? $2 : $3 }'
}

handshakes() { # HOST: unix time of the last one
	wg show "$(dev "$1")" latest-handshakes | awk '{ print $2 }'
}

# --- The node: Talon, or the reference in its place ---

base_config() {
	cat <<-END
		PrivateKey = $(key "$1")
		ListenPort = $PORT
		Address = ${MESH[$1]}/10
		MTU = 1420
		Route = 192.168.1.0/24 masquerade
	END
}

# "Key = value" lines go to [Interface], in place of ours of that name; "lap: Key = value" to that peer.
write_config() { # HOST FILE LINE...
	local host=$1 file=$2 line h
	shift 2
	{
		echo "[Interface]"
		while read -r line; do
			printf '%s\n' "$@" | found "^${line%% *} *=" || echo "$line"
		done < <(base_config "$host")
		for line; do [[ $line =~ ^lap2?: ]] || echo "$line"; done
		for h in ${PEERS:-lap lap2}; do
			printf '\n[Peer]\nPublicKey = %s\nAllowedIPs = %s/32\n' "$(key $h pub)" "${MESH[$h]}"
			for line; do [[ $line == "$h: "* ]] && echo "${line#*: }"; done
		done
	} >"$file"
	chmod 600 "$file"
}

node_up() { # LINE...: with this configuration; what runs already with the same one is kept.
	# Clients are told of the node anew, unless CLIENTS_WAIT is set.
	local h
	write_config node "$RUN/node.new" "$@"
	if alive node && cmp -s "$RUN/node.new" "$RUN/node.conf"; then
		return 0
	fi
	node_down
	mv "$RUN/node.new" "$RUN/node.conf"
	"${ENGINE}_up" node "$RUN/node.conf"
	[ -n "${CLIENTS_WAIT:-}" ] || for h in lap lap2; do alive "wg-$h" && client_peer $h; done
	return 0
}

node_down() {
	[ -e "$RUN/node.conf" ] || return 0
	"${ENGINE}_down" node
	rm -f "$RUN/node.conf"
}

talon() { in_ns "${HOST:-node}" "$TALON" "$@"; }

talon_up() { # HOST FILE
	spawn "$1" "$1" "$TALON" up --static "$2" --pin-dir "$PIN"
	wait_for 10 "Talon to be ready" ready_or_dead "$1"
	alive "$1" || { tail -5 "$RUN/log/$1"; fail "talon up ended"; }
	bpf_ids >>"$RUN/bpf-ids"
}

# Ready, as reported by this very process: after a kill the datapath alone stays ready as long as its sessions live.
ready_or_dead() { ! alive "$1" || HOST=$1 status ".controller | select(.ready and .pid == $(pid_of "$1"))"; }

talon_down() { # HOST
	stop "$1"
	HOST=$1 talon down --pin-dir "$PIN"
}

reference_up() { # HOST FILE
	local d
	d=$(dev "$1")
	LOG_LEVEL=${WG_LOG_LEVEL:-verbose} spawn "$1" "$1" "$NODE_WIREGUARD_GO" -f "$d"
	wait_for 5 "the control socket of $d" test -S "/var/run/wireguard/$d.sock"
	grep -E '^(\[|PrivateKey|ListenPort|PublicKey|PresharedKey|AllowedIPs|Endpoint|PersistentKeepalive)' "$2" >"$RUN/reference.conf"
	wg setconf "$d" "$RUN/reference.conf"
	ip -n "$P-$1" addr add "${MESH[$1]}/10" dev "$d"
	ip -n "$P-$1" link set "$d" mtu 1420 up
	# The cases provoke several errors a second; the kernel's limit on them is not what is compared.
	in_ns "$1" sysctl -qw net.ipv4.icmp_ratelimit=0
	in_ns "$1" nft -f - <<-END
		table ip reference {
			chain translate {
				type nat hook postrouting priority srcnat;
				ip saddr 100.64.0.0/10 ip daddr != 100.64.0.0/10 ip daddr { $(awk '/^Route.* masquerade/ { printf "%s%s", n++ ? ", " : "", $3 }' "$2") } masquerade
			}
		}
	END
}

reference_down() { # HOST
	stop "$1"
	in_ns "$1" nft delete table ip reference
	rm -f "/var/run/wireguard/$(dev "$1").sock"
}

# --- Metrics ---

metrics() { talon metrics --pin-dir "$PIN" "$@"; }
metric() { metrics | sed -n "s/^$1 //p"; }	# SERIES, as a pattern of sed

# Each program's numbers from a scrape, "PROGRAM RECEIVED PASSED ENDED DROPPED".
program_totals() { # FILE
	awk '
		match($0, /direction="[a-z]*"/) { dir = substr($0, RSTART + 11, RLENGTH - 12); program = dir == "in" || dir == "out" ? "uplink" : dir }
		match($0, /program="[a-z]*"/) { program = substr($0, RSTART + 9, RLENGTH - 10) }
		/^talon_program_packets_total/ { received[program] = $NF }
		/^talon_program_passed_packets_total/ { passed[program] = $NF }
		/^talon_packets_total/ { ended[program] += $NF }
		/^talon_drops_total/ { dropped[program] += $NF }
		END { for (program in received) print program, received[program], passed[program], ended[program] + 0, dropped[program] + 0 }
	' "$1" | sort
}

# A scrape that no packet fell into: its programs had the same numbers a moment later.
quiet_scrape() { # FILE
	metrics >"$1" && metrics >"$1.again" && [ "$(program_totals "$1")" = "$(program_totals "$1.again")" ]
}

# From one scrape to the next each program received what it passed, ended and dropped.
conserved() { # BEFORE AFTER
	local program received passed ended dropped n=0 b
	while read -r program received passed ended dropped; do
		read -r _ b_received b_passed b_ended b_dropped < <(program_totals "$1" | grep "^$program ")
		b="$((received - b_received)) received, $((passed - b_passed)) passed, $((ended - b_ended)) ended, $((dropped - b_dropped)) dropped"
		note "$program: $b"
		[ $((received - b_received)) = $((passed - b_passed + ended - b_ended + dropped - b_dropped)) ] || fail "$program: $b"
		n=$((n + 1))
	done < <(program_totals "$2")
	equal "programs" 3 $n
}

# --- Packets that flow while something happens ---

flow_start() { # HOST ADDRESS [INTERVAL]: a ping without an end
	rm -f "$RUN/log/flow"
	finally "stop flow KILL"
	spawn flow "$1" ping -D -i "${3:-0.005}" "$2"
}

flow_answers() { [ "$(grep -c icmp_seq= "$RUN/log/flow")" -ge "$1" ]; }	# COUNT: for wait_for

# Ends it when at least COUNT were answered. One may be under way then: answers are counted up to the last that came, and none may be missing.
flow_end() { # WHAT [COUNT]
	wait_for 20 "answers" flow_answers "${2:-100}"
	stop flow INT
	awk -F 'icmp_seq=' 'NF > 1 { seen[$2 + 0]; if ($2 + 0 > last) last = $2 + 0 } /transmitted/ { sent = $1 + 0 }
		END { for (i = 1; i <= last; i++) lost += !(i in seen); print last " packets, " lost + 0 " lost"; exit lost || last < sent - 3 }' \
		"$RUN/log/flow" >"$RUN/log/flow-sum" || { cat "$RUN/log/flow-sum"; tail -n 3 "$RUN/log/flow"; fail "$1: packets were lost"; }
	note "$1: $(cat "$RUN/log/flow-sum")"
}

# --- Talon's status and errors ---

status() { # JQ-EXPRESSION
	local json
	json=$(talon status --json --pin-dir "$PIN") && jq -er "$1" <<<"$json"
}

# `talon up` refuses: exit status 2 (or EXIT) and one line that matches the (Perl) pattern.
refused() { refused_by env "$@"; }

refused_by() { # WRAPPER FILE PATTERN
	local rc=0
	in_ns node timeout 10 $1 "$TALON" up --static "$2" --pin-dir "$PIN" >"$RUN/log/refused" 2>&1 </dev/null || rc=$?
	sed 's/^/said: /' "$RUN/log/refused"
	equal "exit status" "${EXIT:-2}" $rc
	[ $rc = 1 ] || equal "error lines" 1 "$(grep -cv " info  " "$RUN/log/refused")"
	grep -qP "$3" "$RUN/log/refused" || fail "nothing about $3"
}

ends() { status ".packets.$1.$2"; }		# in|out|tunnel LABEL

peer_field() { # HOST FIELD
	status ".peers.details[] | select(.publicKey == \"$(key "$1" pub)\") | .$2"
}

datapath() { status ".datapath.$1"; }

# Every BPF object that the controller holds or that is pinned as a link, as "prog 12", "map 7", "link 3".
bpf_ids() {
	local f
	{
		cat /proc/"$(pid_of node)"/fdinfo/* 2>/dev/null | sed -n 's/^\(prog\|map\|link\)_id:[[:space:]]*\([1-9][0-9]*\)$/\1 \2/p' || true
		for f in "$PIN"/v*/links/*; do
			bpftool -j link show pinned "$f" 2>/dev/null | jq -r '"link \(.id)", "prog \(.prog_id)"' || true
		done
	} | sort -u
}

bpf_gone() { # FILE of bpf_ids lines: none of them exists any more
	local kind id
	while read -r kind id; do
		! bpftool $kind show id "$id" >/dev/null 2>&1 || { echo "$kind $id still exists"; return 1; }
	done <"$1"
}

ends_is() { [ "$(ends "$1" "$2")" = "$3" ]; }

# --- Servers in the network behind the node ---

random_file() { head -c "$2" /dev/urandom >"$1"; }

servers_up() { # HOST [ADDRESS]
	local h=$1 a=${2:-${ADDRESS[$1]%/*}}
	[ -e "$RUN/www/page" ] || {
		echo "this page came through the tunnel" >"$RUN/www/page"
		random_file "$RUN/www/large" $((32 << 20))
		random_file "$RUN/www/medium" $((8 << 20))
	}
	spawn "http-$h-$a" "$h" $NET http "$a" 80 "$RUN/www" "$RUN/log/seen-$h"
	spawn "udp-$h-$a" "$h" $NET udp-serve "$a" 7 "$RUN/log/seen-udp-$h"
	wait_for 5 "the HTTP server on $h" listening "$h" "$(bracketed "$a"):80" t
	wait_for 5 "the UDP server on $h" listening "$h" "$(bracketed "$a"):7" u
}

bracketed() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }	# an address as a URL has it

# grep -q in a pipe ends at the first hit, the command before it by SIGPIPE then, and that is a failure under pipefail.
found() { grep "$@" >/dev/null; }

listening() { in_ns "$1" ss -Hnl"$3" | found -F "$2"; }

last_seen() { # HOST [udp-]: of the last request, a field
	tail -n 1 "$RUN/log/seen-$1" | jq -r ".$2"
}

sha() { sha256sum "$@" | cut -d' ' -f1; }

get() { # HOST URL [CURL-ARGUMENT...]
	local h=$1 url=$2
	shift 2
	in_ns "$h" curl -sS --fail --max-time 30 --noproxy '*' "$@" "$url"
}

saw() { # HOST CLIENT: the last HTTP request there came from that address
	equal "client that $1 saw" "$2" "$(last_seen "$1" client)"
}

udp_ask() { # HOST NET.PY-UDP-ARGUMENT...: prints the source port
	local h=$1
	shift
	in_ns "$h" $NET udp "$@"
}

fetch_page() { # HOST [ADDRESS]
	equal "the page from ${2:-$GW}" "$(cat "$RUN/www/page")" "$(get "$1" "http://${2:-$GW}/page")"
}

fetch_and_put() { # HOST FILE [ADDRESS]: both ways, compared by hash
	equal "SHA-256 of $2, fetched" "$(sha "$RUN/www/$2")" "$(get "$1" "http://${3:-$GW}/$2" | sha)"
	equal "SHA-256 of $2, uploaded" "$(sha "$RUN/www/$2")" "$(get "$1" "http://${3:-$GW}/up" -T "$RUN/www/$2")"
}

ping_counts() { # HOST TARGET NET.PY-PING-ARGUMENT...: "sent received"
	local h=$1
	shift
	in_ns "$h" $NET ping "$@"
}

all_answered() { # HOST TARGET COUNT [PING-ARGUMENT...]
	local h=$1 target=$2 n=$3
	shift 3
	equal "pings sent and answered" "$n $n" "$(ping_counts "$h" "$target" -c "$n" -i 0.01 "$@")"
}

icmp_seen() { # HOST JQ-CONDITION: a line of that host's ICMP log fulfils it
	jq -e -s "any(.[]; $2)" "$RUN/icmp-$1"
}

watch_icmp() { # HOST
	stop "icmp-$1"
	rm -f "$RUN/icmp-$1"
	spawn "icmp-$1" "$1" $NET icmp-watch 0.0.0.0 "$RUN/icmp-$1"
	wait_for 5 "the ICMP log of $1" test -e "$RUN/icmp-$1"
}

# --- The state of the host, to be compared ---

# Left out: numbers that change on an idle machine.
VOLATILE='^(fs\.(dentry-state|file-nr|inode-(nr|state)|aio-nr|quota)|kernel\.(random|ns_last_pid|pty\.nr|perf_event_max_sample_rate|hung_task_detect_count)|kernel\.sched_domain|net\.netfilter\.nf_conntrack_count|debug\.|vm\.stat_refresh)'

snapshot() { # HOST FOLDER
	local h=$1 d=$2
	mkdir -p "$d"
	in_ns "$h" sysctl -a 2>/dev/null | grep -Ev "$VOLATILE" | sort >"$d/sysctl"
	in_ns "$h" nft -s list ruleset >"$d/nft" 2>&1 || true
	{ in_ns "$h" ip rule; in_ns "$h" ip -6 rule; } >"$d/rule"
	if command -v iptables-save >/dev/null; then in_ns "$h" iptables-save | grep -v '^#' | sed 's/\[[0-9]*:[0-9]*\]$//' >"$d/iptables" || true; fi
	cat /etc/resolv.conf >"$d/resolv.conf"
	in_ns "$h" ip -o link | cut -d' ' -f2- | sed 's/ qlen.*//' | sort >"$d/link"
	in_ns "$h" ip -o addr | cut -d' ' -f2- | sort >"$d/addr"
	{ in_ns "$h" ip route show table all; in_ns "$h" ip -6 route show table all; } | sort >"$d/route"
	in_ns "$h" tc qdisc show >"$d/qdisc"
	in_ns "$h" bpftool net show >"$d/bpf"
	find "$RUN/bpf" -mindepth 1 >"$d/pins"
}

same_snapshot() { # BEFORE AFTER
	diff -ru "$1" "$2" || fail "the host is not as it was"
}

# --- The end: nothing may be left over ---

run_end() {
	local f n left=0
	! declare -F teardown >/dev/null || teardown || left=1
	node_down
	for f in "$RUN"/proc/*; do [ -e "$f" ] && stop "$(basename "$f")"; done
	for n in $(ip netns list | awk -v p="$P-" 'index($1, p) == 1 { print $1 }'); do
		wait_for 5 "processes in $n to end" no_processes "$n" || left=1
		ip netns del "$n"
	done
	! mountpoint -q "$RUN/bpf" || umount "$RUN/bpf" || left=1
	[ ! -s "$RUN/bpf-ids" ] || wait_for 10 "BPF objects to be freed" bpf_gone "$RUN/bpf-ids" || { bpf_gone "$RUN/bpf-ids"; left=1; }
	prove_clean || left=1
	[ -n "${KEEP_LOGS:-}" ] || rm -rf "$RUN"
	return $left
}

no_processes() { [ -z "$(ip netns pids "$1")" ]; }

prove_clean() {
	local left
	left=$({
		ip netns list | grep "^$P-"
		ip -o link | grep -F " $P-"
		findmnt -rno TARGET | grep -F "$RUN"
		ls /var/run/wireguard 2>/dev/null | grep "^$P-"
		ls "$RUN/proc"
	} 2>/dev/null)
	[ -z "$left" ] || { echo "left behind: $left" >&2; return 1; }
}
