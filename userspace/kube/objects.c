// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Services, Leases and MetalLB's statuses, as far as they say who holds an address.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "kube/internal.h"

#define GONE 410	/* the resourceVersion is too old */

/* A member's text: visible ASCII that fits. Returns false, and "", for anything else. */
static bool take(json_t *in, const char *key, char *buf, size_t size)
{
	const char *text = json_string_value(json_object_get(in, key));
	size_t len = text ? strlen(text) : 0;

	buf[0] = '\0';
	if (!len || len >= size)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	memcpy(buf, text, len + 1);
	return true;
}

/* It becomes part of a URL: base64url, digits, and what version strings have. */
static bool take_plain(json_t *in, const char *key, char *buf, size_t size)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=";

	if (take(in, key, buf, size) && strspn(buf, plain) == strlen(buf))
		return true;
	buf[0] = '\0';
	return false;
}

static void add_address(struct kube_object *object, const char *text)
{
	struct talon_addr addr = {};
	struct in6_addr six;
	struct in_addr four;

	if (!text || object->address_count == KUBE_ADDRESSES_MAX)
		return;
	if (inet_pton(AF_INET, text, &four) == 1)
		addr.word[0] = four.s_addr;
	else if (inet_pton(AF_INET6, text, &six) == 1)
		memcpy(&addr, &six, sizeof(addr));
	else
		return;
	object->addresses[object->address_count++] = addr;
}

static void read_service(json_t *json, struct kube_object *object)
{
	json_t *metadata = json_object_get(json, "metadata"), *ingress, *one;
	size_t i;

	take(json_object_get(metadata, "annotations"), "kube-vip.io/vipHost", object->holder,
		sizeof(object->holder));
	ingress = json_object_get(json_object_get(json_object_get(json, "status"), "loadBalancer"),
		"ingress");
	json_array_foreach(ingress, i, one)
		add_address(object, json_string_value(json_object_get(one, "ip")));
}

static void read_status(json_t *json, struct kube_object *object)
{
	json_t *status = json_object_get(json, "status");

	take(status, "node", object->holder, sizeof(object->holder));
	take(status, "serviceNamespace", object->service_namespace, sizeof(object->service_namespace));
	take(status, "serviceName", object->service, sizeof(object->service));
}

static bool read_object(enum kube_kind kind, json_t *json, struct kube_object *ret_object)
{
	json_t *metadata = json_object_get(json, "metadata");
	struct kube_object object = { .is_seen = true };

	if (!take(metadata, "name", object.name, sizeof(object.name)) ||
		!take(metadata, "namespace", object.namespace, sizeof(object.namespace)))
		return false;
	if (kind == KUBE_SERVICES)
		read_service(json, &object);
	else if (kind == KUBE_LEASES)
		take(json_object_get(json, "spec"), "holderIdentity", object.holder, sizeof(object.holder));
	else
		read_status(json, &object);
	*ret_object = object;
	return true;
}

/* --- the list of them --- */

static struct kube_object *find(const struct kube_objects *objects, const struct kube_object *like)
{
	for (size_t i = 0; i < objects->count; i++) {
		struct kube_object *o = &objects->list[i];

		if (!strcmp(o->name, like->name) && !strcmp(o->namespace, like->namespace))
			return o;
	}
	return NULL;
}

/* A service without an address, or somebody else's Lease, is not kept. */
static bool matters(enum kube_kind kind, const struct kube_object *object)
{
	if (kind == KUBE_SERVICES)
		return object->address_count;
	if (kind == KUBE_LEASES)
		return !strncmp(object->name, "cilium-l2announce-", 18) ||
			!strncmp(object->name, "kubevip-", 8) || !strcmp(object->name, "plndr-svcs-lock");
	return object->service[0];
}

static void forget(struct kube_objects *objects, struct kube_object *object)
{
	*object = objects->list[--objects->count];
}

static int put(enum kube_kind kind, struct kube_objects *objects, struct kube_object *object)
{
	struct kube_object *old = find(objects, object), *larger;
	size_t room;

	if (!matters(kind, object)) {
		if (old)
			forget(objects, old);
		return 0;
	}
	if (old) {
		/* released, and not taken yet: what was known last holds */
		if (!object->holder[0] && kind == KUBE_LEASES)
			memcpy(object->holder, old->holder, sizeof(object->holder));
		*old = *object;
		return 0;
	}
	if (objects->count == KUBE_OBJECTS_MAX)
		return 0;
	if (objects->count == objects->room) {
		room = objects->room ? objects->room * 2 : 16;
		larger = reallocarray(objects->list, room, sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		objects->list = larger;
		objects->room = room;
	}
	objects->list[objects->count++] = *object;
	return 0;
}

void kube_objects_begin(struct kube_objects *objects)
{
	for (size_t i = 0; i < objects->count; i++)
		objects->list[i].is_seen = false;
}

void kube_objects_sweep(struct kube_objects *objects)
{
	for (size_t i = objects->count; i-- > 0;) {
		if (!objects->list[i].is_seen)
			forget(objects, &objects->list[i]);
	}
}

void kube_objects_done(struct kube_objects *objects)
{
	free(objects->list);
	*objects = (struct kube_objects){};
}

/* --- what the server sends --- */

int kube_read_page(enum kube_kind kind, const char *text, size_t len, struct kube_objects *objects,
	struct kube_page *ret_page)
{
	json_t *json = json_loadb(text, len, 0, NULL), *items = json_object_get(json, "items"), *one;
	struct kube_object object;
	int ret = 0;
	size_t i;

	/* an empty list of a custom resource may be null */
	if (!json_is_array(items) && !json_is_null(items))
		ret = -EBADMSG;
	if (!ret && !take_plain(json_object_get(json, "metadata"), "resourceVersion", ret_page->version,
		sizeof(ret_page->version)))
		ret = -EBADMSG;
	take_plain(json_object_get(json, "metadata"), "continue", ret_page->more, sizeof(ret_page->more));
	json_array_foreach(items, i, one) {
		if (!ret && read_object(kind, one, &object))
			ret = put(kind, objects, &object);
	}
	json_decref(json);
	return ret;
}

static int take_event(enum kube_kind kind, const char *type, json_t *json, struct kube_objects *objects)
{
	struct kube_object object, *old;

	if (!strcmp(type, "BOOKMARK") || !read_object(kind, json, &object))
		return 0;
	if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED"))
		return put(kind, objects, &object);
	old = find(objects, &object);
	if (old && !strcmp(type, "DELETED"))
		forget(objects, old);
	return 0;
}

int kube_read_event(enum kube_kind kind, const char *text, size_t len, struct kube_objects *objects,
	char version[static KUBE_VERSION_LEN])
{
	json_t *json = json_loadb(text, len, 0, NULL), *object = json_object_get(json, "object");
	const char *type = json_string_value(json_object_get(json, "type"));
	char fresh[KUBE_VERSION_LEN];
	int ret = -EBADMSG;

	if (type && !strcmp(type, "ERROR"))
		ret = json_integer_value(json_object_get(object, "code")) == GONE ? -ESTALE : -EBADMSG;
	else if (type && json_is_object(object))
		ret = take_event(kind, type, object, objects);
	if (!ret && take_plain(json_object_get(object, "metadata"), "resourceVersion", fresh, sizeof(fresh)))
		memcpy(version, fresh, sizeof(fresh));
	json_decref(json);
	return ret;
}
