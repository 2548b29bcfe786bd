// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who holds a service's addresses, by what each announcer leaves in the API.
#include <stdio.h>
#include <string.h>

#include "kube/internal.h"

static bool believes(enum config_vip_source source, enum config_vip_source one)
{
	return source == one || source == CONFIG_VIP_AUTO;
}

static const char *lease_holder(const struct kube_objects *leases, const char *name)
{
	for (size_t i = 0; i < leases->count; i++) {
		if (!strcmp(leases->list[i].name, name))
			return leases->list[i].holder;
	}
	return "";
}

/*
 * The Lease's name has the service's, joined by hyphens that may be in either: it is made, not taken apart.
 */
static const char *by_cilium(const struct kube_objects *leases, const struct kube_object *service)
{
	char name[2 * KUBE_NAME_LEN + 32];

	snprintf(name, sizeof(name), "cilium-l2announce-%s-%s", service->namespace, service->name);
	return lease_holder(leases, name);
}

static const char *by_metallb(const struct kube_objects *statuses, const struct kube_object *service)
{
	for (size_t i = 0; i < statuses->count; i++) {
		const struct kube_object *s = &statuses->list[i];

		if (!strcmp(s->service, service->name) && !strcmp(s->service_namespace, service->namespace))
			return s->holder;
	}
	return "";
}

/*
 * A service's own Lease, else what kube-vip wrote at the service. The Lease for all services says nothing of
 * a service that another announcer may have, so it counts only where kube-vip was named.
 */
static const char *by_kube_vip(enum config_vip_source source, const struct kube_objects *leases,
	const struct kube_object *service)
{
	char name[KUBE_NAME_LEN + 16];
	const char *holder;

	snprintf(name, sizeof(name), "kubevip-%s", service->name);
	holder = lease_holder(leases, name);
	if (!holder[0])
		holder = service->holder;
	if (!holder[0] && source == CONFIG_VIP_KUBE_VIP)
		holder = lease_holder(leases, "plndr-svcs-lock");
	return holder;
}

static const char *holder_of(enum config_vip_source source, const struct kube_objects *objects,
	const struct kube_object *service)
{
	const char *holder = "";

	if (believes(source, CONFIG_VIP_CILIUM))
		holder = by_cilium(&objects[KUBE_LEASES], service);
	if (!holder[0] && believes(source, CONFIG_VIP_METALLB))
		holder = by_metallb(&objects[KUBE_L2_STATUSES], service);
	if (!holder[0] && believes(source, CONFIG_VIP_KUBE_VIP))
		holder = by_kube_vip(source, &objects[KUBE_LEASES], service);
	return holder;
}

/* Services may share an address: one that is here makes it ours. */
static size_t add(struct kube_vip *list, size_t count, size_t room, const struct kube_vip *vip)
{
	for (size_t i = 0; i < count; i++) {
		if (!talon_addr_equal(&list[i].address, &vip->address))
			continue;
		if (vip->is_here && !list[i].is_here)
			list[i] = *vip;
		return count;
	}
	if (count < room)
		list[count++] = *vip;
	return count;
}

size_t kube_list_vips(enum config_vip_source source, const char *node,
	const struct kube_objects objects[static KUBE_KINDS], struct kube_vip *list, size_t room)
{
	const struct kube_objects *services = &objects[KUBE_SERVICES];
	size_t count = 0;

	for (size_t i = 0; i < services->count; i++) {
		const struct kube_object *service = &services->list[i];
		const char *holder = holder_of(source, objects, service);
		struct kube_vip vip = { .is_here = !strcmp(holder, node) };

		if (!holder[0])
			continue;
		snprintf(vip.holder, sizeof(vip.holder), "%s", holder);
		snprintf(vip.service, sizeof(vip.service), "%.31s/%.31s", service->namespace, service->name);
		for (size_t j = 0; j < service->address_count; j++) {
			vip.address = service->addresses[j];
			count = add(list, count, room, &vip);
		}
	}
	return count;
}

static bool is_four(const struct talon_addr *addr)
{
	return !addr->word[1] && !addr->word[2] && !addr->word[3];
}

size_t kube_list_addresses(const struct kube_objects *services, __be32 *list, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < services->count; i++) {
		const struct kube_object *service = &services->list[i];

		for (size_t j = 0; j < service->address_count; j++) {
			const struct talon_addr *addr = &service->addresses[j];
			size_t k = 0;

			while (k < count && list[k] != addr->word[0])
				k++;
			if (k == count && count < room && is_four(addr))
				list[count++] = addr->word[0];
		}
	}
	return count;
}

static bool find_holder(const struct kube_arp *arp, const char *node, const struct talon_addr *addr,
	struct kube_vip *vip)
{
	enum kube_arp_state state = KUBE_ARP_UNKNOWN;
	uint8_t mac[6] = {};

	if (is_four(addr))
		state = kube_arp_holder(arp, addr->word[0], mac);
	vip->address = *addr;
	vip->is_here = state == KUBE_ARP_HERE;
	if (vip->is_here)
		snprintf(vip->holder, sizeof(vip->holder), "%s", node);
	else
		snprintf(vip->holder, sizeof(vip->holder), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			mac[2], mac[3], mac[4], mac[5]);
	return state != KUBE_ARP_UNKNOWN;
}

size_t kube_list_vips_by_arp(const struct kube_arp *arp, const char *node,
	const struct kube_objects *services, struct kube_vip *list, size_t room)
{
	size_t count = 0;

	for (size_t i = 0; i < services->count; i++) {
		const struct kube_object *service = &services->list[i];
		struct kube_vip vip = {};

		snprintf(vip.service, sizeof(vip.service), "%.31s/%.31s", service->namespace, service->name);
		for (size_t j = 0; j < service->address_count; j++) {
			if (find_holder(arp, node, &service->addresses[j], &vip))
				count = add(list, count, room, &vip);
		}
	}
	return count;
}
