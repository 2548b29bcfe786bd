# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bash completion for talon. Install as /usr/share/bash-completion/completions/talon.

_talon()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
	local commands="up status trace preflight flows top metrics drops capture down networks expose forwarding profile login logout service reload debug hub version genkey pubkey help"
	local common="--pin-dir --log-level --daemon-addr --help"
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi
	# options: written by make docs, from userspace/config/option_rows.h
	local up="--static --dry-run
		--listen-port
		--address
		--mtu
		--uplink
		--route
		--snat
		--snat-ports
		--datapath
		--xdp-dispatcher
		--xdp-priority
		--host-address
		--local
		--hand-up
		--uplink-threads
		--tunnel
		--max-peers
		--max-flows
		--keystream-memory
		--capture
		--metrics
		--metrics-peers
		--metrics-aliases
		--vip-source
		--vip-namespace
		--node-name
		--kube-api
		--kube-dir
		--log-format --log-file --log-max-size"
	local mesh=" --wireguard-port --interface-name --enable-capture
		--management-url
		--setup-key
		--setup-key-file
		--hostname
		--config
		--state-dir
		--daemon-addr
		--preshared-key
		--disable-client-routes
		--disable-server-routes
		--disable-firewall
		--block-lan-access
		--block-inbound
		--force-relay
		--relay-transport
		--home-relay-servers
		--disable-networks
		--anonymize
		--anonymize-level
		--disable-ipv6
		--lazy-conn
		--extra-dns-labels
		--dns-forwarder-port
		--debug-upload-url
		--foreground-mode
		--qr
		--agent
		--on-stop
		--log-disable-rotation
		--profile
		--enable-rosenpass"

	case $prev in
	--listen-port)
		return ;;
	--address)
		return ;;
	--mtu)
		return ;;
	--uplink)
		mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/class/net 2>/dev/null)" -- "$cur")
		return ;;
	--route)
		return ;;
	--snat)
		mapfile -t COMPREPLY < <(compgen -W "node" -- "$cur")
		return ;;
	--snat-ports)
		return ;;
	--datapath)
		mapfile -t COMPREPLY < <(compgen -W "auto xdp xdp-generic tcx clsact" -- "$cur")
		return ;;
	--xdp-dispatcher)
		mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$cur")
		return ;;
	--xdp-priority)
		return ;;
	--host-address)
		mapfile -t COMPREPLY < <(compgen -W "yes no" -- "$cur")
		return ;;
	--local)
		return ;;
	--hand-up)
		mapfile -t COMPREPLY < <(compgen -W "auto pass tunnel" -- "$cur")
		return ;;
	--uplink-threads)
		mapfile -t COMPREPLY < <(compgen -W "auto on off" -- "$cur")
		return ;;
	--tunnel)
		return ;;
	--max-peers)
		return ;;
	--max-flows)
		return ;;
	--keystream-memory)
		return ;;
	--capture)
		mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur")
		return ;;
	--metrics)
		mapfile -t COMPREPLY < <(compgen -W "off" -- "$cur")
		return ;;
	--metrics-peers)
		return ;;
	--metrics-aliases)
		mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur")
		return ;;
	--vip-source)
		mapfile -t COMPREPLY < <(compgen -W "off auto cilium metallb kube-vip arp" -- "$cur")
		return ;;
	--vip-namespace)
		return ;;
	--node-name)
		return ;;
	--kube-api)
		return ;;
	--kube-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return ;;
	--pin-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return ;;
	--take-over)
		mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur")
		return ;;
	--log-level)
		mapfile -t COMPREPLY < <(compgen -W "error warn info debug" -- "$cur")
		return ;;
	--log-format)
		mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur")
		return ;;
	--log-file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--log-max-size)
		return ;;
	--management-url)
		return ;;
	--setup-key)
		return ;;
	--setup-key-file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--hostname)
		return ;;
	--config)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--state-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return ;;
	--daemon-addr)
		return ;;
	--preshared-key)
		return ;;
	--relay-transport)
		mapfile -t COMPREPLY < <(compgen -W "auto ws prefer-ws prefer-quic" -- "$cur")
		return ;;
	--home-relay-servers)
		return ;;
	--anonymize-level)
		mapfile -t COMPREPLY < <(compgen -W "default strict" -- "$cur")
		return ;;
	--lazy-conn)
		mapfile -t COMPREPLY < <(compgen -W "on off" -- "$cur")
		return ;;
	--extra-dns-labels)
		return ;;
	--dns-forwarder-port)
		return ;;
	--debug-upload-url)
		return ;;
	--on-stop)
		mapfile -t COMPREPLY < <(compgen -W "quiet tell" -- "$cur")
		return ;;
	--profile)
		mapfile -t COMPREPLY < <(compgen -W "default" -- "$cur")
		return ;;
	--wireguard-port)
		return ;;
	--interface-name)
		return ;;
	esac
	# end of options
	case $prev in
	--static)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--check)
		mapfile -t COMPREPLY < <(compgen -W "live ready startup datapath" -- "$cur")
		return ;;
	--proto)
		mapfile -t COMPREPLY < <(compgen -W "tcp udp icmp" -- "$cur")
		return ;;
	--from | --to | --size | --peer | --peers)
		return ;;
	--textfile)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--filter-by-status)
		mapfile -t COMPREPLY < <(compgen -W "idle connecting connected" -- "$cur")
		return ;;
	--direction)
		mapfile -t COMPREPLY < <(compgen -W "in out tunnel" -- "$cur")
		return ;;
	-w | --write)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--filter-by-connection-type)
		mapfile -t COMPREPLY < <(compgen -W "P2P Relayed" -- "$cur")
		return ;;
	--interface-name | --wireguard-port)
		return ;;
	--state)
		mapfile -t COMPREPLY < <(compgen -W "new established closing reset" -- "$cur")
		return ;;
	--sort)
		mapfile -t COMPREPLY < <(compgen -W "idle left client remote snat peer" -- "$cur")
		return ;;
	--by)
		mapfile -t COMPREPLY < <(compgen -W "rate packets drops" -- "$cur")
		return ;;
	--peer | --src | --dst | --limit | --interval | --count)
		return ;;
	esac
	case $command in
	up) mapfile -t COMPREPLY < <(compgen -W "$up $mesh $common" -- "$cur") ;;
	preflight) mapfile -t COMPREPLY < <(compgen -W "--json ${up/--dry-run/} $mesh $common" -- "$cur") ;;
	service)
		case ${COMP_WORDS[2]} in
		run) mapfile -t COMPREPLY < <(compgen -W "$up $mesh $common" -- "$cur") ;;
		install | reconfigure)
			mapfile -t COMPREPLY < <(compgen -W "--service --service-env --static --log-level --log-file --management-url --config --daemon-addr" -- "$cur") ;;
		uninstall | start | stop | restart | status | reset-params) mapfile -t COMPREPLY < <(compgen -W "--service" -- "$cur") ;;
		*) mapfile -t COMPREPLY < <(compgen -W "run install uninstall start stop restart status reconfigure reset-params" -- "$cur") ;;
		esac ;;
	reload) mapfile -t COMPREPLY < <(compgen -W "--environment $common" -- "$cur") ;;
	login) mapfile -t COMPREPLY < <(compgen -W "--setup-key --setup-key-file --management-url --hostname --extend --qr $common" -- "$cur") ;;
	networks | routes) mapfile -t COMPREPLY < <(compgen -W "list select deselect all --append $common" -- "$cur") ;;
	forwarding) mapfile -t COMPREPLY < <(compgen -W "list $common" -- "$cur") ;;
	profile) mapfile -t COMPREPLY < <(compgen -W "list --show-id select default $common" -- "$cur") ;;
	expose)
		mapfile -t COMPREPLY < <(compgen -W "--protocol --with-pin --with-password --with-user-groups --with-custom-domain
			--with-name-prefix --with-external-port $common" -- "$cur") ;;
	status)
		mapfile -t COMPREPLY < <(compgen -W "-d --detail --json --yaml --ipv4 --ipv6 --check --filter-by-ips --filter-by-names
			--filter-by-status --filter-by-connection-type $common" -- "$cur") ;;
	flows)
		mapfile -t COMPREPLY < <(compgen -W "--peer --src --dst --snat --proto --state --sort --reverse --limit --json $common" -- "$cur") ;;
	top) mapfile -t COMPREPLY < <(compgen -W "--interval --once --count --by --json $common" -- "$cur") ;;
	metrics) mapfile -t COMPREPLY < <(compgen -W "--openmetrics --peers --aliases --textfile $common" -- "$cur") ;;
	trace) mapfile -t COMPREPLY < <(compgen -W "--from --to --proto --size --peer --json $common" -- "$cur") ;;
	drops) mapfile -t COMPREPLY < <(compgen -W "-f --follow --json --reason --direction --peer --count $common" -- "$cur") ;;
	capture) mapfile -t COMPREPLY < <(compgen -W "--peer --write --size --count --duration --limit $common" -- "$cur") ;;
	debug)
		mapfile -t COMPREPLY < <(compgen -W "bundle for config log level error warn info debug --anonymize --anonymize-level
			--system-info --log-file-count --upload-bundle --upload-bundle-url --upload-bundle-insecure $common" -- "$cur") ;;
	hub)
		case ${COMP_WORDS[2]} in
		peers) mapfile -t COMPREPLY < <(compgen -W "remove rename --json --data-dir" -- "$cur") ;;
		keys) mapfile -t COMPREPLY < <(compgen -W "add revoke --json --data-dir --uses --reusable --expires --ephemeral --group" -- "$cur") ;;
		status | policies | routes) mapfile -t COMPREPLY < <(compgen -W "--json --data-dir" -- "$cur") ;;
		*)
			mapfile -t COMPREPLY < <(compgen -W "status peers keys policies routes --check --file --listen --public-url --data-dir
				--stun --page --tls-cert --tls-key --master-key-file --log-level --help" -- "$cur") ;;
		esac ;;
	down | logout) mapfile -t COMPREPLY < <(compgen -W "$common" -- "$cur") ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	esac
}

complete -F _talon talon
