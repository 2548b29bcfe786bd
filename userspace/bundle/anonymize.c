// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Replaces what identifies people and places in text. One pass over the text; each kind of thing has
// its numbers.
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "base/interner.h"
#include "bundle/anonymize.h"
#include "bundle/match_internal.h"

#define SECRET_MIN	6
#define NAME_LEN	256		/* of a domain, and of what a number stands for */

#define ANON_IP4	0xc6336400U	/* 198.51.100.0, RFC 5737 */
#define ANON_IP4_INNER	0xc6120000U	/* 198.18.0.0, RFC 2544 */

/* A text that became a number: zeros behind. */
struct named {
	char text[NAME_LEN];
};

struct anon {
	enum anon_level level;
	char **secrets;
	size_t secret_count;
	struct interner ip4, ip4_inner, ip6, ip6_inner, macs, keys, domains, labels;
	uint32_t peers;			/* so many labels are names of peers, the first ones */
	int error;			/* out of memory: nothing may be shown */
	FILE *out;
};

const char *anon_level_name(enum anon_level level)
{
	static const char *const names[] = { "none", "default", "strict" };

	return names[level];
}

enum anon_level anon_level_parse(const char *text)
{
	return !*text || !strcasecmp(text, "default") ? ANON_DEFAULT : ANON_STRICT;
}

int anon_new(enum anon_level level, struct anon **ret_anon)
{
	struct anon *anon = calloc(1, sizeof(*anon));

	if (!anon)
		return -ENOMEM;
	anon->level = level;
	anon->ip4.item_size = anon->ip4_inner.item_size = 4;
	anon->ip6.item_size = anon->ip6_inner.item_size = 16;
	anon->macs.item_size = 6;
	anon->keys.item_size = MATCH_KEY_LEN;
	anon->domains.item_size = anon->labels.item_size = sizeof(struct named);
	*ret_anon = anon;
	return 0;
}

void anon_free(struct anon *anon)
{
	if (!anon)
		return;
	for (size_t i = 0; i < anon->secret_count; i++) {
		sodium_memzero(anon->secrets[i], strlen(anon->secrets[i]));
		free(anon->secrets[i]);
	}
	free(anon->secrets);
	interner_done(&anon->ip4);
	interner_done(&anon->ip4_inner);
	interner_done(&anon->ip6);
	interner_done(&anon->ip6_inner);
	interner_done(&anon->macs);
	interner_done(&anon->keys);
	interner_done(&anon->domains);
	interner_done(&anon->labels);
	free(anon);
}

int anon_hide(struct anon *anon, const char *secret)
{
	char **larger;

	if (strlen(secret) < SECRET_MIN)
		return -EINVAL;
	larger = realloc(anon->secrets, (anon->secret_count + 1) * sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	anon->secrets = larger;
	larger[anon->secret_count] = strdup(secret);
	if (!larger[anon->secret_count])
		return -ENOMEM;
	anon->secret_count++;
	return 0;
}

static uint32_t number_of(struct anon *anon, struct interner *in, const void *item)
{
	uint32_t number = 0;

	if (interner_add(in, item, &number))
		anon->error = -ENOMEM;
	return number;
}

/* A name's number, whatever its case. */
static uint32_t number_of_name(struct anon *anon, struct interner *in, const char *text, size_t len)
{
	struct named named = {};

	for (size_t i = 0; i < len && i < NAME_LEN - 1; i++)
		named.text[i] = tolower((unsigned char)text[i]);
	return number_of(anon, in, &named);
}

int anon_name(struct anon *anon, const char *name)
{
	size_t len = strcspn(name, ".");

	if (len < 2 || anon->error)
		return anon->error;
	/* Peers come first, so that their numbers tell them from other labels. */
	if (anon->peers == anon->labels.count) {
		number_of_name(anon, &anon->labels, name, len);
		anon->peers = anon->labels.count;
	}
	return anon->error;
}

/* --- addresses --- */

static bool is_in4(uint32_t addr, uint32_t net, unsigned int len)
{
	return (addr ^ net) >> (32 - len) == 0;
}

static bool is_inner4(uint32_t addr)
{
	return is_in4(addr, 0x0a000000, 8) || is_in4(addr, 0xac100000, 12) || is_in4(addr, 0xc0a80000, 16) ||
		is_in4(addr, 0x64400000, 10) || is_in4(addr, 0xa9fe0000, 16);
}

/*
 * Nobody's: unspecified, loopback, multicast, reserved and masks; resolvers that everybody
 * knows; half of all.
 */
static bool is_common4(uint32_t addr)
{
	static const uint32_t known[] = { 0x08080808, 0x08080404, 0x01010101, 0x01000001, 0x09090909,
		0x95707070, 0x80000000 };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (addr == known[i])
			return true;
	}
	return is_in4(addr, 0, 8) || is_in4(addr, 0x7f000000, 8) || addr >= 0xe0000000;
}

static uint32_t replace4(struct anon *anon, uint32_t addr)
{
	if (is_common4(addr) || (is_inner4(addr) && anon->level < ANON_STRICT))
		return addr;
	if (is_inner4(addr))
		return ANON_IP4_INNER + number_of(anon, &anon->ip4_inner, &addr);
	return ANON_IP4 + number_of(anon, &anon->ip4, &addr);
}

static bool is_common6(const struct in6_addr *addr)
{
	static const char *const known[] = { "2001:4860:4860::8888", "2001:4860:4860::8844",
		"2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe", "2620:fe::9", "8000::" };
	struct in6_addr one;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (inet_pton(AF_INET6, known[i], &one) == 1 && !memcmp(addr, &one, sizeof(one)))
			return true;
	}
	return IN6_IS_ADDR_UNSPECIFIED(addr) || IN6_IS_ADDR_LOOPBACK(addr) || IN6_IS_ADDR_MULTICAST(addr);
}

/* Unique local ones tell their network by a random number, and so are not kept even at the default level. */
static void replace6(struct anon *anon, struct in6_addr *addr)
{
	bool is_link_local = IN6_IS_ADDR_LINKLOCAL(addr), is_inner = is_link_local ||
		addr->s6_addr[0] >> 1 == 0x7e;
	bool is_strict = anon->level == ANON_STRICT;
	struct in6_addr from = *addr;
	uint32_t number;

	if (IN6_IS_ADDR_V4MAPPED(addr)) {
		addr->s6_addr32[3] = htonl(replace4(anon, ntohl(addr->s6_addr32[3])));
		return;
	}
	if (is_common6(addr) || (is_link_local && !is_strict))
		return;
	number = number_of(anon, is_inner && is_strict ? &anon->ip6_inner : &anon->ip6, &from);
	inet_pton(AF_INET6, is_inner && is_strict ? "2001:db8:1::" : "2001:db8:ffff::", addr);
	addr->s6_addr32[3] = htonl(number);
}

static void put_ip4(struct anon *anon, uint32_t addr)
{
	addr = replace4(anon, addr);
	fprintf(anon->out, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 255, addr >> 8 & 255, addr & 255);
}

static void put_ip6(struct anon *anon, const struct in6_addr *addr, const char *text, size_t len)
{
	struct in6_addr to = *addr;
	char now[INET6_ADDRSTRLEN];

	replace6(anon, &to);
	if (!memcmp(&to, addr, sizeof(to)))
		fwrite(text, 1, len, anon->out);	/* as it was written */
	else
		fputs(inet_ntop(AF_INET6, &to, now, sizeof(now)), anon->out);
}

static void put_mac(struct anon *anon, const uint8_t mac[6], const char *text)
{
	static const uint8_t zero[6];
	uint32_t number;

	if (mac[0] & 1 || !memcmp(mac, zero, 6)) {
		fwrite(text, 1, MATCH_MAC_LEN, anon->out);	/* a group, or none */
		return;
	}
	number = number_of(anon, &anon->macs, mac) + 1;
	fprintf(anon->out, "02%c00%c00%c%02x%c%02x%c%02x", text[2], text[2], text[2], number >> 16 & 255,
		text[2], number >> 8 & 255, text[2], number & 255);
}

/* As long as a key, and decodable: its number, big endian. */
static void put_key(struct anon *anon, const char *text)
{
	char placeholder[MATCH_KEY_LEN + 1];
	uint8_t bytes[32] = {};
	uint32_t number;

	if (anon->level < ANON_STRICT) {
		fwrite(text, 1, MATCH_KEY_LEN, anon->out);
		return;
	}
	number = htonl(number_of(anon, &anon->keys, text) + 1);
	memcpy(bytes + 28, &number, 4);
	sodium_bin2base64(placeholder, sizeof(placeholder), bytes, 32, sodium_base64_VARIANT_ORIGINAL);
	fputs(placeholder, anon->out);
}

/* --- names --- */

/* Of NetBird itself: the name below it is a peer's, except in the first one. */
static const char *const netbird_domains[] = { "netbird.io", "netbird.cloud", "netbird.selfhosted",
	"netbird.stage" };

static bool ends_in(const char *text, size_t len, const char *end)
{
	size_t end_len = strlen(end);

	return len >= end_len && !strncasecmp(text + len - end_len, end, end_len) &&
		(len == end_len || text[len - end_len - 1] == '.');
}

static void put_label(struct anon *anon, const char *text, size_t len)
{
	uint32_t number;

	if (len == 1 && *text == '*') {
		fputc('*', anon->out);
		return;
	}
	number = number_of_name(anon, &anon->labels, text, len);
	fprintf(anon->out, "%s-%u", number < anon->peers ? "peer" : "host", number + 1);
}

/* The labels before the last @keep characters of a domain, each with its dot. */
static void put_labels(struct anon *anon, const char *text, size_t len)
{
	if (anon->level < ANON_STRICT) {
		fwrite(text, 1, len, anon->out);
		return;
	}
	for (size_t at = 0, label; at < len; at += label + 1) {
		label = strcspn(text + at, ".");
		put_label(anon, text + at, label);
		fputc('.', anon->out);
	}
}

/* 4.3.2.1.in-addr.arpa, 8.b.d...ip6.arpa: a whole address is replaced, a part of one is left out. */
static void put_reverse(struct anon *anon, const char *text, size_t len)
{
	unsigned int part[4];
	uint32_t addr;
	char tail;

	if (sscanf(text, "%3u.%3u.%3u.%3u.in-addr.arp%c", &part[3], &part[2], &part[1], &part[0],
		&tail) == 5 && (part[0] | part[1] | part[2] | part[3]) < 256) {
		addr = replace4(anon, part[0] << 24 | part[1] << 16 | part[2] << 8 | part[3]);
		fprintf(anon->out, "%u.%u.%u.%u.in-addr.arpa", addr & 255, addr >> 8 & 255, addr >> 16 & 255,
			addr >> 24);
		return;
	}
	fputs(ends_in(text, len, "ip6.arpa") ? "anon.ip6.arpa" : "anon.in-addr.arpa", anon->out);
}

static void put_domain(struct anon *anon, const char *text, size_t len)
{
	size_t base = len;

	if (ends_in(text, len, "in-addr.arpa") || ends_in(text, len, "ip6.arpa")) {
		put_reverse(anon, text, len);
		return;
	}
	for (size_t i = 0; i < sizeof(netbird_domains) / sizeof(netbird_domains[0]); i++) {
		if (!ends_in(text, len, netbird_domains[i]))
			continue;
		base = i ? len - strlen(netbird_domains[i]) : 0;
		put_labels(anon, text, base);
		fwrite(text + base, 1, len - base, anon->out);
		return;
	}
	/* The last two labels. */
	for (int dots = 0; base && (dots += text[base - 1] == '.') < 2;)
		base--;
	put_labels(anon, text, base);
	fprintf(anon->out, "anon-%u.domain", number_of_name(anon, &anon->domains, text + base,
		len - base) + 1);
}

/* A word without dots: at the strict level, names of peers are known by heart. */
static void put_word(struct anon *anon, const char *text, size_t len)
{
	struct named named = {};

	if (anon->level == ANON_STRICT && len >= 2 && len < 64) {
		for (size_t i = 0; i < len; i++)
			named.text[i] = tolower((unsigned char)text[i]);
		if (interner_find(&anon->labels, &named) < anon->peers) {
			put_label(anon, text, len);
			return;
		}
	}
	fwrite(text, 1, len, anon->out);
}

/* --- the pass --- */

/* A known secret that begins here: its length, or 0. */
static size_t match_secret(const struct anon *anon, const char *text, size_t len)
{
	for (size_t i = 0; i < anon->secret_count; i++) {
		size_t secret = strlen(anon->secrets[i]);

		if (secret <= len && *text == *anon->secrets[i] && !memcmp(text, anon->secrets[i], secret))
			return secret;
	}
	return 0;
}

/*
 * What is hidden at every level, wherever it begins, in the middle of a word too. Returns its length and what
 * stands for it, or 0.
 */
static size_t match_hidden(const struct anon *anon, const struct match_at *at, const char **ret_instead)
{
	size_t len = match_secret(anon, at->text, at->len);

	*ret_instead = ANON_HIDDEN;
	if (!len)
		len = match_uuid(at);
	if (!len)
		len = match_token(at);
	if (!len) {
		len = match_user_of_url(at);
		*ret_instead = "://" ANON_HIDDEN "@";
	}
	return len;
}

static size_t take_thing(struct anon *anon, const struct match_at *at)
{
	struct in6_addr ip6;
	uint8_t mac[6];
	uint32_t ip4;
	size_t len;

	if ((len = match_key(at)))
		put_key(anon, at->text);
	else if ((len = match_mac(at, mac)))
		put_mac(anon, mac, at->text);
	else if ((len = match_ip6(at, &ip6)))
		put_ip6(anon, &ip6, at->text, len);
	else if ((len = match_domain(at)))
		put_domain(anon, at->text, len);
	else if ((len = match_ip4(at, &ip4)))
		put_ip4(anon, ip4);
	else if ((len = match_word(at)))
		put_word(anon, at->text, len);
	return len;
}

static void advance(struct match_at *at, size_t len)
{
	at->before = at->text[len - 1];
	at->text += len;
	at->len -= len;
}

/* The text before something hidden. */
static void write_open(struct anon *anon, struct match_at at, size_t len)
{
	at.len = len;
	while (at.len && !anon->error) {
		size_t taken = anon->level > ANON_NONE ? take_thing(anon, &at) : 0;

		if (!taken) {
			fputc(*at.text, anon->out);
			taken = 1;
		}
		advance(&at, taken);
	}
}

int anon_write(struct anon *anon, const char *text, size_t len, FILE *out)
{
	struct match_at from = { .text = text, .len = len, .before = '\n' }, at = from;
	const char *instead;
	size_t hidden;

	anon->out = out;
	while (at.len) {
		hidden = match_hidden(anon, &at, &instead);
		if (!hidden) {
			advance(&at, 1);
			continue;
		}
		write_open(anon, from, at.text - from.text);
		fputs(instead, out);
		advance(&at, hidden);
		from = at;
	}
	write_open(anon, from, from.len);
	return anon->error;
}
