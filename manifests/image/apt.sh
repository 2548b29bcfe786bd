# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# shellcheck shell=bash
# Packages of any architecture from the Debian mirror that this machine uses already, by a configuration of its own: the machine's lists,
# architectures and packages stay as they are. To be sourced.

# apt_begin FOLDER ARCHITECTURE SUITE...: lists of those suites and, where this machine has it, of the first one's security updates.
# APT_TYPES: "deb" (default), "deb-src" or both; APT_SECURITY: "no" leaves security updates out. Says on standard error why not.
apt_begin() {
	local base security keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed="" suite type

	apt_dir=$1 apt_arch=$2
	shift 2
	base=$(apt_mirror debian)
	security=$(apt_mirror debian-security)
	[ -n "$base" ] || { echo "no Debian mirror in /etc/apt/sources.list*" >&2; return 1; }
	[ ! -e $keyring ] || signed="[signed-by=$keyring]"
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial"
	for type in ${APT_TYPES:-deb}; do
		for suite; do
			echo "$type $signed $base $suite main"
		done
		[ -z "$security" ] || [ "${APT_SECURITY:-}" = no ] || echo "$type $signed $security $1-security main"
	done >"$apt_dir/sources.list"
	apt_private apt-get update >"$apt_dir/log" 2>&1 || { echo "apt-get update: $(tail -n 1 "$apt_dir/log")" >&2; return 1; }
}

# The first mirror of that name in this machine's sources.
apt_mirror() {
	{ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
		sed -nE "s/^(URIs:|deb( +\[[^]]*\])?) +([^ ]+\/$1(\.list)?)\/?( .*)?\$/\3/p" | sed -n 1p
}

apt_private() {
	local tool=$1
	shift
	"$tool" -q -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$apt_dir/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$apt_dir/cache" \
		-o APT::Architecture="$apt_arch" -o APT::Architectures="$apt_arch" -o APT::Sandbox::User=root \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}
