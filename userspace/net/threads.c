// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Threaded NAPI by sysfs, where it is.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "net/threads.h"

static FILE *open_attribute(const char *device, const char *attribute, const char *mode)
{
	char path[sizeof("/sys/class/net//") + IFNAMSIZ + 16];

	if (strlen(device) >= IFNAMSIZ || strchr(device, '/')) {
		errno = ENOENT;
		return NULL;
	}
	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", device, attribute);
	return fopen(path, mode);
}

static int read_number(const char *device, const char *attribute, int *ret_value)
{
	FILE *f = open_attribute(device, attribute, "re");
	int ret;

	if (!f)
		return -errno;
	ret = fscanf(f, "%d", ret_value) == 1 ? 0 : -ENOENT;
	fclose(f);
	return ret;
}

static int check_device(const char *device, int ifindex)
{
	int found, ret = read_number(device, "ifindex", &found);

	return ret ? ret : found == ifindex ? 0 : -ENOENT;
}

int net_threads_get(const char *device, int ifindex, bool *ret_on)
{
	int on, ret = check_device(device, ifindex);

	if (!ret)
		ret = read_number(device, "threaded", &on);
	if (!ret)
		*ret_on = on != 0;
	return ret;
}

int net_threads_set(const char *device, int ifindex, bool on)
{
	int ret = check_device(device, ifindex);
	FILE *f;

	if (ret)
		return ret;
	f = open_attribute(device, "threaded", "we");
	if (!f)
		return -errno;
	ret = fputs(on ? "1" : "0", f) < 0 || fflush(f) ? -errno : 0;
	fclose(f);
	return ret;
}

int net_threads_check(const char *device, int ifindex)
{
	int ret = check_device(device, ifindex);
	FILE *f;

	if (ret)
		return ret;
	f = open_attribute(device, "threaded", "r+e");	/* writes nothing */
	if (!f)
		return -errno;
	fclose(f);
	return 0;
}

void net_threads_explain(const char *device, int error, char *line, size_t size)
{
	snprintf(line, size, "%s has no thread of its own: /sys/class/net/%s/threaded %s; mount the host's "
		"/sys/devices/virtual/net, writable, or write UplinkThreads = off", device, device,
		error == -ENOENT ? "is not this device's" : error == -EROFS ? "is on a read-only file system"
		: strerror(-error));
}
