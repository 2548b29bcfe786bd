// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What peers tell each other: protobuf's Body to plain data, and back.
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "netbird/signal_body.h"
#include "netbird/wire.h"
#include "signalexchange.pb-c.h"

enum field {
	TYPE = 1, PAYLOAD = 2, WG_PORT = 3, VERSION = 4, ROSENPASS = 7, RELAY = 8, SESSION_ID = 10,
	RELAY_IP = 11,
	ROSENPASS_KEY = 1,	/* a field of ROSENPASS */
};

/* The enum is the protocol's. */
_Static_assert(SIGNAL_OFFER == (int)SIGNALEXCHANGE__BODY__TYPE__OFFER &&
	SIGNAL_ANSWER == (int)SIGNALEXCHANGE__BODY__TYPE__ANSWER &&
	SIGNAL_CANDIDATE == (int)SIGNALEXCHANGE__BODY__TYPE__CANDIDATE &&
	SIGNAL_MODE == (int)SIGNALEXCHANGE__BODY__TYPE__MODE &&
	SIGNAL_GO_IDLE == (int)SIGNALEXCHANGE__BODY__TYPE__GO_IDLE &&
	SIGNAL_HEARTBEAT == (int)SIGNALEXCHANGE__BODY__TYPE__HEARTBEAT, "enum signal_type");

static bool is_description(enum signal_type type)
{
	return type == SIGNAL_OFFER || type == SIGNAL_ANSWER;
}

int signal_body_encode(const struct signal_body *body, uint8_t *buf, size_t size)
{
	Signalexchange__RosenpassConfig rosenpass = SIGNALEXCHANGE__ROSENPASS_CONFIG__INIT;
	Signalexchange__Body out = SIGNALEXCHANGE__BODY__INIT;
	char payload[2 * SIGNAL_CREDENTIAL_MAX + 2];
	int ret = -ENOSPC;

	out.type = (Signalexchange__Body__Type)body->type;
	if (is_description(body->type)) {
		snprintf(payload, sizeof(payload), "%s:%s", body->ufrag, body->pwd);
		out.payload = payload;
		out.wg_listen_port = body->wg_port;
		out.netbird_version = (char *)body->version;
		out.rosenpass_config = &rosenpass;
		out.relay_server_address = (char *)body->relay;
		out.relay_server_ip = (ProtobufCBinaryData){ .data = (uint8_t *)&body->relay_at.remote,
			.len = endpoint_addr_len(body->relay_at.family) };
		if (body->has_session_id)
			out.session_id = (ProtobufCBinaryData){ .data = (uint8_t *)body->session_id,
				.len = SIGNAL_SESSION_ID_LEN };
	} else if (body->type == SIGNAL_CANDIDATE) {
		out.payload = (char *)body->candidate;
	}
	if (signalexchange__body__get_packed_size(&out) <= size)
		ret = signalexchange__body__pack(&out, buf);
	sodium_memzero(payload, sizeof(payload));
	return ret;
}

/* Such texts go into logs, STUN messages and look-ups: visible ASCII, and blanks if @with_blanks. */
static bool is_text(const struct wire_field *field, size_t size, bool with_blanks)
{
	if (field->len >= size)
		return false;
	for (size_t i = 0; i < field->len; i++) {
		if (field->bytes[i] < (with_blanks ? ' ' : '!') || field->bytes[i] > '~')
			return false;
	}
	return true;
}

static int take_text(const struct wire_field *field, char *text, size_t size, bool with_blanks)
{
	if (!is_text(field, size, with_blanks))
		return -EBADMSG;
	memcpy(text, field->bytes, field->len);
	text[field->len] = 0;
	return 0;
}

/* The version is only logged, so an odd one is cleaned up, not refused. */
static void take_version(const struct wire_field *field, char *text, size_t size)
{
	size_t len = field->len < size ? field->len : size - 1;

	for (size_t i = 0; i < len; i++)
		text[i] = field->bytes[i] >= ' ' && field->bytes[i] <= '~' ? field->bytes[i] : '?';
	text[len] = 0;
}

static bool has_rosenpass_key(const struct wire_field *config)
{
	struct wire wire = wire_inside(config);
	struct wire_field field;
	bool has = false;

	while (wire_next(&wire, &field) > 0) {
		if (wire_is_bytes(&field, ROSENPASS_KEY))
			has = field.len;
	}
	return has;
}

/*
 * Exactly "ufrag:pwd". A peer without ICE leaves both empty; with only one of them ICE cannot work either.
 */
static int take_credentials(const struct wire_field *payload, struct signal_body *body)
{
	const uint8_t *colon = payload->len ? memchr(payload->bytes, ':', payload->len) : NULL;
	struct wire_field ufrag = *payload, pwd = *payload;

	if (!colon)
		return -EBADMSG;
	ufrag.len = colon - payload->bytes;
	pwd.bytes = colon + 1;
	pwd.len = payload->len - ufrag.len - 1;
	if (memchr(pwd.bytes, ':', pwd.len))
		return -EBADMSG;
	if (!ufrag.len || !pwd.len)
		return 0;
	if (take_text(&ufrag, body->ufrag, sizeof(body->ufrag), false))
		return -EBADMSG;
	return take_text(&pwd, body->pwd, sizeof(body->pwd), false);
}

/* Any other length counts as absent. */
static void take_relay_ip(const struct wire_field *field, struct endpoint *at)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	*at = (struct endpoint){ 0 };
	if (field->len == sizeof(struct in_addr)) {
		at->family = AF_INET;
		memcpy(&at->remote, field->bytes, field->len);
	} else if (field->len == sizeof(in6.sin6_addr)) {	/* IPv4 may come mapped into IPv6 */
		memcpy(&in6.sin6_addr, field->bytes, field->len);
		endpoint_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), at);
	}
}

static int take_payload(const struct wire_field *payload, struct signal_body *body)
{
	if (is_description(body->type))
		return take_credentials(payload, body);
	if (body->type == SIGNAL_CANDIDATE)
		return payload->len ? take_text(payload, body->candidate, sizeof(body->candidate), true)
			: -EBADMSG;
	return 0;
}

static int take_field(const struct wire_field *field, struct signal_body *body, struct wire_field *payload)
{
	if (wire_is_varint(field, TYPE)) {
		body->type = field->value <= INT32_MAX ? (enum signal_type)field->value
			: (enum signal_type)INT32_MAX;
	} else if (wire_is_bytes(field, PAYLOAD)) {
		*payload = *field;
	} else if (wire_is_varint(field, WG_PORT)) {
		body->wg_port = field->value <= UINT16_MAX ? field->value : 0;
	} else if (wire_is_bytes(field, VERSION)) {
		take_version(field, body->version, sizeof(body->version));
	} else if (wire_is_bytes(field, ROSENPASS)) {
		body->has_rosenpass_key = has_rosenpass_key(field);
	} else if (wire_is_bytes(field, RELAY)) {
		return take_text(field, body->relay, sizeof(body->relay), false);
	} else if (wire_is_bytes(field, RELAY_IP)) {
		take_relay_ip(field, &body->relay_at);
	} else if (wire_is_bytes(field, SESSION_ID)) {
		body->has_session_id = field->len == SIGNAL_SESSION_ID_LEN;
		if (body->has_session_id)
			memcpy(body->session_id, field->bytes, field->len);
	}
	return 0;
}

int signal_body_parse(const uint8_t *bytes, size_t len, struct signal_body *ret_body)
{
	struct signal_body body = { .type = SIGNAL_OFFER };
	struct wire wire = wire_start(bytes, len);
	struct wire_field field, payload = { 0 };
	int ret;

	while ((ret = wire_next(&wire, &field)) > 0) {
		ret = take_field(&field, &body, &payload);
		if (ret)
			break;
	}
	if (!ret)
		ret = take_payload(&payload, &body);
	if (!ret)
		*ret_body = body;
	sodium_memzero(&body, sizeof(body));
	return ret;
}
