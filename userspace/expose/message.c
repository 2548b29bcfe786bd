// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// CreateExpose, RenewExpose and StopExpose as they travel.
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "expose/message_internal.h"
#include "management.pb-c.h"

static int pack(const ProtobufCMessage *message, uint8_t **ret_bytes, size_t *ret_len)
{
	size_t len = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return -ENOMEM;
	*ret_len = protobuf_c_message_pack(message, bytes);
	*ret_bytes = bytes;
	return 0;
}

static Management__ExposeProtocol number_of(const char *protocol)
{
	static const char *const names[] = { "http", "https", "tcp", "udp", "tls" };
	size_t i = 0;

	while (i < sizeof(names) / sizeof(names[0]) - 1 && strcasecmp(names[i], protocol))
		i++;
	return i;
}

/* Proto3 knows no NULL. */
static char *text(const char *from)
{
	return (char *)(from ? from : "");
}

int expose_pack_create(const struct control_expose *expose, uint8_t **ret_bytes, size_t *ret_len)
{
	Management__ExposeServiceRequest request = MANAGEMENT__EXPOSE_SERVICE_REQUEST__INIT;

	request.port = expose->port;
	request.protocol = number_of(expose->protocol);
	request.pin = text(expose->pin);
	request.password = text(expose->password);
	request.user_groups = (char **)expose->groups;
	request.n_user_groups = expose->group_count;
	request.domain = text(expose->domain);
	request.name_prefix = text(expose->name_prefix);
	request.listen_port = expose->external_port;
	return pack(&request.base, ret_bytes, ret_len);
}

int expose_pack_domain(const char *domain, uint8_t **ret_bytes, size_t *ret_len)
{
	Management__RenewExposeRequest request = MANAGEMENT__RENEW_EXPOSE_REQUEST__INIT;

	request.domain = text(domain);
	return pack(&request.base, ret_bytes, ret_len);
}

/* Into @to, whole or not at all; only what may be shown on a terminal. */
static int take(const char *from, char *to, size_t size)
{
	size_t len = strlen(from);

	if (len >= size)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (!isgraph((unsigned char)from[i]))
			return -EBADMSG;
	}
	memcpy(to, from, len + 1);
	return 0;
}

int expose_parse_created(const uint8_t *bytes, size_t len, struct control_exposed *ret_exposed)
{
	Management__ExposeServiceResponse *response =
		management__expose_service_response__unpack(NULL, len, bytes);
	struct control_exposed exposed = {};
	int ret;

	if (!response)
		return -EBADMSG;
	ret = take(response->service_name, exposed.name, sizeof(exposed.name));
	if (!ret)
		ret = take(response->service_url, exposed.url, sizeof(exposed.url));
	if (!ret)
		ret = take(response->domain, exposed.domain, sizeof(exposed.domain));
	if (!ret && !exposed.domain[0])
		ret = -EBADMSG;		/* the name under which it is renewed */
	exposed.is_port_assigned = response->port_auto_assigned;
	if (!ret)
		*ret_exposed = exposed;
	management__expose_service_response__free_unpacked(response, NULL);
	return ret;
}
