// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon down: asks a running process to end, then removes everything.
#include <bpf/bpf.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/daemon.h"
#include "daemon/internal.h"
#include "datapath/datapath.h"
#include "datapath/seat.h"
#include "log/log.h"
#include "net/threads.h"
#include "snapshot/control.h"

#define ERR_LEN		512
#define PAUSE_US	10000
#define HEAR_MS		4000	/* a controller looks for requests once a second */
#define SIGNAL_WAIT_MS	3000

/* What cannot be undone from here is said. */
static void stop_thread(const char *name)
{
	const int ifindex = if_nametoindex(name);
	int ret = ifindex ? net_threads_set(name, ifindex, false) : 0;	/* gone, and its thread with it */

	if (ret)
		log_warn("%s keeps its thread (%s); run echo 0 > /sys/class/net/%s/threaded on the host",
			name, strerror(-ret), name);
}

static void stop_threads(const struct talon_info *info)
{
	char names[sizeof(info->uplinks)], *at = names, *name;

	memcpy(names, info->uplinks, sizeof(names));
	names[sizeof(names) - 1] = 0;
	for (unsigned int i = 0; (name = strsep(&at, ", ")); ) {
		if (!*name)
			continue;
		if (i < 32 && info->threaded & 1U << i)
			stop_thread(name);
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

void down_undo(const char *pin_dir, int seat)
{
	struct talon_info info = {};
	char err[ERR_LEN] = "";

	(void)read_info(pin_dir, &info);
	if (datapath_remove(pin_dir, seat, err, sizeof(err)))
		log_err("%s", err);
	stop_threads(&info);
}

/* Takes the lock within @most_ms. Returns as seat_take(). */
static int wait_for_seat(int seat, unsigned int most_ms)
{
	const uint64_t until_ns = clock_boot_ns() + most_ms * 1000000ULL;
	int ret;

	while ((ret = seat_take(seat)) == -EBUSY && clock_boot_ns() < until_ns)
		usleep(PAUSE_US);
	return ret;
}

/*
 * Sends @signal to the process that holds the lock at this moment: the descriptor names that
 * and no later one.
 */
static bool signal_holder(int seat, uint32_t pid, int signal)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);
	bool sent = fd >= 0 && seat_holder(seat) == pid && !syscall(SYS_pidfd_send_signal, fd, signal,
		NULL, 0);

	if (fd >= 0)
		close(fd);
	return sent;
}

/*
 * The controller does not hear: it hangs, or is of a version before requests. One that can be seen from here
 * is told by signals. The first process of a container takes none from inside. Returns as seat_take(), with
 * the reason in @err for -EBUSY.
 */
static int force(int seat, const char *pin_dir, char *err, size_t errlen)
{
	uint32_t pid = seat_holder(seat);
	int ret = -EBUSY;

	if (pid > 1 && signal_holder(seat, pid, SIGTERM))
		ret = wait_for_seat(seat, SIGNAL_WAIT_MS);
	if (ret == -EBUSY && pid > 1 && signal_holder(seat, pid, SIGKILL)) {
		log_warn("the controller (pid %u) did not answer, and was killed", pid);
		ret = wait_for_seat(seat, SIGNAL_WAIT_MS);
	}
	if (ret != -EBUSY)
		return ret;
	if (pid == 1)
		snprintf(err, errlen, "%s: the controller, the first process of this container, does not "
			"answer: delete the pod, or run talon down on the node", pin_dir);
	else if (pid)
		snprintf(err, errlen, "%s: the controller (pid %u) does not answer and cannot be ended",
			pin_dir, pid);
	else
		snprintf(err, errlen,
			"%s: the controller does not answer, and runs in another pid namespace: delete its "
			"pod or end its process first", pin_dir);
	return ret;
}

/*
 * @is_ending: the controller was asked before. Returns 0 with the lock taken, or -ENOENT, or a
 * negative errno.
 */
static int end_controller(int seat, const char *pin_dir, bool is_ending, char *err, size_t errlen)
{
	uint64_t start_ns = clock_boot_ns();
	bool is_heard = is_ending;
	int ret;

	while ((ret = seat_take(seat)) == -EBUSY) {
		is_heard |= seat_is_heard(seat);
		if (!is_heard && seat_asked(seat) != SEAT_DOWN)
			seat_ask(seat, SEAT_DOWN);
		if (clock_boot_ns() - start_ns > (is_heard ? CONTROL_DOWN_MS : HEAR_MS) * 1000000ULL)
			break;
		usleep(PAUSE_US);
	}
	if (ret == -EBUSY)
		ret = force(seat, pin_dir, err, errlen);
	if (ret && ret != -ENOENT && ret != -EBUSY)
		snprintf(err, errlen, "%s: %s", pin_dir, strerror(-ret));
	return ret;
}

/* What a killed controller left. It has ended: the datapath's lock was free. */
static void remove_socket(const char *pin_dir)
{
	char path[CONTROL_PATH_LEN];

	control_path_of_pins(pin_dir, path);
	unlink(path);
	rmdir(CONTROL_DIR);		/* if nobody else has one there */
}

/* Returns the seat with its lock taken, -ENOENT if no directory is there, or a negative errno. */
static int take_seat(const char *pin_dir, bool is_ending, char *err, size_t errlen)
{
	int seat = seat_open(pin_dir, false, err, errlen), ret;

	if (seat < 0)
		return seat;
	ret = end_controller(seat, pin_dir, is_ending, err, errlen);
	if (!ret)
		return seat;
	close(seat);
	return ret;
}

int daemon_down(const char *pin_dir, bool is_ending, char *err, size_t errlen)
{
	/*
	 * It stays open, and locked, until this process has ended: for that the controller waits, which may
	 * be the first process of our container.
	 */
	int seat = take_seat(pin_dir, is_ending, err, errlen), ret;
	struct talon_info info = {};

	if (seat < 0 && seat != -ENOENT)
		return seat;
	(void)read_info(pin_dir, &info);
	ret = datapath_remove(pin_dir, seat < 0 ? -1 : seat, err, errlen);
	if (ret)
		return ret;
	stop_threads(&info);
	remove_socket(pin_dir);
	return 0;
}
