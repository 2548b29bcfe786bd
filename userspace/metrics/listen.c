// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The listening socket: TCP on one address, or a Unix socket.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/host_port.h"
#include "metrics/listen.h"

#define BACKLOG 4096	/* a crowd of strangers must not keep others from the queue; somaxconn may say less */
/*
 * So long the kernel keeps connections to itself that say nothing. Who asks is heard with its first bytes,
 * before a crowd of strangers can push it out.
 */
#define SILENT_S 3

void metrics_place_name(const struct config_metrics *place, char ret_name[static METRICS_PLACE_LEN])
{
	char address[INET6_ADDRSTRLEN], text[HOST_PORT_LEN];

	if (!place->family) {
		snprintf(ret_name, METRICS_PLACE_LEN, "off");
		return;
	}
	if (place->family == AF_UNIX) {
		snprintf(ret_name, METRICS_PLACE_LEN, "unix:%s", place->path);
		return;
	}
	inet_ntop(place->family, &place->addr, address, sizeof(address));
	host_port_format(address, ntohs(place->port), text);
	snprintf(ret_name, METRICS_PLACE_LEN, "%.*s", METRICS_PLACE_LEN - 1, text);
}

/* Returns @ret, with a line that says what is wrong with @place. */
static int refuse(const struct config_metrics *place, int ret, const char *what, char *why, size_t size)
{
	char name[METRICS_PLACE_LEN];

	metrics_place_name(place, name);
	snprintf(why, size, "%s: %s; write a free ADDRESS:PORT, unix:/PATH, or off", name, what);
	return ret;
}

static int explain(const struct config_metrics *place, int ret, char *why, size_t size)
{
	char text[200];

	if (ret == -EADDRINUSE)
		return refuse(place, ret, "another program has it", why, size);
	if (ret == -EADDRNOTAVAIL)
		return refuse(place, ret, "this host does not have that address", why, size);
	snprintf(text, sizeof(text), "cannot listen: %s", strerror(-ret));
	return refuse(place, ret, text, why, size);
}

static void to_unix(const struct config_metrics *place, struct sockaddr_un *ret_addr)
{
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_addr->sun_path, place->path, sizeof(ret_addr->sun_path));
}

static socklen_t to_address(const struct config_metrics *place, struct sockaddr_storage *ret_addr)
{
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret_addr;
	struct sockaddr_in *four = (struct sockaddr_in *)ret_addr;

	*ret_addr = (struct sockaddr_storage){ .ss_family = place->family };
	if (place->family == AF_INET) {
		four->sin_port = place->port;
		four->sin_addr.s_addr = place->addr.word[0];
		return sizeof(*four);
	}
	six->sin6_port = place->port;
	memcpy(&six->sin6_addr, &place->addr, sizeof(six->sin6_addr));
	return sizeof(*six);
}

static int listen_inet(const struct config_metrics *place, int *ret_fd)
{
	int fd = socket(place->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1, ret = 0;
	const int seconds = SILENT_S;
	struct sockaddr_storage addr;
	socklen_t len = to_address(place, &addr);

	if (fd < 0)
		return -errno;
	/* connections of an earlier run that wait out their time do not matter */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		(place->family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) ||
		bind(fd, (struct sockaddr *)&addr, len) || listen(fd, BACKLOG)) {
		ret = -errno;
		close(fd);
		return ret;
	}
	*ret_fd = fd;
	return 0;
}

/* Whether @place is free, or has a socket that nobody answers on: 0, or 1 for the latter; else why not. */
static int look_at_name(const struct config_metrics *place, char *why, size_t size)
{
	struct sockaddr_un addr;
	struct stat st;
	int fd, ret;

	if (lstat(place->path, &st))
		return errno == ENOENT ? 0 : explain(place, -errno, why, size);
	if (!S_ISSOCK(st.st_mode))
		return refuse(place, -EEXIST, "there is a file that is not a socket", why, size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return explain(place, -errno, why, size);
	to_unix(place, &addr);
	ret = connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ? -errno : 0;
	close(fd);
	if (ret == -ECONNREFUSED)
		return 1;
	return !ret || ret == -EAGAIN ? explain(place, -EADDRINUSE, why, size)	/* -EAGAIN: many ask there */
		: explain(place, ret, why, size);
}

/* The name is made with the descriptor's mode, less the umask: nobody else can connect even for a moment. */
static int bind_unix(const struct config_metrics *place, struct metrics_listener *listener)
{
	struct sockaddr_un addr;
	struct stat st;
	int ret;

	to_unix(place, &addr);
	listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->fd < 0)
		return -errno;
	if (fchmod(listener->fd, 0660) || bind(listener->fd, (struct sockaddr *)&addr, sizeof(addr))) {
		ret = -errno;
	} else if (chmod(place->path, 0660) || listen(listener->fd, BACKLOG) || lstat(place->path, &st)) {
		ret = -errno;
		unlink(place->path);
	} else {
		memcpy(listener->path, place->path, sizeof(listener->path));
		listener->dev = st.st_dev;
		listener->ino = st.st_ino;
		return 0;
	}
	close(listener->fd);
	listener->fd = -1;
	return ret;
}

static int listen_unix(const struct config_metrics *place, struct metrics_listener *listener, char *why,
	size_t size)
{
	int ret = look_at_name(place, why, size);

	if (ret < 0)
		return ret;
	if (ret && unlink(place->path))
		return explain(place, -errno, why, size);
	ret = bind_unix(place, listener);
	return ret ? explain(place, ret, why, size) : 0;
}

int metrics_listen(const struct config_metrics *place, struct metrics_listener *ret_listener, char *why,
	size_t size)
{
	struct metrics_listener listener = { .fd = -1 };
	int ret;

	if (place->family == AF_UNIX)
		ret = listen_unix(place, &listener, why, size);
	else
		ret = listen_inet(place, &listener.fd);
	if (!ret)
		*ret_listener = listener;
	else if (place->family != AF_UNIX)
		explain(place, ret, why, size);
	return ret;
}

void metrics_listener_close(struct metrics_listener *listener)
{
	struct stat st;

	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->path[0] && !lstat(listener->path, &st) && st.st_dev == listener->dev &&
		st.st_ino == listener->ino)
		unlink(listener->path);
	*listener = (struct metrics_listener){ .fd = -1 };
}

/* The directory in which the name would be made. */
static int look_at_directory(const struct config_metrics *place, char *why, size_t size)
{
	size_t len = strrchr(place->path, '/') - place->path;
	char path[sizeof(place->path)];

	snprintf(path, sizeof(path), "%.*s", (int)(len ? len : 1), place->path);
	return access(path, W_OK) ? explain(place, -errno, why, size) : 0;
}

int metrics_listen_check(const struct config_metrics *place, char *why, size_t size)
{
	struct metrics_listener listener;
	int ret;

	if (!place->family)
		return 0;
	if (place->family == AF_UNIX) {
		ret = look_at_name(place, why, size);
		return ret < 0 ? ret : look_at_directory(place, why, size);
	}
	ret = metrics_listen(place, &listener, why, size);
	if (!ret)
		metrics_listener_close(&listener);
	return ret;
}
