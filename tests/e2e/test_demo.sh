# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# What `make demo` and `make demo-static` show works, and leaves nothing behind.
# background

setup() { needs_talon; }

shown_by() { # SCRIPT
	local said
	said=$(DEMO_PREFIX=$P-d DEMO_FOLDER=$RUN/demo "$E2E/$1" 2>&1) || { tail -n 60 <<<"$said"; fail "$1 failed"; }
	not grep -F '[no]' <<<"$said" || fail "$1 said no"
	found -F 'The demo worked.' <<<"$said" || fail "$1 did not say that it worked"
	note "$(grep -cF '[ok]' <<<"$said") steps"
	[ ! -e "$RUN/demo" ] || fail "$1 left its folder"
}

test_the_demo_shows_a_whole_mesh() {
	needs nginx openssl
	shown_by demo.sh
}

test_the_demo_without_a_mesh_works() {
	shown_by demo_static.sh
}
