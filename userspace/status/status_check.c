// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the gathered facts mean: whether the controller is well, a peer is connected, a probe passes.
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "snapshot/snapshot.h"
#include "status/render.h"
#include "status/show.h"

enum status_controller status_controller(const struct status *status)
{
	__u64 age = status->now_ns - status->info.heartbeat_ns;

	/* The map has what an earlier controller wrote last. */
	if (status->is_held && status->info.blocks & TALON_BLOCK_STARTING)
		return STATUS_RUNNING;
	/* The pid in the map says nothing: it may be one of another pid namespace. */
	if (!status->is_held || !status->info.pid || status->info.blocks & TALON_BLOCK_STOPPED)
		return STATUS_STOPPED;
	/* The heartbeat may have been written after the clock was read. */
	return status->info.heartbeat_ns <= status->now_ns && age > STATUS_HEARTBEAT_HUNG_NS ? STATUS_HUNG
		: STATUS_RUNNING;
}

bool status_sees_controller(const struct status *status)
{
	return status->pid && status->pid == status->info.pid;
}

/* The helper dies with the controller, which takes the pid of one that died by itself out of the map. */
enum status_keystream status_keystream(const struct status *status)
{
	const struct talon_keystream_state *state = &status->keystream;

	if (status->keystream_room <= 1)
		return STATUS_KEYSTREAM_OFF;
	if (!state->pid || !status->is_held)
		return STATUS_KEYSTREAM_STOPPED;
	if (state->heartbeat_ns > status->now_ns ||
		status->now_ns - state->heartbeat_ns <= STATUS_HEARTBEAT_FRESH_NS)
		return STATUS_KEYSTREAM_RUNNING;
	return STATUS_KEYSTREAM_STALLED;
}

enum status_peer_state status_peer_state(const struct status *status, const struct status_peer *peer)
{
	if (!peer->info.handshake_ns)
		return STATUS_PEER_NEVER;
	if (peer->has_session && show_seconds_since(status, peer->info.handshake_ns) < WG_REJECT_AFTER_TIME_S)
		return STATUS_PEER_CONNECTED;
	return STATUS_PEER_IDLE;
}

size_t status_connected(const struct status *status)
{
	size_t count = 0;

	for (size_t i = 0; i < status->peer_count; i++)
		count += status_peer_state(status, &status->peers[i]) == STATUS_PEER_CONNECTED;
	return count;
}

const char *status_way_out(const struct status *status, const struct status_device *device)
{
	if (device->flags & TALON_LINK_REDIRECT)
		return "redirect";
	return strncmp(status->info.mode, "xdp", 3) ? "tc" : "relay";
}

bool status_is_attached(const struct status *status)
{
	for (size_t i = 0; i < status->hook_count; i++) {
		if (!status->hooks[i].attached)
			return false;
	}
	return status->hook_count > 0;
}

int status_check_parse(const char *name, enum status_check *ret_check)
{
	static const char *const names[] = {
		[STATUS_CHECK_LIVE] = "live",
		[STATUS_CHECK_READY] = "ready",
		[STATUS_CHECK_STARTUP] = "startup",
		[STATUS_CHECK_DATAPATH] = "datapath",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcasecmp(names[i], name)) {
			*ret_check = i;
			return 0;
		}
	}
	return -EINVAL;
}

static bool check_live(const struct status *status, char *why, size_t size)
{
	enum status_controller controller = status_controller(status);
	char age[SHOW_AGE_LEN];

	show_duration(show_seconds_since(status, status->info.heartbeat_ns), age, sizeof(age));
	if (controller == STATUS_STOPPED)
		snprintf(why, size, "live: no: the controller is not running");
	else
		snprintf(why, size, "live: %s: the controller's last heartbeat was %s ago",
			controller == STATUS_RUNNING ? "yes" : "no", age);
	return controller == STATUS_RUNNING;
}

static bool check_startup(const struct status *status, char *why, size_t size)
{
	bool runs = status_controller(status) != STATUS_STOPPED;
	bool is_done = runs && status->info.ready && !(status->info.blocks & TALON_BLOCK_STARTING);

	snprintf(why, size, "startup: %s", is_done ? "yes: the controller has finished starting" : runs
		? "no: the controller has not finished starting" : "no: the controller is not running");
	return is_done;
}

/* Writes to @text where a program should be attached and is not. */
static void list_detached(const struct status *status, char *text, size_t size)
{
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < status->hook_count && len < size; i++) {
		const struct status_hook *hook = &status->hooks[i];

		if (hook->attached)
			continue;
		len += snprintf(text + len, size - len, "%s%.*s on ", len ? ", " : "",
			(int)sizeof(hook->kind), hook->kind);
		if (len < size && hook->device[0])
			len += snprintf(text + len, size - len, "%s", hook->device);
		else if (len < size)
			len += snprintf(text + len, size - len, "device %d, which is gone", hook->ifindex);
	}
}

static bool check_datapath(const struct status *status, char *why, size_t size)
{
	char list[200];

	if (status_is_attached(status)) {
		snprintf(why, size, "datapath: yes: all %zu programs are attached", status->hook_count);
		return true;
	}
	if (!status->hook_count) {
		snprintf(why, size, "datapath: no: nothing is attached");
		return false;
	}
	list_detached(status, list, sizeof(list));
	snprintf(why, size, "datapath: no: not attached: %s", list);
	return false;
}

/* Writes to @text the hazard that begins with @begin; if none does, @otherwise. */
static void find_hazard(const struct status *status, const char *begin, const char *otherwise, char *text,
	size_t size)
{
	const char *line = status->info.hazards, *end = line + sizeof(status->info.hazards);

	snprintf(text, size, "%s", otherwise);
	while (line < end && *line) {
		const char *stop = memchr(line, '\n', end - line);
		size_t len = (stop ? stop : end) - line;

		if (len >= strlen(begin) && !memcmp(line, begin, strlen(begin))) {
			snprintf(text, size, "%.*s", (int)len, line);
			return;
		}
		line += len + 1;
	}
}

/* The datapath is attached and the controller runs, but packets do not flow, or soon will not. */
static bool is_blocked(const struct status *status, char *why, size_t size)
{
	__u32 blocks = status->info.blocks;

	if (blocks & TALON_BLOCK_STARTING)
		snprintf(why, size, "a controller is starting");
	else if (blocks & TALON_BLOCK_STOPPED)
		snprintf(why, size, "the controller was stopped");
	else if (blocks & TALON_BLOCK_UPLINK)
		find_hazard(status, "uplinks: ", "an uplink is missing", why, size);
	else if (blocks & TALON_BLOCK_FORWARDING)
		find_hazard(status, "net.ipv4.",
			"the kernel does not forward; run sysctl -w net.ipv4.ip_forward=1", why, size);
	else
		return false;
	return true;
}

/*
 * A datapath without a controller still serves its sessions, until their keys expire, but nobody answers
 * handshakes or follows the host: whoever asks whether this node can be relied on is told no.
 */
static bool check_ready(const struct status *status, char *why, size_t size)
{
	char reason[256], age[SHOW_AGE_LEN];
	const char *colon;

	if (!check_datapath(status, reason, sizeof(reason))) {
		colon = strchr(reason, ' ');
		snprintf(why, size, "ready:%s", colon ? colon : " no");
		return false;
	}
	if (is_blocked(status, reason, sizeof(reason))) {
		snprintf(why, size, "ready: no: %s", reason);
		return false;
	}
	show_duration(show_seconds_since(status, status->info.heartbeat_ns), age, sizeof(age));
	switch (status_controller(status)) {
	case STATUS_STOPPED:
		snprintf(why, size, "ready: no: without controller for %s; sessions last until %u seconds",
			age, WG_REJECT_AFTER_TIME_S);
		return false;
	case STATUS_HUNG:
		snprintf(why, size, "ready: no: the controller hangs, its last heartbeat was %s ago", age);
		return false;
	case STATUS_RUNNING:
		break;
	}
	if (status->info.ready)
		snprintf(why, size, "ready: yes: the datapath is attached and the controller runs");
	else
		snprintf(why, size, "ready: no: the controller has not finished starting");
	return status->info.ready;
}

bool status_check(const struct status *status, enum status_check check, char *why, size_t size)
{
	switch (check) {
	case STATUS_CHECK_LIVE:
		return check_live(status, why, size);
	case STATUS_CHECK_READY:
		return check_ready(status, why, size);
	case STATUS_CHECK_STARTUP:
		return check_startup(status, why, size);
	case STATUS_CHECK_DATAPATH:
		return check_datapath(status, why, size);
	}
	return false;
}

static bool is_relay(const struct snapshot_relay *relay)
{
	const char *uri = render_or_empty(relay->uri);

	return !strncmp(uri, "rel://", 6) || !strncmp(uri, "rels://", 7);
}

static void say_not_connected(const char *server, const char *error, char *why, size_t size)
{
	error = render_or_empty(error);
	snprintf(why, size, "startup: no: %s is not connected%s%.200s", server, error[0] ? ": " : "", error);
}

static bool check_daemon_startup(const struct snapshot *s, char *why, size_t size)
{
	size_t relays = 0, available = 0;

	for (size_t i = 0; i < s->relay_count; i++) {
		if (!is_relay(&s->relays[i]))
			continue;
		relays++;
		available += s->relays[i].available;
	}
	if (!s->management_connected)
		say_not_connected("management", s->management_error, why, size);
	else if (!s->signal_connected)
		say_not_connected("signal", s->signal_error, why, size);
	else if (relays && !available)
		snprintf(why, size, "startup: no: none of the relays is available");
	else
		snprintf(why, size, "startup: yes: management and signal are connected%s",
			relays ? ", and a relay is available" : "");
	return s->management_connected && s->signal_connected && (!relays || available);
}

static bool check_daemon_ready(const struct snapshot *s, char *why, size_t size)
{
	if (s->datapath_ready)
		snprintf(why, size, "ready: yes: packets can flow");
	else
		snprintf(why, size, "ready: no: %.300s", render_or_empty(s->datapath_why)[0] ? s->datapath_why
			: "packets cannot flow yet");
	return s->datapath_ready;
}

bool status_check_daemon(const struct snapshot *snapshot, enum status_check check, char *why, size_t size)
{
	switch (check) {
	case STATUS_CHECK_LIVE:
		snprintf(why, size, "live: yes: the daemon answers");
		return true;
	case STATUS_CHECK_STARTUP:
		return check_daemon_startup(snapshot, why, size);
	case STATUS_CHECK_READY:
	case STATUS_CHECK_DATAPATH:
		break;
	}
	return check_daemon_ready(snapshot, why, size);
}
