// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// pcapng blocks. All numbers are in the byte order of this host: the section's magic tells readers which
// one that is.
#include <errno.h>
#include <string.h>

#include "watch/pcapng.h"

enum block {
	BLOCK_INTERFACE		= 1,
	BLOCK_STATISTICS	= 5,
	BLOCK_PACKET		= 6,	/* enhanced */
	BLOCK_SECTION		= 0x0A0D0D0A,
};

#define MAGIC		0x1A2B3C4DU
#define LINKTYPE_RAW	101

enum option {
	OPTION_END		= 0,
	SECTION_APPLICATION	= 4,
	INTERFACE_NAME		= 2,
	INTERFACE_DESCRIPTION	= 3,
	INTERFACE_RESOLUTION	= 9,	/* of times: a negative power of ten */
	PACKET_FLAGS		= 2,	/* bits 0 and 1: direction */
	STATISTICS_RECEIVED	= 4,
	STATISTICS_DROPPED	= 5,
};

#define FLAG_INBOUND	1U
#define FLAG_OUTBOUND	2U

/*
 * A block in the making: its length stands before and after what is in it, so small ones are put
 * together first.
 */
struct body {
	uint8_t bytes[512];
	uint32_t len;
};

static void put(struct body *body, const void *bytes, uint32_t len)
{
	memcpy(body->bytes + body->len, bytes, len);
	body->len += len;
}

static void put16(struct body *body, uint16_t value)
{
	put(body, &value, sizeof(value));
}

static void put32(struct body *body, uint32_t value)
{
	put(body, &value, sizeof(value));
}

/* Times are two words, the upper one first, in either byte order. */
static void put_time(struct body *body, uint64_t ns)
{
	put32(body, ns >> 32);
	put32(body, ns);
}

static uint32_t padded(uint32_t len)
{
	return (len + 3) & ~3U;
}

static void put_option(struct body *body, uint16_t code, const void *value, uint16_t len)
{
	static const uint8_t zeros[4];

	put16(body, code);
	put16(body, len);
	put(body, value, len);
	put(body, zeros, padded(len) - len);
}

/* At most 200 bytes of @text. */
static void put_text(struct body *body, uint16_t code, const char *text)
{
	put_option(body, code, text, strnlen(text, 200));
}

static void put_end(struct body *body)
{
	put_option(body, OPTION_END, "", 0);
}

static int write_all(struct pcapng *file, const void *bytes, size_t len)
{
	if (len && fwrite(bytes, len, 1, file->out) != 1)
		return errno ? -errno : -EIO;
	file->bytes += len;
	return 0;
}

/* A block of @body, @packet of @size bytes and its padding, and @options. */
static int write_block(struct pcapng *file, enum block type, const struct body *body, const void *packet,
	uint32_t size, const struct body *options)
{
	const uint32_t len = 12 + body->len + padded(size) + options->len, head[] = { type, len };
	static const uint8_t zeros[4];
	int ret = write_all(file, head, sizeof(head));

	if (!ret)
		ret = write_all(file, body->bytes, body->len);
	if (!ret)
		ret = write_all(file, packet, size);
	if (!ret)
		ret = write_all(file, zeros, padded(size) - size);
	if (!ret)
		ret = write_all(file, options->bytes, options->len);
	return ret ? ret : write_all(file, &len, sizeof(len));
}

static int write_section(struct pcapng *file)
{
	struct body body = {}, options = {};

	put32(&body, MAGIC);
	put16(&body, 1);		/* version 1.0 */
	put16(&body, 0);
	put32(&body, UINT32_MAX);	/* a section of unknown length */
	put32(&body, UINT32_MAX);
	put_text(&options, SECTION_APPLICATION, "talon " TALON_VERSION);
	put_end(&options);
	return write_block(file, BLOCK_SECTION, &body, NULL, 0, &options);
}

int pcapng_begin(struct pcapng *file, FILE *out, const char *description, uint32_t size)
{
	struct body body = {}, options = {};
	const uint8_t nanoseconds = 9;
	int ret;

	*file = (struct pcapng){ .out = out };
	ret = write_section(file);
	if (ret)
		return ret;
	put16(&body, LINKTYPE_RAW);
	put16(&body, 0);
	put32(&body, size);
	put_text(&options, INTERFACE_NAME, "talon");
	put_text(&options, INTERFACE_DESCRIPTION, description);
	put_option(&options, INTERFACE_RESOLUTION, &nanoseconds, sizeof(nanoseconds));
	put_end(&options);
	return write_block(file, BLOCK_INTERFACE, &body, NULL, 0, &options);
}

int pcapng_packet(struct pcapng *file, uint64_t unix_ns, bool is_inbound, const void *packet, uint32_t size,
	uint32_t len)
{
	const uint32_t flags = is_inbound ? FLAG_INBOUND : FLAG_OUTBOUND;
	struct body body = {}, options = {};

	put32(&body, 0);		/* the only interface */
	put_time(&body, unix_ns);
	put32(&body, size);
	put32(&body, len);
	put_option(&options, PACKET_FLAGS, &flags, sizeof(flags));
	put_end(&options);
	return write_block(file, BLOCK_PACKET, &body, packet, size, &options);
}

int pcapng_end(struct pcapng *file, uint64_t unix_ns, uint64_t received, uint64_t lost)
{
	struct body body = {}, options = {};

	put32(&body, 0);
	put_time(&body, unix_ns);
	put_option(&options, STATISTICS_RECEIVED, &received, sizeof(received));
	put_option(&options, STATISTICS_DROPPED, &lost, sizeof(lost));
	put_end(&options);
	return write_block(file, BLOCK_STATISTICS, &body, NULL, 0, &options);
}
