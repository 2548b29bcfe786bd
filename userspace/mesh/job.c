// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Debug bundles that management asks for: made and uploaded by a process of their own, `talon debug bundle`.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log/log.h"
#include "mesh/internal.h"

#define LIMIT_NS	(600 * LOOP_SECOND)	/* to make and upload it */
#define MINUTE_NS	(60 * LOOP_SECOND)
#define ARGUMENTS_MAX	24
#define KEY_LINE	"Upload file key:\n"
#define FILE_LINE	"Local file:\n"

/* Answers management, if it is still the one that asked. */
static void finish(struct mesh *mesh, bool has_succeeded, const char *text)
{
	struct mesh_job *job = &mesh->job;

	job->is_busy = false;
	loop_timer_cancel(mesh->loop, &job->timer);
	if (has_succeeded)
		log_info("the debug bundle that management asked for was uploaded to %s",
			mesh->config->mesh.debug_upload_url);
	else
		log_warn("the debug bundle that management asked for: %s", text);
	if (mesh->management == job->asker)
		management_answer_job(mesh->management, &job->request, has_succeeded, text);
}

static void close_child(struct mesh *mesh)
{
	struct mesh_job *job = &mesh->job;

	loop_fd_remove(mesh->loop, &job->output);
	loop_fd_remove(mesh->loop, &job->end);
	if (job->output.fd > 0)
		close(job->output.fd);
	if (job->end.fd > 0)
		close(job->end.fd);
	job->output.fd = job->end.fd = 0;
	job->pid = 0;
}

static void take_output(struct mesh_job *job)
{
	ssize_t n;

	/* What is too much is read and forgotten, so that the process never waits for us. */
	do {
		char rest[1024];
		size_t room = sizeof(job->said) - 1 - job->said_len;

		n = read(job->output.fd, room ? job->said + job->said_len : rest, room ? room : sizeof(rest));
		if (n > 0 && room)
			job->said_len += n;
	} while (n > 0);
	job->said[job->said_len] = '\0';
}

static void on_output(void *ctx, uint32_t events)
{
	struct mesh *mesh = ctx;

	take_output(&mesh->job);
	if (events & (EPOLLHUP | EPOLLERR))
		loop_fd_remove(mesh->loop, &mesh->job.output);
}

/* The line after @line, cut off there; NULL if it did not come. */
static char *line_after(char *text, const char *line)
{
	char *at = strstr(text, line), *end;

	if (!at)
		return NULL;
	at += strlen(line);
	end = strchr(at, '\n');
	return end && end > at ? at : NULL;
}

/* The last line that was said. */
static const char *last_line(char *text)
{
	size_t len = strlen(text);
	char *line;

	while (len && text[len - 1] == '\n')
		text[--len] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	return *line ? line : "the process that makes it ended without a word";
}

static void judge(struct mesh *mesh, int status)
{
	struct mesh_job *job = &mesh->job;
	char *key = line_after(job->said, KEY_LINE), *path = line_after(job->said, FILE_LINE);
	bool has_succeeded = WIFEXITED(status) && !WEXITSTATUS(status) && key;

	if (path) {			/* nobody here asked for it */
		char copy[sizeof(job->said)];

		snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(path, "\n"), path);
		unlink(copy);
	}
	if (has_succeeded)
		key[strcspn(key, "\n")] = '\0';
	finish(mesh, has_succeeded, has_succeeded ? key : last_line(job->said));
}

static void on_end(void *ctx, uint32_t events)
{
	struct mesh *mesh = ctx;
	struct mesh_job *job = &mesh->job;
	int status;

	if (waitpid(job->pid, &status, WNOHANG) != job->pid)
		return;
	take_output(job);
	close_child(mesh);
	judge(mesh, status);
}

static void fill_arguments(const struct mesh *mesh, char *argv[static ARGUMENTS_MAX], char numbers[static 16],
	char socket[static 160])
{
	const struct config *config = mesh->config;
	const struct message_job *request = &mesh->job.request;
	size_t n = 0;

	snprintf(numbers, 16, "%u", request->log_files);
	snprintf(socket, 160, "unix://%s", config->mesh.control_socket);
	argv[n++] = "talon";
	argv[n++] = "debug";
	argv[n++] = "bundle";
	argv[n++] = "--log-file-count";
	argv[n++] = numbers;
	argv[n++] = "--daemon-addr";
	argv[n++] = socket;
	argv[n++] = "--state-dir";
	argv[n++] = config->mesh.state_dir;
	argv[n++] = "--config";
	argv[n++] = config->mesh.identity_path;
	argv[n++] = "--pin-dir";
	argv[n++] = (char *)config->pin_dir;
	argv[n++] = "--upload-bundle";
	argv[n++] = "--upload-bundle-url";
	argv[n++] = config->mesh.debug_upload_url;
	if (request->anonymizes) {
		argv[n++] = "--anonymize-level";
		argv[n++] = request->is_strict ? "strict" : "default";
	}
	argv[n] = NULL;
}

/* Its output, errors too, goes to @out. */
static int spawn(struct mesh *mesh, int out)
{
	char *argv[ARGUMENTS_MAX], numbers[16], socket[160];
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	int ret;

	fill_arguments(mesh, argv, numbers, socket);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	ret = posix_spawn(&mesh->job.pid, "/proc/self/exe", &actions, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -ret;
}

static int start_child(struct mesh *mesh)
{
	struct mesh_job *job = &mesh->job;
	int pipes[2], end, ret;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	ret = spawn(mesh, pipes[1]);
	close(pipes[1]);
	if (ret) {
		close(pipes[0]);
		return ret;
	}
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	end = syscall(SYS_pidfd_open, job->pid, 0);
	ret = end < 0 ? -errno : loop_fd_add(mesh->loop, &job->end, end, EPOLLIN, on_end, mesh);
	if (!ret)
		ret = loop_fd_add(mesh->loop, &job->output, pipes[0], EPOLLIN, on_output, mesh);
	job->end.fd = end;
	job->output.fd = pipes[0];
	job->said_len = 0;
	return ret;
}

static void kill_child(struct mesh *mesh)
{
	struct mesh_job *job = &mesh->job;

	if (!job->pid)
		return;
	kill(-job->pid, SIGKILL);
	while (waitpid(job->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close_child(mesh);
}

/* The wait is over that management wanted, or the process takes too long. */
static void on_timer(void *ctx)
{
	struct mesh *mesh = ctx;
	int ret;

	if (mesh->job.pid) {
		kill_child(mesh);
		finish(mesh, false, "the bundle was not made and uploaded within ten minutes");
		return;
	}
	loop_timer_after(mesh->loop, &mesh->job.timer, LIMIT_NS);
	ret = start_child(mesh);
	if (ret) {
		kill_child(mesh);
		finish(mesh, false, strerror(-ret));
	}
}

int mesh_on_job(void *ctx, const struct message_job *request, char *why, size_t size)
{
	struct mesh *mesh = ctx;
	const struct config_mesh *config = &mesh->config->mesh;

	if (!config->debug_upload_url) {
		snprintf(why, size, "uploading a debug bundle would tell a third party about this host, and "
			"its operator has named no place for them (NB_DEBUG_UPLOAD_URL); `talon debug "
			"bundle` makes one on the node");
		return -EPERM;
	}
	if (!config->control_socket || mesh->job.is_busy) {
		snprintf(why, size, "%s", mesh->job.is_busy ? "another debug bundle is being made"
			: "this peer has no control socket, which a debug bundle needs");
		return -EBUSY;
	}
	log_info("management asked for a debug bundle%s", request->wait_minutes ? ", later" : "");
	mesh->job.request = *request;
	mesh->job.asker = mesh->management;
	mesh->job.is_busy = true;
	loop_timer_after(mesh->loop, &mesh->job.timer, request->wait_minutes * MINUTE_NS);
	return 0;
}

void mesh_job_init(struct mesh *mesh)
{
	loop_timer_init(&mesh->job.timer, on_timer, mesh);
}

void mesh_job_done(struct mesh *mesh)
{
	loop_timer_cancel(mesh->loop, &mesh->job.timer);
	kill_child(mesh);
}
