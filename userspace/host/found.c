// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Destinations that are found to be served here.
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "host/cilium_pods.h"
#include "host/found.h"
#include "log/log.h"

static bool note_trouble(struct found *found, const char *text)
{
	bool is_new = strcmp(found->trouble, text) != 0;

	snprintf(found->trouble, sizeof(found->trouble), "%s", text);
	if (is_new && text[0])
		log_warn("%s", text);
	return is_new;
}

static void say_services(const struct found *found, size_t before)
{
	size_t count = services_count(&found->services);

	if (count != before && (!count || !before))
		log_info(count ? "kube-proxy's rules: %zu service addresses are this node's to serve"
			: "kube-proxy's rules: no service addresses any more", count);
}

static bool look_for_services(struct found *found, uint64_t now_ns, bool *ret_trouble_changed)
{
	size_t before = services_count(&found->services);
	struct services list = {};
	char text[160] = "";
	int ret = kube_proxy_look(&found->kube_proxy, now_ns, &list);
	bool changed = ret > 0 && services_set(&found->services, &list);

	if (ret >= 0)
		ret = found->kube_proxy.legacy_error;
	if (ret < 0)
		snprintf(text, sizeof(text),
			"kube-proxy's rules cannot be read, so the addresses of its services may be out of "
			"date: %s", strerror(-ret));
	*ret_trouble_changed = (ret < 0 || found->trouble[0]) && note_trouble(found, text);
	if (changed)
		say_services(found, before);
	return changed;
}

static void say_pods(const struct found *found, size_t before)
{
	const struct services *pods = &found->pods;
	const bool is_four = pods->four.count;
	struct cidr net = { .family = is_four ? AF_INET : AF_INET6 };
	char text[CIDR_TEXT_LEN];

	if (!services_count(pods)) {
		log_info("Cilium's routes: no pods are this node's any more");
		return;
	}
	if (before)
		return;
	net.prefixlen = (is_four ? &pods->four : &pods->six)->list[0].len;
	net.addr = prefix_addr_of((is_four ? &pods->four : &pods->six)->list[0].addr);
	cidr_format(&net, text, sizeof(text));
	log_info("Cilium's routes: pods in %s%s are this node's to serve", text,
		services_count(pods) > 1 ? " and others" : "");
}

static bool look_for_pods(struct found *found)
{
	const size_t before = services_count(&found->pods);
	struct services list;
	int ret;

	if (found->pods_are_known)
		return false;
	ret = cilium_pods_look(&list);
	if (ret) {
		log_debug("Cilium's routes: %s", strerror(-ret));
		return false;	/* and again at the next look */
	}
	found->pods_are_known = true;
	if (!services_set(&found->pods, &list))
		return false;
	say_pods(found, before);
	return true;
}

bool found_look(struct found *found, uint64_t now_ns, bool *ret_trouble_changed)
{
	bool changed = look_for_services(found, now_ns, ret_trouble_changed);

	return look_for_pods(found) || changed;
}

/* Pods first, as they are few. */
int found_merge(struct found *found, uint8_t family, uint32_t value, size_t max, struct prefixes *set)
{
	const size_t given = set->count;
	size_t pods = 0, services = 0;
	int ret = services_merge(&found->pods, family, value, max, set, &pods);

	if (!ret)
		ret = services_merge(&found->services, family, value, max - (set->count - given), set,
			&services);
	found->left_out += pods + services;
	return ret;
}

void found_done(struct found *found)
{
	services_done(&found->services);
	services_done(&found->pods);
}
