/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* CreateExpose, RenewExpose and StopExpose as they travel. Private to the room. */
#ifndef TALON_EXPOSE_MESSAGE_INTERNAL_H
#define TALON_EXPOSE_MESSAGE_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot/control.h"

/* Results are freed by envelope_free(), which wipes. Each returns 0 or a negative errno. */
int expose_pack_create(const struct control_expose *expose, uint8_t **ret_bytes, size_t *ret_len);
/* RenewExposeRequest and StopExposeRequest, which are identical. */
int expose_pack_domain(const char *domain, uint8_t **ret_bytes, size_t *ret_len);
/* Returns 0, or -EBADMSG for what cannot be read, shown or renewed. */
int expose_parse_created(const uint8_t *bytes, size_t len, struct control_exposed *ret_exposed);

#endif
