// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ports of the NAT, the clock, and where state is kept.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "base/clock.h"
#include "nat/nat.h"
#include "preflight/internal.h"

#define YEAR_2025 1735689600U

void judge_nat_ports(const struct config *config, const char *root, struct preflight_report *report)
{
	unsigned first = 0, last = 0;
	char path[PATH_MAX], why[PREFLIGHT_TEXT];
	struct preflight_finding *f;
	FILE *file;

	if (config->snat_addr) {
		find(report, PREFLIGHT_NAT_PORTS, PREFLIGHT_OK, "%u-%u of a spare address",
			config->port_first, config->port_last);
		return;
	}
	snprintf(path, sizeof(path), "%s/proc/sys/net/ipv4/ip_local_port_range", root);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%u %u", &first, &last) != 2)
		first = last = 0;
	if (file)
		fclose(file);
	if (!nat_ports_hazards(config->port_first, config->port_last, first, last, why, sizeof(why))) {
		find(report, PREFLIGHT_NAT_PORTS, PREFLIGHT_OK,
			"%u-%u of the node's address: nobody else's range", config->port_first,
			config->port_last);
		return;
	}
	f = find(report, PREFLIGHT_NAT_PORTS, PREFLIGHT_WARNING, "%s", why);
	find_act(f, "write a range of SNATPorts that is nobody's, such as %u-%u, or move the other one",
		CONFIG_NODE_PORT_FIRST, CONFIG_NODE_PORT_LAST);
}

void judge_clock(__u64 unix_s, bool is_synchronized, struct preflight_report *report)
{
	struct preflight_finding *f;
	time_t now = unix_s;
	struct tm tm = {};
	char text[32];

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (unix_s < YEAR_2025) {
		f = find(report, PREFLIGHT_CLOCK, PREFLIGHT_WARNING, "%s cannot be", text);
		find_why(f, "peers refuse handshakes that are older than the last one, and certificates are "
			"not valid yet");
		find_act(f, "set the clock, and run an NTP client");
	} else if (!is_synchronized) {
		f = find(report, PREFLIGHT_CLOCK, PREFLIGHT_NOTE,
			"%s; the kernel does not know it to be synchronized", text);
		find_why(f, "should it be set back, peers refuse handshakes until it has caught up");
		find_act(f, "run an NTP client");
	} else {
		find(report, PREFLIGHT_CLOCK, PREFLIGHT_OK, "%s, synchronized", text);
	}
}

void check_clock(struct preflight_report *report)
{
	struct timex timex = {};	/* modes 0: only asks */
	int state = adjtimex(&timex);

	judge_clock(clock_unix_ns() / 1000000000ULL, state != TIME_ERROR && !(timex.status & STA_UNSYNC),
		report);
}

/* @path or the nearest directory above it that exists. Returns 0 or a negative errno. */
static int is_writable(const char *path)
{
	char at[PATH_MAX], *slash;
	struct stat st;

	snprintf(at, sizeof(at), "%s", path);
	while (stat(at, &st)) {
		slash = strrchr(at, '/');
		if (errno != ENOENT || !slash)
			return -errno;
		if (slash == at)
			strcpy(at, "/");
		else
			*slash = '\0';
	}
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return access(at, W_OK | X_OK) ? -errno : 0;
}

void judge_state(const char *path, const char *flag, int ret, struct preflight_report *report)
{
	if (ret)
		find_act(find(report, PREFLIGHT_STATE, PREFLIGHT_PROBLEM, "%s cannot be written: %s", path,
			strerror(-ret)), "make it writable, or write another place: --%s", flag);
	else
		find(report, PREFLIGHT_STATE, PREFLIGHT_OK, "%s can be written", path);
}

void check_state(const struct config *config, struct preflight_report *report)
{
	const struct config_mesh *mesh = &config->mesh;
	char dir[PATH_MAX], *slash;

	if (!mesh->enabled) {
		find(report, PREFLIGHT_STATE, PREFLIGHT_OK, "a static file needs none");
		return;
	}
	snprintf(dir, sizeof(dir), "%s", mesh->control_socket);
	slash = strrchr(dir, '/');
	if (slash && slash != dir)
		*slash = '\0';
	judge_state(mesh->state_dir, "state-dir", is_writable(mesh->state_dir), report);
	judge_state(dir, "daemon-addr", is_writable(dir), report);
}
