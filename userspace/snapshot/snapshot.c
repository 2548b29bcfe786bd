// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A snapshot is written as JSON, parsed from JSON and freed, all three by one table of fields.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "snapshot/snapshot.h"
#include "base/json_out.h"

#define ITEMS_MAX	(1U << 20)	/* in one array; far more than fits into the maps */

enum kind { TEXT, BOOL, NUMBER, TEXTS, OBJECTS };

struct field {
	const char *name;
	enum kind kind;
	size_t at;			/* of the value, or of the pointer to an array */
	size_t count_at;		/* of arrays */
	const struct field *fields;	/* of objects */
	size_t size;			/* of one object */
};

#define FIELD(type, kind, member) { #member, kind, offsetof(struct type, member), 0, NULL, 0 }
#define ARRAY(type, member, count) \
	{ #member, TEXTS, offsetof(struct type, member), offsetof(struct type, count), NULL, 0 }
#define NESTED(member, count, item, table) \
	{ #member, OBJECTS, offsetof(struct snapshot, member), offsetof(struct snapshot, count), table, \
		sizeof(struct item) }

static const struct field peer_fields[] = {
	FIELD(snapshot_peer, TEXT, fqdn),
	FIELD(snapshot_peer, TEXT, ip),
	FIELD(snapshot_peer, TEXT, address6),
	FIELD(snapshot_peer, TEXT, public_key),
	FIELD(snapshot_peer, TEXT, status),
	FIELD(snapshot_peer, NUMBER, status_ns),
	FIELD(snapshot_peer, BOOL, relayed),
	FIELD(snapshot_peer, TEXT, ice_local_type),
	FIELD(snapshot_peer, TEXT, ice_remote_type),
	FIELD(snapshot_peer, TEXT, ice_local_endpoint),
	FIELD(snapshot_peer, TEXT, ice_remote_endpoint),
	FIELD(snapshot_peer, TEXT, relay),
	FIELD(snapshot_peer, NUMBER, handshake_ns),
	FIELD(snapshot_peer, NUMBER, rx_bytes),
	FIELD(snapshot_peer, NUMBER, tx_bytes),
	FIELD(snapshot_peer, NUMBER, latency_ns),
	ARRAY(snapshot_peer, networks, network_count),
	{},
};

static const struct field relay_fields[] = {
	FIELD(snapshot_relay, TEXT, uri),
	FIELD(snapshot_relay, BOOL, available),
	FIELD(snapshot_relay, TEXT, error),
	FIELD(snapshot_relay, TEXT, transport),
	{},
};

static const struct field nameserver_fields[] = {
	ARRAY(snapshot_nameserver, servers, server_count),
	ARRAY(snapshot_nameserver, domains, domain_count),
	FIELD(snapshot_nameserver, BOOL, enabled),
	FIELD(snapshot_nameserver, TEXT, error),
	{},
};

static const struct field event_fields[] = {
	FIELD(snapshot_event, TEXT, id),
	FIELD(snapshot_event, TEXT, severity),
	FIELD(snapshot_event, TEXT, category),
	FIELD(snapshot_event, TEXT, message),
	FIELD(snapshot_event, TEXT, user_message),
	FIELD(snapshot_event, NUMBER, at_ns),
	ARRAY(snapshot_event, metadata, metadata_count),
	{},
};

static const struct field route_fields[] = {
	FIELD(snapshot_network, TEXT, id),
	FIELD(snapshot_network, TEXT, prefix),
	ARRAY(snapshot_network, domains, domain_count),
	FIELD(snapshot_network, BOOL, selected),
	ARRAY(snapshot_network, resolved, resolved_count),
	{},
};

static const struct field counter_fields[] = {
	FIELD(snapshot_counter, TEXT, group),
	FIELD(snapshot_counter, TEXT, label),
	FIELD(snapshot_counter, NUMBER, value),
	{},
};

static const struct field snapshot_fields[] = {
	FIELD(snapshot, TEXT, version),
	FIELD(snapshot, TEXT, profile),
	FIELD(snapshot, TEXT, daemon_status),
	FIELD(snapshot, BOOL, management_connected),
	FIELD(snapshot, BOOL, signal_connected),
	FIELD(snapshot, TEXT, management_url),
	FIELD(snapshot, TEXT, management_error),
	FIELD(snapshot, TEXT, signal_url),
	FIELD(snapshot, TEXT, signal_error),
	FIELD(snapshot, NUMBER, management_since_ns),
	FIELD(snapshot, NUMBER, signal_since_ns),
	FIELD(snapshot, NUMBER, session_expires_ns),
	FIELD(snapshot, TEXT, ip),
	FIELD(snapshot, TEXT, address6),
	FIELD(snapshot, TEXT, public_key),
	FIELD(snapshot, TEXT, fqdn),
	FIELD(snapshot, BOOL, lazy),
	FIELD(snapshot, BOOL, userspace),
	FIELD(snapshot, NUMBER, listen_port),
	ARRAY(snapshot, networks, network_count),
	NESTED(peers, peer_count, snapshot_peer, peer_fields),
	NESTED(relays, relay_count, snapshot_relay, relay_fields),
	NESTED(nameservers, nameserver_count, snapshot_nameserver, nameserver_fields),
	NESTED(events, event_count, snapshot_event, event_fields),
	NESTED(routes, route_count, snapshot_network, route_fields),
	FIELD(snapshot, BOOL, networks_disabled),
	NESTED(counters, counter_count, snapshot_counter, counter_fields),
	FIELD(snapshot, NUMBER, serial),
	FIELD(snapshot, BOOL, map_held_back),
	FIELD(snapshot, TEXT, map_note),
	FIELD(snapshot, BOOL, datapath_ready),
	FIELD(snapshot, TEXT, datapath_why),
	{},
};

/* The value of @f in the object at @base. */
#define AT(type, base, offset)	((type *)((char *)(base) + (offset)))

static void write_object(struct json_out *json, const char *key, const struct field *fields,
	const void *base);

static void write_objects(struct json_out *json, const struct field *f, const void *base)
{
	const char *items = *AT(char *, base, f->at);
	size_t count = *AT(size_t, base, f->count_at);

	json_out_begin(json, f->name, '[');
	for (size_t i = 0; i < count; i++)
		write_object(json, NULL, f->fields, items + i * f->size);
	json_out_end(json, ']');
}

/* Capped at what the reader, jansson, can hold. */
static void write_number(struct json_out *json, const char *name, uint64_t number)
{
	if (number)
		json_out_number(json, name, number > INT64_MAX ? INT64_MAX : number);
}

static void write_field(struct json_out *json, const struct field *f, const void *base)
{
	switch (f->kind) {
	case TEXT:
		if (*AT(char *, base, f->at) && **AT(char *, base, f->at))
			json_out_text(json, f->name, *AT(char *, base, f->at));
		break;
	case BOOL:
		if (*AT(bool, base, f->at))
			json_out_bool(json, f->name, true);
		break;
	case NUMBER:
		write_number(json, f->name, *AT(uint64_t, base, f->at));
		break;
	case TEXTS:
		if (*AT(size_t, base, f->count_at))
			json_out_texts(json, f->name, *AT(char **, base, f->at),
				*AT(size_t, base, f->count_at), false);
		break;
	case OBJECTS:
		if (*AT(size_t, base, f->count_at))
			write_objects(json, f, base);
		break;
	}
}

static void write_object(struct json_out *json, const char *key, const struct field *fields, const void *base)
{
	json_out_begin(json, key, '{');
	for (const struct field *f = fields; f->name; f++)
		write_field(json, f, base);
	json_out_end(json, '}');
}

void snapshot_write(FILE *out, const struct snapshot *snapshot)
{
	struct json_out json = { .out = out, .first = true };

	write_object(&json, NULL, snapshot_fields, snapshot);
}

static void free_object(const struct field *fields, void *base);

static void free_array(const struct field *f, void *base)
{
	size_t count = *AT(size_t, base, f->count_at);

	for (size_t i = 0; i < count; i++) {
		if (f->kind == TEXTS)
			free((*AT(char **, base, f->at))[i]);
		else
			free_object(f->fields, *AT(char *, base, f->at) + i * f->size);
	}
	free(*AT(void *, base, f->at));
}

static void free_object(const struct field *fields, void *base)
{
	for (const struct field *f = fields; f->name; f++) {
		if (f->kind == TEXT)
			free(*AT(char *, base, f->at));
		else if (f->kind == TEXTS || f->kind == OBJECTS)
			free_array(f, base);
	}
}

void snapshot_done(struct snapshot *snapshot)
{
	free_object(snapshot_fields, snapshot);
	*snapshot = (struct snapshot){};
}

static int parse_object(const struct field *fields, const json_t *object, void *base);

static int parse_text(const json_t *value, char **ret_text)
{
	if (value && !json_is_string(value))
		return -EBADMSG;
	*ret_text = strdup(value ? json_string_value(value) : "");
	return *ret_text ? 0 : -ENOMEM;
}

static int parse_number(const json_t *value, uint64_t *ret_number)
{
	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -EBADMSG;
	*ret_number = json_integer_value(value);
	return 0;
}

/* Items parsed before an error are counted, so that they are freed. */
static int parse_array(const struct field *f, const json_t *array, void *base)
{
	size_t count = json_array_size(array), size = f->kind == TEXTS ? sizeof(char *) : f->size;
	size_t *made = AT(size_t, base, f->count_at);
	char *items;
	int ret = 0;

	if (array && (!json_is_array(array) || count > ITEMS_MAX))
		return -EBADMSG;
	if (!count)
		return 0;
	items = calloc(count, size);
	if (!items)
		return -ENOMEM;
	*AT(void *, base, f->at) = items;
	for (size_t i = 0; i < count && !ret; i++) {
		*made = i + 1;
		if (f->kind == TEXTS)
			ret = parse_text(json_array_get(array, i), (char **)items + i);
		else
			ret = parse_object(f->fields, json_array_get(array, i), items + i * size);
	}
	return ret;
}

static int parse_field(const struct field *f, const json_t *value, void *base)
{
	switch (f->kind) {
	case TEXT:
		return parse_text(value, AT(char *, base, f->at));
	case BOOL:
		if (value && !json_is_boolean(value))
			return -EBADMSG;
		*AT(bool, base, f->at) = json_is_true(value);
		return 0;
	case NUMBER:
		return parse_number(value, AT(uint64_t, base, f->at));
	case TEXTS:
	case OBJECTS:
		return parse_array(f, value, base);
	}
	return 0;
}

static int parse_object(const struct field *fields, const json_t *object, void *base)
{
	int ret = json_is_object(object) ? 0 : -EBADMSG;

	for (const struct field *f = fields; f->name && !ret; f++)
		ret = parse_field(f, json_object_get(object, f->name), base);
	return ret;
}

int snapshot_parse(const struct json_t *object, struct snapshot *ret_snapshot)
{
	struct snapshot snapshot = {};
	int ret = parse_object(snapshot_fields, object, &snapshot);

	if (ret)
		snapshot_done(&snapshot);
	else
		*ret_snapshot = snapshot;
	return ret;
}
