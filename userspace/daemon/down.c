// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon down: asks a running process to end, then removes everything.
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/daemon.h"
#include "daemon/internal.h"
#include "datapath/datapath.h"
#include "log/log.h"
#include "net/threads.h"
#include "snapshot/control.h"

#define ERR_LEN		512
#define DOWN_WAIT_MS	5000

static void stop_threads(const struct talon_info *info)
{
	char names[sizeof(info->uplinks)], *at = names, *name;

	memcpy(names, info->uplinks, sizeof(names));
	names[sizeof(names) - 1] = 0;
	for (unsigned int i = 0; (name = strsep(&at, ", ")); ) {
		if (!*name)
			continue;
		if (i < 32 && info->threaded & 1U << i)
			net_threads_set(name, if_nametoindex(name), false);
		i++;
	}
}

static int read_info(const char *pin_dir, struct talon_info *ret_info)
{
	int map = datapath_map_open(pin_dir, DATAPATH_MAP_INFO), ret;
	const uint32_t key = 0;

	if (map < 0)
		return map;
	ret = bpf_map_lookup_elem(map, &key, ret_info);
	close(map);
	return ret;
}

void down_undo(const char *pin_dir)
{
	struct talon_info info = {};
	char err[ERR_LEN] = "";

	(void)read_info(pin_dir, &info);
	if (datapath_down(pin_dir, err, sizeof(err)))
		log_err("%s", err);
	stop_threads(&info);
}

/* Asks process @pid to end if it is a talon process; 0 means none. */
static bool ask_to_end(uint32_t pid)
{
	char path[64], name[32] = "";
	bool asked = false;
	FILE *f;

	if (!pid)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	asked = fgets(name, sizeof(name), f) && !strncmp(name, "talon", 5) && !kill(pid, SIGTERM);
	fclose(f);
	return asked;
}

/* What a killed controller left. It has ended: the datapath's lock was free. */
static void remove_socket(const char *pin_dir)
{
	char path[CONTROL_PATH_LEN];

	control_path_of_pins(pin_dir, path);
	unlink(path);
	rmdir(CONTROL_DIR);		/* if nobody else has one there */
}

int daemon_down(const char *pin_dir, bool is_ending, char *err, size_t errlen)
{
	struct talon_info info = {};
	bool asked = is_ending;
	uint32_t pid;
	int ret;

	(void)read_info(pin_dir, &info);
	/* A process that is still starting holds the lock but is not in the maps yet. */
	pid = datapath_holder(pin_dir);
	asked |= ask_to_end(pid ? pid : info.pid);
	ret = datapath_down(pin_dir, err, errlen);

	for (int waited = 0; ret == -EBUSY && asked && waited < DOWN_WAIT_MS; waited += 50) {
		usleep(50000);
		ret = datapath_down(pin_dir, err, errlen);
	}
	if (!ret) {
		stop_threads(&info);
		remove_socket(pin_dir);
	}
	return ret;
}
