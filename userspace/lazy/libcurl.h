/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * libcurl, loaded when somebody signs in, uploads, or asks a cluster who holds its addresses. Linked, it and
 * the libraries that it brings along would be in every process of ours: the daemon and its
 * helper, which seldom need them (docs/login.md has the figures).
 */
#ifndef TALON_LAZY_LIBCURL_H
#define TALON_LAZY_LIBCURL_H

#include <stddef.h>

#include <curl/curl.h>

/* X(name of the member, libcurl's function) */
#define LIBCURL_CALLS(X) \
	X(global_init, curl_global_init) \
	X(init, curl_easy_init) \
	X(setopt, curl_easy_setopt) \
	X(perform, curl_easy_perform) \
	X(getinfo, curl_easy_getinfo) \
	X(cleanup, curl_easy_cleanup) \
	X(error_text, curl_easy_strerror) \
	X(multi_init, curl_multi_init) \
	X(multi_setopt, curl_multi_setopt) \
	X(multi_add, curl_multi_add_handle) \
	X(multi_remove, curl_multi_remove_handle) \
	X(multi_cleanup, curl_multi_cleanup) \
	X(multi_assign, curl_multi_assign) \
	X(multi_socket_action, curl_multi_socket_action) \
	X(multi_info_read, curl_multi_info_read) \
	X(slist_append, curl_slist_append) \
	X(slist_free, curl_slist_free_all)

struct libcurl {
#define LIBCURL_MEMBER(member, name) typeof(name) *member;
	LIBCURL_CALLS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
};

/*
 * Loaded and set up once. NULL: it cannot be loaded, which one line in @why says. Not from two
 * threads at once.
 */
const struct libcurl *libcurl_load(char *why, size_t size);

#endif
