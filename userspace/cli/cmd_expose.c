// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon expose: has the daemon publish a local port through NetBird's reverse proxy while this command runs.
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sodium.h>

#include "cli/cli.h"
#include "config/value.h"
#include "expose/expose.h"
#include "snapshot/control.h"
#include "watch/stop.h"

struct options {
	struct config config;		/* only its control socket and log level */
	struct control_expose expose;
	char protocol[8];		/* in lower case */
	char *groups[CONTROL_GROUPS_MAX];
	bool has_external_port;
};

static int take_port(struct cli *cli, const char *name, const char *value, uint16_t *ret_port)
{
	if (!value_u16(slice_from(value), 1, 65535, ret_port))
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "%s: '%.20s' is not a port; expected 1-65535", name, value);
}

static int take_groups(struct cli *cli, struct options *o, const char *list)
{
	struct slice rest = slice_from(list), item;

	while (slice_next(&rest, ",", &item)) {
		if (o->expose.group_count == CONTROL_GROUPS_MAX)
			return cli_fail(cli, CLI_USAGE, "--with-user-groups: more than %u; write fewer",
				CONTROL_GROUPS_MAX);
		o->groups[o->expose.group_count] = strndup(item.at, item.len);
		if (!o->groups[o->expose.group_count++])
			return cli_fail(cli, CLI_FAILED, "out of memory");
	}
	return o->expose.group_count ? CLI_OK : cli_fail(cli, CLI_USAGE, "--with-user-groups: expected names "
		"of groups, with commas between them");
}

static int take_protocol(struct cli *cli, struct options *o, const char *value)
{
	size_t len = strlen(value);

	for (size_t i = 0; i <= len && len < sizeof(o->protocol); i++)
		o->protocol[i] = tolower((unsigned char)value[i]);
	if (len < sizeof(o->protocol))
		return CLI_OK;
	return cli_fail(cli, CLI_USAGE, "--protocol: '%.20s' is not a protocol; expected " EXPOSE_PROTOCOLS,
		value);
}

/* What others could read in the list of processes goes. */
static const char *take_secret(struct cli *cli, const char *value)
{
	char *copy = strdup(value);

	if (cli->is_main)
		sodium_memzero((char *)value, strlen(value));
	return copy;
}

static int take_flag(struct cli *cli, struct options *o, const char *name, const char *value)
{
	static const char *const names[] = { "with-pin", "with-password", "with-user-groups",
		"with-custom-domain", "with-name-prefix", "protocol", "with-external-port" };
	size_t i = 0;

	while (i < sizeof(names) / sizeof(names[0]) && strcmp(names[i], name))
		i++;
	if (i == sizeof(names) / sizeof(names[0]))
		return -ENOENT;
	value = cli_value(cli, name, value);
	if (!value)
		return CLI_USAGE;
	switch (i) {
	case 0:
		free((char *)o->expose.pin);
		o->expose.pin = take_secret(cli, value);
		return CLI_OK;
	case 1:
		free((char *)o->expose.password);
		o->expose.password = take_secret(cli, value);
		return CLI_OK;
	case 2:
		return take_groups(cli, o, value);
	case 3:
		o->expose.domain = value;
		return CLI_OK;
	case 4:
		o->expose.name_prefix = value;
		return CLI_OK;
	case 5:
		return take_protocol(cli, o, value);
	}
	o->has_external_port = true;
	return take_port(cli, "--with-external-port", value, &o->expose.external_port);
}

static int take_argument(struct cli *cli, struct options *o, const char *name, const char *value)
{
	int ret;

	if (!name && !o->expose.port)
		return take_port(cli, "expose", value, &o->expose.port);
	ret = name ? take_flag(cli, o, name, value) : -ENOENT;
	if (ret != -ENOENT)
		return ret;
	ret = cli_common_flag(cli, &o->config, name, value);
	if (ret == -ENOENT)
		return cli_unknown(cli, "expose", name, value);
	return ret ? CLI_USAGE : CLI_OK;
}

static int take_arguments(struct cli *cli, struct options *o)
{
	char why[CONFIG_WHY_LEN];
	const char *name, *value;
	int code = CLI_OK;

	while (!code && cli_next(cli, &name, &value))
		code = take_argument(cli, o, name, value);
	if (code)
		return code;
	if (!o->expose.port)
		return cli_fail(cli, CLI_USAGE, "expose: expected a port, 1-65535");
	if (expose_check(&o->expose, why, sizeof(why)))
		return cli_fail(cli, CLI_USAGE, "expose: %s", why);
	if (expose_is_plain(o->protocol) && !o->has_external_port)
		o->expose.external_port = o->expose.port;
	return cli_common_env(cli, &o->config) ? CLI_USAGE : CLI_OK;
}

/* The port after the last colon of @url, if there is one. */
static void print_external(struct cli *cli, const struct options *o, const char *url)
{
	const char *host = strstr(url, "://"), *colon = strrchr(host ? host + 3 : url, ':');
	uint16_t port;

	if (!colon || value_u16(slice_from(colon + 1), 1, 65535, &port))
		port = o->expose.external_port;
	fprintf(cli->out, "  External: %u\n", port);
}

static void print_exposed(struct cli *cli, const struct options *o, const struct control_exposed *exposed)
{
	bool has_domain = strcmp(o->protocol, "tcp") && strcmp(o->protocol, "udp");

	fprintf(cli->out, "Service exposed successfully!\n  Name:     %s\n", exposed->name);
	if (exposed->url[0])
		fprintf(cli->out, "  URL:      %s\n", exposed->url);
	if (exposed->domain[0] && has_domain)
		fprintf(cli->out, "  Domain:   %s\n", exposed->domain);
	fprintf(cli->out, "  Protocol: %s\n  Internal: %u\n", o->protocol, o->expose.port);
	if (expose_is_plain(o->protocol))
		print_external(cli, o, exposed->url);
	if (exposed->is_port_assigned && o->has_external_port)
		fprintf(cli->out, "\n  Note: requested port %u was reassigned\n", o->expose.external_port);
	fprintf(cli->out, "\nPress Ctrl+C to stop exposing.\n");
	fflush(cli->out);
}

/* The daemon asks management with a deadline of its own, and says how that went. */
static int stop(struct cli *cli, const char *socket, int fd)
{
	char why[CONFIG_WHY_LEN];
	int ret;

	shutdown(fd, SHUT_WR);
	ret = control_expose_wait(socket, fd, CONTROL_UNEXPOSE_MS, why, sizeof(why));
	fprintf(cli->out, "\nService stopped.\n");
	if (ret)
		cli_fail(cli, CLI_OK, "expose: management did not confirm the end, which comes by itself "
			"within two minutes: %s", why);
	return CLI_OK;
}

static int serve(struct cli *cli, const struct options *o, int fd)
{
	const char *socket = cli_socket(&o->config);
	char why[CONFIG_WHY_LEN];
	int ret = -EINTR;

	while (ret == -EINTR && !watch_is_stopped())
		ret = control_expose_wait(socket, fd, 0, why, sizeof(why));
	if (ret == -EINTR)
		return stop(cli, socket, fd);
	if (ret == -ECONNRESET)
		return cli_fail(cli, CLI_FAILED,
			"expose: the daemon is gone; the service ends within two minutes");
	return cli_fail(cli, CLI_FAILED, "expose: the service ended: %s", ret ? why : "the daemon ended it");
}

/* Signals only reach this command where it waits, so that none is lost between two waits. */
static void hold_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	watch_catch_signals();
}

static int run(struct cli *cli, struct options *o)
{
	struct control_exposed exposed = {};
	char why[CONFIG_WHY_LEN];
	int code = take_arguments(cli, o), fd, ret;

	if (code)
		return code;
	hold_signals();
	ret = control_expose(cli_socket(&o->config), &o->expose, &exposed, &fd, why, sizeof(why));
	if (ret == -EREMOTEIO)
		return cli_fail(cli, CLI_FAILED, "receive expose event: %s", why);
	if (ret == -EINTR)
		return cli_fail(cli, CLI_FAILED, "expose: interrupted before the service was published");
	if (ret)
		return cli_no_daemon(cli, why);
	print_exposed(cli, o, &exposed);
	code = serve(cli, o, fd);
	close(fd);
	return code;
}

static void wipe(char *secret)
{
	if (secret)
		sodium_memzero(secret, strlen(secret));
	free(secret);
}

int cli_expose(struct cli *cli)
{
	struct options o = { .protocol = "http" };
	int code;

	config_init(&o.config);
	config_use_mesh(&o.config);
	o.expose.protocol = o.protocol;
	o.expose.groups = o.groups;
	code = run(cli, &o);
	for (size_t i = 0; i < o.expose.group_count; i++)
		free(o.groups[i]);
	wipe((char *)o.expose.pin);
	wipe((char *)o.expose.password);
	config_free(&o.config);
	return code;
}
