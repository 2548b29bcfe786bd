// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon trace: what would become of a packet, asked of the datapath's own programs.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "look/look.h"
#include "base/host_port.h"
#include "config/value.h"
#include "log/log.h"
#include "trace/trace.h"

struct options {
	struct config config;		/* only its pin_dir and log_level */
	struct trace_request request;
	bool has_from, has_to, has_proto, as_json;
};

static bool read_addr(const char *text, struct trace_addr *ret_addr)
{
	ret_addr->family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(ret_addr->family, text, &ret_addr->addr) == 1;
}

/* ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT. */
static int take_end(struct cli *cli, const char *flag, const char *text, struct trace_addr *ret_addr,
	uint16_t *ret_port)
{
	char addr[INET6_ADDRSTRLEN];
	struct host_port end;

	*ret_addr = (struct trace_addr){};
	*ret_port = 0;
	if (read_addr(text, ret_addr))
		return CLI_OK;
	if (host_port_parse(slice_from(text), 0, 0, &end) || !slice_copy(end.host, addr, sizeof(addr)) ||
		!read_addr(addr, ret_addr))
		return cli_fail(cli, CLI_USAGE, "--%s: '%.60s' is not an end of a connection; expected "
			"ADDRESS, ADDRESS:PORT or, in IPv6, [ADDRESS]:PORT", flag, text);
	*ret_port = end.port;
	return CLI_OK;
}

static int take_proto(struct cli *cli, struct options *o, const char *text)
{
	static const struct { const char *name; uint8_t proto; } protos[] = {
		{ "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "icmp", IPPROTO_ICMP },
	};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++) {
		if (strcasecmp(text, protos[i].name))
			continue;
		o->request.proto = protos[i].proto;
		o->has_proto = true;
		return CLI_OK;
	}
	return cli_fail(cli, CLI_USAGE,
		"--proto: '%.40s' is not a protocol; expected tcp, udp or icmp", text);
}

static int take_size(struct cli *cli, struct options *o, const char *text)
{
	__u16 size;

	if (value_u16(slice_from(text), 28, TRACE_SIZE_MAX, &size))
		return cli_fail(cli, CLI_USAGE,
			"--size: '%.40s' is not a size; expected 28-%u bytes of IP packet", text,
			TRACE_SIZE_MAX);
	o->request.size = size;
	return CLI_OK;
}

/* Returns enum cli_exit; -ENOENT: not one of ours. */
static int take_own(struct cli *cli, struct options *o, const char *name, const char *value)
{
	static const char *const flags[] = { "from", "to", "proto", "size", "peer" };
	size_t i = 0;

	while (i < 5 && strcmp(flags[i], name))
		i++;
	if (i == 5)
		return -ENOENT;
	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	switch (i) {
	case 0:
		o->has_from = true;
		return take_end(cli, name, value, &o->request.from, &o->request.from_port);
	case 1:
		o->has_to = true;
		return take_end(cli, name, value, &o->request.to, &o->request.to_port);
	case 2:
		return take_proto(cli, o, value);
	case 3:
		return take_size(cli, o, value);
	default:
		o->request.peer = value;
		return CLI_OK;
	}
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (name && !value && !strcmp(name, "json")) {
		o->as_json = true;
		return CLI_OK;
	}
	ret = name ? take_own(cli, o, name, value) : -ENOENT;
	if (ret != -ENOENT)
		return ret;
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "trace", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

/* Without --proto: tcp to a port, else icmp. */
static int settle(struct cli *cli, struct options *o)
{
	unsigned least;
	bool is_six;

	if (!o->has_from || !o->has_to)
		return cli_fail(cli, CLI_USAGE, "trace: expected --from and --to; see talon trace --help");
	if (!o->has_proto)
		o->request.proto = o->request.to_port ? IPPROTO_TCP : IPPROTO_ICMP;
	if (o->request.from.family != o->request.to.family)
		return cli_fail(cli, CLI_USAGE,
			"--to: one end is an IPv4 address, the other is IPv6; expected both of one family");
	is_six = o->request.to.family == AF_INET6;
	least = (is_six ? 48 : 28) + (o->request.proto == IPPROTO_TCP ? 12 : 0);
	if (o->request.size && o->request.size < least)
		return cli_fail(cli, CLI_USAGE,
			"--size: '%u' is not a size; expected %u-%u bytes of IP packet%s%s",
			o->request.size, least, TRACE_SIZE_MAX, is_six ? " in IPv6" : "",
			o->request.proto == IPPROTO_TCP ? " with tcp" : "");
	if (is_six && o->request.proto == IPPROTO_ICMP)
		o->request.proto = IPPROTO_ICMPV6;
	return CLI_OK;
}

static int run(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN];
	struct trace trace;
	int ret;

	log_set_level(o->config.log_level);
	log_bridge_libbpf();
	o->request.base = o->config.pin_dir;
	ret = trace_run(&o->request, &trace, why, sizeof(why));
	if (ret)
		return cli_fail(cli, ret == -EINVAL ? CLI_USAGE : CLI_FAILED, "%s", why);
	if (o->as_json)
		trace_print_json(cli->out, &trace);
	else
		trace_print_text(cli->out, &trace);
	return trace_passes(&trace) ? CLI_OK : CLI_FAILED;
}

int cli_trace(struct cli *cli)
{
	const char *name, *value;
	struct options o = {};
	int code = CLI_OK;

	config_init(&o.config);
	config_use_mesh(&o.config);
	while (!code && cli_next(cli, &name, &value))
		code = take_flag(cli, &o, name, value);
	if (!code && cli_common_env(cli, &o.config))
		code = CLI_USAGE;
	if (!code)
		code = settle(cli, &o);
	if (!code)
		code = run(cli, &o);
	config_free(&o.config);
	return code;
}
