// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// ioctl(SIOCETHTOOL): driver names and offload switches.
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/ethtool.h"

static int ask(const char *name, void *data)
{
	struct ifreq req = { .ifr_data = data };
	int fd, ret = 0;

	if (strlen(name) >= sizeof(req.ifr_name))
		return -ENAMETOOLONG;
	strcpy(req.ifr_name, name);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCETHTOOL, &req) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

int ethtool_driver(const char *name, char *ret_driver, size_t len)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	int ret = ask(name, &info);

	if (ret)
		return ret;
	snprintf(ret_driver, len, "%.*s", (int)sizeof(info.driver), info.driver);
	return 0;
}

int ethtool_get(const char *name, uint32_t cmd, uint32_t *ret_value)
{
	struct ethtool_value value = { .cmd = cmd };
	int ret = ask(name, &value);

	if (!ret)
		*ret_value = value.data;
	return ret;
}

int ethtool_set(const char *name, uint32_t cmd, uint32_t value)
{
	struct ethtool_value arg = { .cmd = cmd, .data = value };

	return ask(name, &arg);
}

static int count_features(const char *name)
{
	struct {
		struct ethtool_sset_info info;
		uint32_t len;
	} query = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	int ret = ask(name, &query);

	return ret ? ret : query.info.sset_mask ? (int)query.len : 0;
}

/* Position of @feature among the names that the kernel gives, which are not the same in every version. */
static int find_feature(const char *name, const char *feature, uint32_t count)
{
	struct ethtool_gstrings *strings = calloc(1, sizeof(*strings) + (size_t)count * ETH_GSTRING_LEN);
	int ret;

	if (!strings)
		return -ENOMEM;
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = count;
	ret = ask(name, strings);
	if (!ret) {
		ret = -ENOENT;
		for (uint32_t i = 0; i < count && ret < 0; i++)
			if (!strncmp((char *)strings->data + i * ETH_GSTRING_LEN, feature, ETH_GSTRING_LEN))
				ret = i;
	}
	free(strings);
	return ret;
}

int ethtool_feature(const char *name, const char *feature)
{
	struct ethtool_gfeatures *features;
	int count = count_features(name), at, ret;
	uint32_t blocks;

	if (count <= 0)
		return count ? count : -ENOENT;
	at = find_feature(name, feature, count);
	if (at < 0)
		return at;
	blocks = (count + 31) / 32;
	features = calloc(1, sizeof(*features) + blocks * sizeof(features->features[0]));
	if (!features)
		return -ENOMEM;
	features->cmd = ETHTOOL_GFEATURES;
	features->size = blocks;
	ret = ask(name, features);
	if (!ret)
		ret = features->features[at / 32].active >> at % 32 & 1;
	free(features);
	return ret;
}
