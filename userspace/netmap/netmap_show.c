// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A SyncResponse as JSON, for people: every field that proto/management.proto names, without what is secret.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "base/json_out.h"
#include "netmap/netmap.h"
#include "management.pb-c.h"

#define HIDDEN	"(hidden)"

static void show_message(struct json_out *json, const char *key, const ProtobufCMessage *message);

static bool is_secret(const char *name)
{
	static const char *const names[] = { "token_payload", "token_signature", "user", "password" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name))
			return true;
	}
	return false;
}

/* token_payload -> tokenPayload */
static void make_key(const char *name, char *key, size_t size)
{
	size_t len = 0;

	for (; *name && len + 1 < size; name++) {
		if (*name == '_' && name[1])
			key[len++] = *++name & ~0x20;
		else
			key[len++] = *name;
	}
	key[len] = '\0';
}

static void show_bytes(struct json_out *json, const char *key, const ProtobufCBinaryData *data)
{
	size_t size = sodium_base64_encoded_len(data->len, sodium_base64_VARIANT_ORIGINAL);
	char *text = malloc(size);

	if (text)
		sodium_bin2base64(text, size, data->data, data->len, sodium_base64_VARIANT_ORIGINAL);
	json_out_text(json, key, text);
	free(text);
}

static void show_integer(struct json_out *json, const char *key, int64_t value)
{
	json_out_key(json, key);
	fprintf(json->out, "%lld", (long long)value);
}

static void show_enum(struct json_out *json, const char *key, const ProtobufCFieldDescriptor *field,
	int value)
{
	const ProtobufCEnumValue *known = protobuf_c_enum_descriptor_get_value(field->descriptor, value);

	if (known)
		json_out_text(json, key, known->name);
	else
		show_integer(json, key, value);
}

/* One value of @field at @value; @key NULL: in a list. */
static void show_value(struct json_out *json, const char *key, const ProtobufCFieldDescriptor *field,
	const void *value)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		json_out_text(json, key, *(char *const *)value);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		show_bytes(json, key, value);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		show_message(json, key, *(ProtobufCMessage *const *)value);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		json_out_bool(json, key, *(const protobuf_c_boolean *)value);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		show_enum(json, key, field, *(const int *)value);
		break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		json_out_number(json, key, *(const uint64_t *)value);
		break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
		show_integer(json, key, *(const int64_t *)value);
		break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32:
		json_out_number(json, key, *(const uint32_t *)value);
		break;
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32:
		show_integer(json, key, *(const int32_t *)value);
		break;
	default:		/* floating point: no field of ours */
		json_out_null(json, key);
	}
}

static size_t size_of(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return 8;
	case PROTOBUF_C_TYPE_BOOL:
		return sizeof(protobuf_c_boolean);
	default:
		return 4;
	}
}

static void show_list(struct json_out *json, const char *key, const ProtobufCFieldDescriptor *field,
	const void *message)
{
	const char *base = message, *items = *(char *const *)(base + field->offset);
	size_t count = *(const size_t *)(base + field->quantifier_offset);

	json_out_begin(json, key, '[');
	for (size_t i = 0; i < count; i++)
		show_value(json, NULL, field, items + i * size_of(field->type));
	json_out_end(json, ']');
}

static bool is_set(const ProtobufCFieldDescriptor *field, const void *message)
{
	const char *base = message;

	if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
		return *(const uint32_t *)(base + field->quantifier_offset) == field->id;
	return field->type != PROTOBUF_C_TYPE_MESSAGE || *(void *const *)(base + field->offset);
}

static void show_field(struct json_out *json, const ProtobufCFieldDescriptor *field, const void *message)
{
	char key[64];

	make_key(field->name, key, sizeof(key));
	if (is_secret(field->name))
		json_out_text(json, key, HIDDEN);
	else if (field->label == PROTOBUF_C_LABEL_REPEATED)
		show_list(json, key, field, message);
	else if (is_set(field, message))
		show_value(json, key, field, (const char *)message + field->offset);
}

static void show_message(struct json_out *json, const char *key, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *type = message->descriptor;

	json_out_begin(json, key, '{');
	for (unsigned int i = 0; i < type->n_fields; i++)
		show_field(json, &type->fields[i], message);
	json_out_end(json, '}');
}

int netmap_show(const uint8_t *bytes, size_t len, FILE *out)
{
	Management__SyncResponse *message = management__sync_response__unpack(NULL, len, bytes);
	struct json_out json = { .out = out, .first = true };

	if (!message)
		return -EBADMSG;
	show_message(&json, NULL, &message->base);
	management__sync_response__free_unpacked(message, NULL);
	return 0;
}
