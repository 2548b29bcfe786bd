# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# bash completion for talon. Install as /usr/share/bash-completion/completions/talon.

_talon()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
	local commands="up status down version genkey pubkey help"
	local common="--pin-dir --log-level --help"
	local up="--static --dry-run --listen-port --address --mtu --uplink --route --snat --snat-ports --datapath
		--xdp-dispatcher --xdp-priority --host-address --local --hand-up --tunnel --max-peers --max-flows --keystream-memory"

	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
		return
	fi
	case $prev in
	--static)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return ;;
	--pin-dir)
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return ;;
	--uplink)
		mapfile -t COMPREPLY < <(compgen -W "$(ls /sys/class/net 2>/dev/null)" -- "$cur")
		return ;;
	--check)
		mapfile -t COMPREPLY < <(compgen -W "live ready startup datapath" -- "$cur")
		return ;;
	--log-level)
		mapfile -t COMPREPLY < <(compgen -W "error warn info debug" -- "$cur")
		return ;;
	--datapath)
		mapfile -t COMPREPLY < <(compgen -W "auto xdp xdp-generic tcx clsact" -- "$cur")
		return ;;
	--xdp-dispatcher)
		mapfile -t COMPREPLY < <(compgen -W "auto always never" -- "$cur")
		return ;;
	--hand-up)
		mapfile -t COMPREPLY < <(compgen -W "auto pass tunnel" -- "$cur")
		return ;;
	--host-address)
		mapfile -t COMPREPLY < <(compgen -W "yes no" -- "$cur")
		return ;;
	--snat)
		mapfile -t COMPREPLY < <(compgen -W "node" -- "$cur")
		return ;;
	--listen-port | --address | --mtu | --route | --snat-ports | --xdp-priority | --local | --tunnel | --max-peers | --max-flows | \
		--keystream-memory)
		return ;;
	esac
	case $command in
	up) mapfile -t COMPREPLY < <(compgen -W "$up $common" -- "$cur") ;;
	status) mapfile -t COMPREPLY < <(compgen -W "-d --detail --json --check $common" -- "$cur") ;;
	down) mapfile -t COMPREPLY < <(compgen -W "$common" -- "$cur") ;;
	help) mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur") ;;
	esac
}

complete -F _talon talon
