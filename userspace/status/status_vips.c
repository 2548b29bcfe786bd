// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Virtual addresses of the cluster: read, and shown.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "status/read_internal.h"
#include "status/show.h"
#include "status/vips.h"

static int by_address(const void *left, const void *right)
{
	return memcmp(left, right, sizeof(struct talon_addr));
}

/* The walk ends after as many entries as fit, whatever changes meanwhile. */
int vips_read(struct reading *r)
{
	struct status *status = r->status;
	struct talon_addr key, next, *last = NULL;
	__u32 entries, seen = 0;
	int fd, ret = read_one(r, "vip_source", &status->vip_source, sizeof(status->vip_source));

	if (ret)
		return ret;
	fd = read_open(r, "vips", sizeof(struct talon_vip), &entries);
	if (fd < 0)
		return fd;
	status->vips = calloc(entries, sizeof(*status->vips));
	while (status->vips && seen++ < entries && !bpf_map_get_next_key(fd, last, &next)) {
		struct status_vip *vip = &status->vips[status->vip_count];

		key = vip->addr = next;
		last = &key;
		status->vip_count += !bpf_map_lookup_elem(fd, &key, &vip->vip);
	}
	close(fd);
	if (!status->vips)
		return -ENOMEM;
	qsort(status->vips, status->vip_count, sizeof(*status->vips), by_address);
	return 0;
}

static const char *address(const struct status_vip *vip, char text[static INET6_ADDRSTRLEN])
{
	bool is_six = vip->addr.word[1] || vip->addr.word[2] || vip->addr.word[3];

	inet_ntop(is_six ? AF_INET6 : AF_INET, &vip->addr, text, INET6_ADDRSTRLEN);
	return text;
}

void vips_print(FILE *out, const struct status *status)
{
	const struct talon_vip_source *source = &status->vip_source;
	char text[INET6_ADDRSTRLEN], age[SHOW_AGE_LEN];

	if (!source->name[0])
		return;
	show_duration(status->now_unix_s > source->since_unix_s ? status->now_unix_s - source->since_unix_s
		: 0, age, sizeof(age));
	fprintf(out, "Virtual addresses: by ");
	text_print(out, source->name, sizeof(source->name));
	fprintf(out, ", %s since %s", source->synced ? "known" : "NOT KNOWN, the last answer holds", age);
	if (source->error[0]) {
		fprintf(out, " (");
		text_print(out, source->error, sizeof(source->error));
		fprintf(out, ")");
	}
	fprintf(out, "\n");
	for (size_t i = 0; i < status->vip_count; i++) {
		const struct talon_vip *vip = &status->vips[i].vip;

		fprintf(out, "  %s: ", address(&status->vips[i], text));
		fprintf(out, vip->where == TALON_VIP_HERE ? "held here" : "held by ");
		if (vip->where != TALON_VIP_HERE)
			text_print(out, vip->holder, sizeof(vip->holder));
		fprintf(out, " (");
		text_print(out, vip->service, sizeof(vip->service));
		fprintf(out, ")\n");
	}
}

void vips_put(struct json_out *json, const struct status *status)
{
	const struct talon_vip_source *source = &status->vip_source;
	char text[INET6_ADDRSTRLEN];

	json_out_begin(json, "virtualAddresses", '{');
	json_out_string(json, "source", source->name[0] ? source->name : "off", sizeof(source->name));
	json_out_bool(json, "synced", source->synced);
	json_out_number(json, "sinceUnixSeconds", source->since_unix_s);
	json_out_string(json, "error", source->error, sizeof(source->error));
	json_out_begin(json, "addresses", '[');
	for (size_t i = 0; i < status->vip_count; i++) {
		const struct talon_vip *vip = &status->vips[i].vip;

		json_out_begin(json, NULL, '{');
		json_out_text(json, "address", address(&status->vips[i], text));
		json_out_bool(json, "here", vip->where == TALON_VIP_HERE);
		json_out_string(json, "holder", vip->holder, sizeof(vip->holder));
		json_out_string(json, "service", vip->service, sizeof(vip->service));
		json_out_number(json, "sinceUnixSeconds", vip->since_unix_s);
		json_out_end(json, '}');
	}
	json_out_end(json, ']');
	json_out_end(json, '}');
}
