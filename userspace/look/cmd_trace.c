// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon trace: what would become of a packet, asked of the datapath's own programs.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "look/look.h"
#include "config/value.h"
#include "log/log.h"
#include "trace/trace.h"

struct options {
	struct config config;		/* only its pin_dir and log_level */
	struct trace_request request;
	bool has_from, has_to, has_proto, as_json;
};

/* ADDRESS or ADDRESS:PORT. */
static int take_end(struct cli *cli, const char *flag, const char *text, __be32 *ret_addr, uint16_t *ret_port)
{
	struct slice rest = slice_from(text), host = slice_cut(&rest, ":");
	bool has_port = host.len < strlen(text);
	char addr[INET_ADDRSTRLEN];
	__u16 port = 0;

	if (!slice_copy(host, addr, sizeof(addr)) || inet_pton(AF_INET, addr, ret_addr) != 1 ||
		(has_port && value_u16(rest, 1, UINT16_MAX, &port)))
		return cli_fail(cli, CLI_USAGE,
		"--%s: '%.60s' is not an end of a connection; expected an IPv4 ADDRESS or ADDRESS:PORT",
		flag, text);
	*ret_port = port;
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
	if (!o->has_from || !o->has_to)
		return cli_fail(cli, CLI_USAGE, "trace: expected --from and --to; see talon trace --help");
	if (!o->has_proto)
		o->request.proto = o->request.to_port ? IPPROTO_TCP : IPPROTO_ICMP;
	if (o->request.proto == IPPROTO_TCP && o->request.size && o->request.size < 40)
		return cli_fail(cli, CLI_USAGE,
			"--size: '%u' is not a size; expected 40-%u bytes of IP packet with tcp",
			o->request.size, TRACE_SIZE_MAX);
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
