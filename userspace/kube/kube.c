// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The watches together, and what they say to the plane.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "kube/internal.h"
#include "kube/kube.h"
#include "log/log.h"

#define SERVICE_ACCOUNT	"/var/run/secrets/kubernetes.io/serviceaccount"

struct kube {
	struct plane *plane;
	struct loop *loop;
	enum config_vip_source source;
	char node[256];
	struct kube_api *api;
	struct kube_arp_socket *arp;	/* NULL: another source */
	struct kube_watch watches[KUBE_KINDS];
	bool is_used[KUBE_KINDS];
	struct loop_timer settle;	/* several objects come at once */
	struct talon_vip_source told;
	struct kube_vip list[TALON_VIPS_MAX];
	size_t count;
};

static const char *const source_names[] = { "", "auto", "cilium", "metallb", "kube-vip", "arp" };

static void find_address(const struct talon_addr *addr, char text[static INET6_ADDRSTRLEN])
{
	bool is_four = !addr->word[1] && !addr->word[2] && !addr->word[3];

	inet_ntop(is_four ? AF_INET : AF_INET6, addr, text, INET6_ADDRSTRLEN);
}

static const struct kube_vip *find_vip(const struct kube_vip *list, size_t count,
	const struct talon_addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (talon_addr_equal(&list[i].address, addr))
			return &list[i];
	}
	return NULL;
}

/* One line for each address that changed hands. */
static void say(const struct kube *k, const struct kube_vip *fresh, size_t count)
{
	char text[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < count; i++) {
		const struct kube_vip *old = find_vip(k->list, k->count, &fresh[i].address);

		if (old && !strcmp(old->holder, fresh[i].holder))
			continue;
		find_address(&fresh[i].address, text);
		log_info("%s (%s) is %s %s%s", text, fresh[i].service,
			fresh[i].is_here ? "held here, by" : "held by", fresh[i].holder,
			fresh[i].is_here ? ": handed up" : ": forwarded to it");
	}
	for (size_t i = 0; i < k->count; i++) {
		if (find_vip(fresh, count, &k->list[i].address))
			continue;
		find_address(&k->list[i].address, text);
		log_info("%s (%s) is nobody's any more", text, k->list[i].service);
	}
}

static bool all_listed(const struct kube *k)
{
	for (int i = 0; i < KUBE_KINDS; i++) {
		if (k->is_used[i] && !k->watches[i].has_listed && !k->watches[i].is_synced)
			return false;
	}
	return true;
}

static size_t list_vips(struct kube *k, struct kube_vip *list)
{
	struct kube_objects objects[KUBE_KINDS] = {};

	if (k->arp)
		return kube_list_vips_by_arp(kube_arp_of(k->arp), k->node,
			&k->watches[KUBE_SERVICES].objects, list, TALON_VIPS_MAX);
	for (int i = 0; i < KUBE_KINDS; i++)
		objects[i] = k->watches[i].objects;
	return kube_list_vips(k->source, k->node, objects, list, TALON_VIPS_MAX);
}

static void tell_vips(struct kube *k)
{
	struct kube_vip *fresh = calloc(TALON_VIPS_MAX, sizeof(*fresh));
	struct vip *list = calloc(TALON_VIPS_MAX, sizeof(*list));
	size_t count, here = 0;

	if (!fresh || !list)
		goto out;
	count = list_vips(k, fresh);
	for (size_t i = 0; i < count; i++) {
		list[i] = (struct vip){ .addr = fresh[i].address, .is_here = fresh[i].is_here,
			.holder = fresh[i].holder, .service = fresh[i].service };
		here += fresh[i].is_here;
	}
	if (plane_set_vips(k->plane, &(struct vip_wish){ .list = list, .count = count })) {
		loop_timer_after(k->loop, &k->settle, LOOP_SECOND);
		goto out;
	}
	say(k, fresh, count);
	memcpy(k->list, fresh, count * sizeof(*fresh));
	k->count = count;
	plane_set_fact(k->plane, TALON_FACT_VIPS_HERE, here);
	plane_set_fact(k->plane, TALON_FACT_VIPS_ELSEWHERE, count - here);
out:
	free(fresh);
	free(list);
}

static void tell_source(struct kube *k)
{
	struct talon_vip_source now = { .synced = 1 };
	uint64_t errors = 0, restarts = 0;

	snprintf(now.name, sizeof(now.name), "%s", source_names[k->source]);
	for (int i = 0; i < KUBE_KINDS; i++) {
		const struct kube_watch *w = &k->watches[i];

		errors += w->errors;
		restarts += w->restarts;
		if (!k->is_used[i] || w->is_synced)
			continue;
		now.synced = 0;
		if (!now.error[0])
			snprintf(now.error, sizeof(now.error), "%s", w->why);
	}
	plane_set_fact(k->plane, TALON_FACT_VIP_ERRORS, errors);
	plane_set_fact(k->plane, TALON_FACT_VIP_RESTARTS, restarts);
	plane_set_fact(k->plane, TALON_FACT_VIP_SYNCED, now.synced);
	now.since_unix_s = now.synced == k->told.synced && k->told.since_unix_s ? k->told.since_unix_s
		: clock_unix_ns() / TALON_NSEC_PER_SEC;
	if (!memcmp(&now, &k->told, sizeof(now)))
		return;
	k->told = now;
	plane_set_vips(k->plane, &(struct vip_wish){ .source = &now });
}

static void ask_by_arp(struct kube *k)
{
	__be32 list[TALON_VIPS_MAX];
	size_t count = kube_list_addresses(&k->watches[KUBE_SERVICES].objects, list, TALON_VIPS_MAX);

	if (kube_arp_set(kube_arp_of(k->arp), list, count))
		loop_timer_after(k->loop, &k->settle, LOOP_SECOND);
}

static void on_settle(void *ctx)
{
	struct kube *k = ctx;

	if (k->arp && all_listed(k))
		ask_by_arp(k);
	if (all_listed(k))
		tell_vips(k);
	tell_source(k);
}

/* At the end of this turn: events come in bunches. */
static void on_changed(void *ctx)
{
	struct kube *k = ctx;

	if (!loop_timer_is_set(&k->settle))
		loop_timer_after(k->loop, &k->settle, 0);
}

static void add_watch(struct kube *k, enum kube_kind kind, bool may_lack, const char *path,
	const char *namespace)
{
	struct kube_watch *w = &k->watches[kind];

	*w = (struct kube_watch){ .api = k->api, .loop = k->loop, .kind = kind, .may_lack = may_lack,
		.changed = on_changed, .ctx = k };
	snprintf(w->path, sizeof(w->path), path, namespace);
	k->is_used[kind] = true;
	kube_watch_start(w);
}

static void add_watches(struct kube *k, const char *namespace)
{
	bool is_auto = k->source == CONFIG_VIP_AUTO;

	add_watch(k, KUBE_SERVICES, false, "/api/v1/services%s", "");
	if (k->source == CONFIG_VIP_ARP)
		return;
	if (k->source != CONFIG_VIP_METALLB)
		add_watch(k, KUBE_LEASES, false, "/apis/coordination.k8s.io/v1/namespaces/%s/leases",
			namespace[0] ? namespace : "kube-system");
	if (is_auto || k->source == CONFIG_VIP_METALLB)
		add_watch(k, KUBE_L2_STATUSES, is_auto,
			"/apis/metallb.io/v1beta1/namespaces/%s/servicel2statuses",
			namespace[0] && !is_auto ? namespace : "metallb-system");
}

/* In a pod the kubelet names the server. An IPv6 address needs brackets. */
static int find_server(const struct config *config, char *url, size_t size, char *err, size_t errlen)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
	bool is_six;

	if (config->kube_api[0]) {
		snprintf(url, size, "%s", config->kube_api);
		return 0;
	}
	if (!host || !*host) {
		snprintf(err, errlen, "who holds virtual addresses cannot be asked: KUBERNETES_SERVICE_HOST "
			"is not set, as it is in a pod; --kube-api names the API server");
		return -EDESTADDRREQ;
	}
	is_six = strchr(host, ':');
	snprintf(url, size, "https://%s%s%s:%s", is_six ? "[" : "", host, is_six ? "]" : "",
		port && *port ? port : "443");
	return 0;
}

static void find_node(struct kube *k, const struct config *config)
{
	if (config->node_name[0])
		snprintf(k->node, sizeof(k->node), "%s", config->node_name);
	else if (config->mesh.enabled && config->mesh.hostname)
		snprintf(k->node, sizeof(k->node), "%s", config->mesh.hostname);
	else
		gethostname(k->node, sizeof(k->node) - 1);
	k->node[TALON_VIP_HOLDER_LEN - 1] = '\0';
}

int kube_start(struct plane *plane, const struct config *config, struct kube **ret_kube, char *err,
	size_t errlen)
{
	const char *dir = config->kube_dir[0] ? config->kube_dir : SERVICE_ACCOUNT;
	const struct talon_vip_source off = {};
	const struct vip none = {};
	char url[256];
	struct kube *k;
	int ret;

	*ret_kube = NULL;
	if (config->vip_source == CONFIG_VIP_OFF)
		return plane_set_vips(plane, &(struct vip_wish){ .list = &none, .source = &off });
	ret = find_server(config, url, sizeof(url), err, errlen);
	if (ret)
		return ret;
	k = calloc(1, sizeof(*k));
	if (!k) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	k->plane = plane;
	k->loop = plane_loop(plane);
	k->source = config->vip_source;
	find_node(k, config);
	loop_timer_init(&k->settle, on_settle, k);
	if (k->source == CONFIG_VIP_ARP)
		ret = kube_arp_open(k->loop, on_changed, k, &k->arp, err, errlen);
	if (!ret)
		ret = kube_api_new(k->loop, url, dir, &k->api, err, errlen);
	if (ret) {
		kube_arp_close(k->arp);
		free(k);
		return ret;
	}
	log_info("virtual addresses: asking %s who holds them, by %s; this node is %s", url,
		source_names[k->source], k->node);
	add_watches(k, config->vip_namespace);
	on_settle(k);
	*ret_kube = k;
	return 0;
}

void kube_free(struct kube *k)
{
	if (!k)
		return;
	for (int i = 0; i < KUBE_KINDS; i++) {
		if (k->is_used[i])
			kube_watch_stop(&k->watches[i]);
	}
	loop_timer_cancel(k->loop, &k->settle);
	kube_api_free(k->api);
	kube_arp_close(k->arp);
	free(k);
}
