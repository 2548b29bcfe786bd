// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Destinations that this host serves itself: what the configuration gives, and what is found of services.
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "log/log.h"
#include "plane/internal.h"

static void note_trouble(struct plane *p, const char *text)
{
	bool is_new = strcmp(p->services_trouble, text) != 0;

	snprintf(p->services_trouble, sizeof(p->services_trouble), "%s", text);
	if (is_new && text[0])
		log_warn("%s", text);
	if (is_new && p->is_ready)
		hazards_update(p);
}

static void say_count(const struct plane *p, size_t before)
{
	size_t count = services_count(&p->services);

	if (count != before && (!count || !before))
		log_info(count ? "kube-proxy's rules: %zu service addresses are this node's to serve"
			: "kube-proxy's rules: no service addresses any more", count);
}

static bool look(struct plane *p, uint64_t now)
{
	size_t before = services_count(&p->services);
	struct services list = {};
	char text[160] = "";
	int ret = kube_proxy_look(&p->kube_proxy, now, &list);
	bool changed = ret > 0 && services_set(&p->services, &list);

	if (ret >= 0)
		ret = p->kube_proxy.legacy_error;
	if (ret < 0)
		snprintf(text, sizeof(text),
			"kube-proxy's rules cannot be read, so the addresses of its services may be out of "
			"date: %s", strerror(-ret));
	if (ret < 0 || p->services_trouble[0])
		note_trouble(p, text);
	if (changed)
		say_count(p, before);
	return changed;
}

void locals_start(struct plane *p)
{
	look(p, clock_boot_ns());
}

void locals_poll(struct plane *p, uint64_t now)
{
	/* what the maps hold of an earlier process stays until the first desired state */
	if ((look(p, now) || p->locals_error) && p->has_applied)
		locals_write(p);
}

void locals_write(struct plane *p)
{
	int ret = p->tables_known ? 0 : apply_read_tables(p);

	if (!ret)
		ret = apply_locals(p);
	if (ret && ret != p->locals_error)
		log_warn("not all addresses that this node serves could be written: %s", strerror(-ret));
	p->locals_error = ret;
	p->networks_changed = false;	/* single addresses: no other device carries more than before */
	if (p->is_ready)
		hazards_update(p);
	if (p->sees_change)
		map_bump_generation(p);
}

void locals_hazards(const struct plane *p, char *text, size_t size)
{
	if (p->services_trouble[0])
		text_append(text, size, "%s\n", p->services_trouble);
	if (p->locals_error)
		text_append(text, size, "not all addresses that this node serves could be written: %s\n",
			strerror(-p->locals_error));
	if (p->services_left_out)
		text_append(text, size, "%zu service addresses more than there is room for (%u): they are "
			"not served here; name their networks in Local\n", p->services_left_out,
			TALON_FOUND_MAX);
}
