// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Values of the file: switches, numbers, times, paths, addresses, URLs, secrets.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "base/host_port.h"
#include "base/server_url.h"
#include "base/setup_key.h"
#include "base/store.h"
#include "hubfile/internal.h"

#define YEAR_S		(366ULL * 24 * 3600)
#define FORM_DURATION	"a time such as 90s, 10m, 12h or 7d, of at most 10 years"
#define FORM_DATE	"a time as in 2027-01-31T18:00:00Z (RFC 3339)"
#define FORM_LISTEN	"ADDRESS:PORT, such as 0.0.0.0:443 or \"[::]:443\""
#define FORM_HASH	"the SHA-256 of the setup key in capitals, 64 hexadecimal digits: printf %%s KEY | " \
	"tr a-z A-Z | sha256sum"

/* Plain digits without a leading zero, which would be octal in YAML; -1: something else. */
static long long digits(const char *text, size_t len)
{
	long long number = 0;

	if (!len || len > 10 || (text[0] == '0' && len > 1))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		number = number * 10 + text[i] - '0';
	}
	return number;
}

static bool number(struct reading *r, const struct node *node, long long min, long long max,
	const char *or_else, long long *ret_number)
{
	if (node->type == NODE_TEXT && node->is_plain)
		*ret_number = digits(node->text, strlen(node->text));
	else
		*ret_number = -1;
	if (*ret_number >= min && *ret_number <= max)
		return true;
	reading_fault(r, node, "expected a number from %lld to %lld%s", min, max, or_else);
	return false;
}

void entry_bool(struct reading *r, const struct node *node, void *at)
{
	bool is_true = node->type == NODE_TEXT && node->is_plain && !strcmp(node->text, "true");

	if (!is_true && (node->type != NODE_TEXT || !node->is_plain || strcmp(node->text, "false")))
		reading_fault(r, node, "expected true or false");
	*(bool *)at = is_true;
}

void entry_metric(struct reading *r, const struct node *node, void *at)
{
	long long metric;

	if (number(r, node, 1, 9999, "", &metric))
		*(uint16_t *)at = metric;
}

void entry_uses(struct reading *r, const struct node *node, void *at)
{
	long long uses;

	if (node->type == NODE_TEXT && !strcmp(node->text, "unlimited"))
		*(uint32_t *)at = 0;
	else if (number(r, node, 1, 1000000, ", or unlimited", &uses))
		*(uint32_t *)at = uses;
}

void entry_duration(struct reading *r, const struct node *node, void *at)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 24 * 3600 } };
	const char *text = node_text(r, node, FORM_DURATION);
	size_t len = text ? strlen(text) : 0;
	long long count;

	if (!text)
		return;
	count = digits(text, len - 1);
	for (size_t i = 0; count > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (text[len - 1] == units[i].unit && count <= (long long)(10 * YEAR_S / units[i].seconds)) {
			*(uint64_t *)at = (uint64_t)count * units[i].seconds;
			return;
		}
	}
	reading_fault(r, node, "expected " FORM_DURATION);
}

void entry_login_duration(struct reading *r, const struct node *node, void *at)
{
	if (node->type == NODE_TEXT && !strcmp(node->text, "never"))
		*(uint64_t *)at = 0;
	else
		entry_duration(r, node, at);
}

/* RFC 3339 section 5.6. A leap second counts as the next one. */
static int parse_date(const char *text, uint64_t *ret_s)
{
	int year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0, end = 0;
	struct tm tm = {}, back;
	const char *zone;
	time_t at;

	for (size_t i = 0; i < 19; i++) {
		const char *form = "dddd-dd-ddTdd:dd:dd";

		const unsigned char c = text[i];

		if (form[i] == 'd' ? !isdigit(c) : toupper(c) != form[i])
			return -EINVAL;
	}
	if (sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) != 6)
		return -EINVAL;
	zone = text + 19;
	if (zone[0] == '.')
		zone += 1 + strspn(zone + 1, "0123456789");
	if (zone[-1] == '.')
		return -EINVAL;
	if (toupper((unsigned char)zone[0]) != 'Z' || zone[1]) {
		if (!strchr("+-", zone[0]) || strlen(zone) != 6 ||
			strspn(zone + 1, "0123456789") != 2 || zone[3] != ':' ||
			sscanf(zone + 1, "%2d:%2d%n", &zone_hour, &zone_minute, &end) != 2 || end != 5 ||
			zone_hour > 23 || zone_minute > 59)
			return -EINVAL;
		zone_minute = (zone_hour * 60 + zone_minute) * (zone[0] == '-' ? -1 : 1);
	}
	if (year < 1970 || hour > 23 || minute > 59 || second > 60)
		return -EINVAL;
	tm = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour,
		.tm_min = minute };
	at = timegm(&tm);
	if (!gmtime_r(&at, &back) || back.tm_mon != month - 1 || back.tm_mday != day)
		return -EINVAL;
	at += second - (time_t)zone_minute * 60;
	if (at <= 0)
		return -EINVAL;
	*ret_s = at;
	return 0;
}

void entry_date(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, FORM_DATE);

	if (text && (strlen(text) < 20 || parse_date(text, at)))
		reading_fault(r, node, "expected " FORM_DATE);
}

/* Written to @path; false after a fault. */
static bool resolve_path(struct reading *r, const struct node *node, char path[static PATH_MAX])
{
	const char *text = node_text(r, node, "a path");
	int len;

	if (!text)
		return false;
	if (text[0] == '/' || !r->dir)
		len = snprintf(path, PATH_MAX, "%s", text);
	else
		len = snprintf(path, PATH_MAX, "%s/%s", r->dir, text);
	if (len < PATH_MAX)
		return true;
	reading_fault(r, node, "expected a shorter path");
	return false;
}

void entry_path(struct reading *r, const struct node *node, void *at)
{
	char path[PATH_MAX];

	if (resolve_path(r, node, path))
		*(char **)at = reading_keep_text(r, path);
}

void entry_text(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, "text");

	if (text && strlen(text) > 1000)
		reading_fault(r, node, "expected a text of at most 1000 bytes");
	else if (text)
		*(char **)at = reading_keep_text(r, text);
}

/* An address and a port; false: something else. */
static bool parse_address_port(const char *text, struct cidr *ret_address, uint16_t *ret_port)
{
	struct host_port parts;

	if (host_port_parse(slice_from(text), 0, 0, &parts) || cidr_parse(parts.host, true, ret_address) ||
		memchr(parts.host.at, '/', parts.host.len))
		return false;
	*ret_port = parts.port;
	return true;
}

static void listen_at(struct reading *r, const struct node *node, const char *form, void *at)
{
	const char *text = node_text(r, node, form);
	struct cidr address;
	uint16_t port;

	if (!text)
		return;
	if (!parse_address_port(text, &address, &port))
		reading_fault(r, node, "expected %s", form);
	else
		*(char **)at = reading_keep_text(r, text);
}

void entry_listen(struct reading *r, const struct node *node, void *at)
{
	listen_at(r, node, FORM_LISTEN, at);
}

void entry_listen_or_off(struct reading *r, const struct node *node, void *at)
{
	if (node->type == NODE_TEXT && !strcmp(node->text, "off"))
		*(char **)at = reading_keep_text(r, "off");
	else
		listen_at(r, node, FORM_LISTEN ", or off", at);
}

void entry_server(struct reading *r, const struct node *node, void *at)
{
	struct hubfile_address *server = at;
	const char *text = node_text(r, node, "ADDRESS or ADDRESS:PORT");

	if (!text)
		return;
	server->port = 53;
	if (!cidr_parse(slice_from(text), true, &server->address) && !strchr(text, '/'))
		return;
	if (!parse_address_port(text, &server->address, &server->port))
		reading_fault(r, node,
			"expected ADDRESS or ADDRESS:PORT, such as 1.1.1.1 or \"[2606:4700::1]:53\"");
}

void entry_public_url(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "https://NAME or http://NAME, with :PORT if it is another, and no path";
	const char *text = node_text(r, node, form), *rest;
	struct server_url url;

	if (!text)
		return;
	rest = strstr(text, "://");
	if (server_url_parse(text, SERVER_SCHEMES_WEB, &url) || !rest || strpbrk(rest + 3, "/?#@"))
		reading_fault(r, node, "expected %s", form);
	else
		*(char **)at = reading_keep_text(r, text);
}

static bool is_loopback(const char *host)
{
	return !strcasecmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1");
}

static void read_url(struct reading *r, const struct node *node, bool is_loopback_plain, const char *form,
	char **ret)
{
	const char *text = node_text(r, node, form);
	struct server_url url;

	if (!text)
		return;
	if (strlen(text) > 1000 || strpbrk(text, " \"<>\\") ||
		server_url_parse(text, SERVER_SCHEMES_WEB, &url) ||
		(is_loopback_plain && url.scheme == SERVER_HTTP && !is_loopback(url.host)))
		reading_fault(r, node, "expected %s", form);
	else
		*ret = reading_keep_text(r, text);
}

void entry_issuer(struct reading *r, const struct node *node, void *at)
{
	read_url(r, node, true, "https://... as the issuer writes itself, or http:// to this host", at);
}

void entry_url(struct reading *r, const struct node *node, void *at)
{
	read_url(r, node, false, "a URL: https://... or http://...", at);
}

void entry_hash(struct reading *r, const struct node *node, void *at)
{
	const char *text = node_text(r, node, FORM_HASH);
	char key[SETUP_KEY_LEN + 1];
	size_t len;

	if (!text)
		return;
	if (!setup_key_parse(slice_from(text), key)) {
		sodium_memzero(key, sizeof(key));
		reading_fault(r, node, "this is a setup key, whose place is not here; expected " FORM_HASH);
	} else if (strlen(text) != 2 * HUBFILE_HASH_LEN ||
		sodium_hex2bin(at, HUBFILE_HASH_LEN, text, strlen(text), NULL, &len, NULL) ||
		len != HUBFILE_HASH_LEN) {
		reading_fault(r, node, "expected " FORM_HASH);
	}
}

/* The text of a small file without blanks around it, to be wiped by store_free(); at NULL after a fault. */
static struct slice read_secret(struct reading *r, const struct node *node, uint8_t **ret_bytes,
	size_t *ret_len)
{
	char path[PATH_MAX];
	int ret;

	*ret_bytes = NULL;
	*ret_len = 0;
	if (!resolve_path(r, node, path))
		return (struct slice){};
	ret = store_read(path, 4096, ret_bytes, ret_len);
	if (ret) {
		reading_fault(r, node, "cannot read %.150s: %s; expected a file with the secret alone", path,
			strerror(-ret));
		return (struct slice){};
	}
	return slice_trim((struct slice){ (const char *)*ret_bytes, *ret_len });
}

void entry_key_file(struct reading *r, const struct node *node, void *at)
{
	uint8_t *bytes;
	size_t len;
	struct slice text = read_secret(r, node, &bytes, &len);
	char key[SETUP_KEY_LEN + 1];

	if (text.at && setup_key_parse(text, key))
		reading_fault(r, node, "expected a setup key in the file: " SETUP_KEY_FORM);
	else if (text.at && hubfile_key_hash(key, at))
		reading_fault(r, node, "expected a setup key in the file");
	sodium_memzero(key, sizeof(key));
	store_free(bytes, len);
}

void entry_secret_file(struct reading *r, const struct node *node, void *at)
{
	uint8_t *bytes;
	size_t len;
	struct slice text = read_secret(r, node, &bytes, &len);
	bool is_good = text.len && text.len <= 1000;

	for (size_t i = 0; text.at && i < text.len; i++)
		is_good &= (unsigned char)text.at[i] > ' ' && (unsigned char)text.at[i] < 0x7f;
	if (text.at && !is_good) {
		reading_fault(r, node, "expected one word in the file");
	} else if (text.at) {
		*(char **)at = arena_text(r->kept, text.at, text.len);
		r->is_out_of_memory |= !*(char **)at;
	}
	store_free(bytes, len);
}

void entry_secret_refused(struct reading *r, const struct node *node, void *at)
{
	reading_fault(r, node, "a secret's place is not in this file; expected hash or file of a setup key, "
		"or client-secret-file");
}

static bool read_cidr(struct reading *r, const struct node *node, const char *form, struct cidr *ret)
{
	const char *text = node_text(r, node, form);
	struct cidr clear;

	if (!text)
		return false;
	if (cidr_parse(slice_from(text), true, ret)) {
		reading_fault(r, node, "expected %s", form);
		*ret = (struct cidr){};
		return false;
	}
	clear = *ret;
	cidr_clear_host_bits(&clear);
	if (!cidr_is_equal(&clear, ret)) {
		char shown[CIDR_TEXT_LEN];

		cidr_format(&clear, shown, sizeof(shown));
		reading_fault(r, node, "bits after the prefix are set; expected %s", shown);
		return false;
	}
	return true;
}

void entry_network(struct reading *r, const struct node *node, void *at)
{
	read_cidr(r, node, "a network such as 192.168.1.0/24 or fd00:1::/64", at);
}

void entry_overlay(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "an IPv4 network from /8 to /28, such as 100.64.0.0/10";
	struct cidr *net = at, found;

	if (!read_cidr(r, node, form, &found))
		return;
	if (found.family != AF_INET || found.prefixlen < 8 || found.prefixlen > 28 ||
		!addr4_is_host(found.addr.word[0]))
		reading_fault(r, node, "expected %s", form);
	else
		*net = found;
}

void entry_overlay6(struct reading *r, const struct node *node, void *at)
{
	static const char form[] = "an IPv6 network of /64, such as fd12:3456:789a:1::/64, or off";
	struct cidr *net = at, found;

	if (node->type == NODE_TEXT && !strcmp(node->text, "off")) {
		*net = (struct cidr){ .family = AF_INET6 };
		return;
	}
	if (!read_cidr(r, node, form, &found))
		return;
	if (found.family != AF_INET6 || found.prefixlen != 64 || !addr6_is_host(&found.addr))
		reading_fault(r, node, "expected %s", form);
	else
		*net = found;
}

/* An address of the peers' network @net. */
static void read_address(struct reading *r, const struct node *node, const struct cidr *net, const char *form,
	struct cidr *ret)
{
	const char *text = node_text(r, node, form);
	struct cidr found;
	char shown[CIDR_TEXT_LEN];

	if (!text)
		return;
	if (strchr(text, '/') || cidr_parse(slice_from(text), true, &found) || found.family != net->family) {
		reading_fault(r, node, "expected %s", form);
	} else if (!cidr_holds(net, &found.addr)) {
		cidr_format(net, shown, sizeof(shown));
		reading_fault(r, node, "expected an address of %s", shown);
	} else {
		*ret = found;
	}
}

void entry_address(struct reading *r, const struct node *node, void *at)
{
	read_address(r, node, &r->file->network, "an IPv4 address", at);
}

void entry_address6(struct reading *r, const struct node *node, void *at)
{
	if (!r->file->network6.prefixlen)
		reading_fault(r, node, "expected network6 to be set, with an address of it here");
	else
		read_address(r, node, &r->file->network6, "an IPv6 address", at);
}
