/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The part of the status about virtual addresses of the cluster. */
#ifndef TALON_STATUS_VIPS_H
#define TALON_STATUS_VIPS_H

#include <stdio.h>

#include "base/json_out.h"
#include "status/status.h"

struct reading;

/* A step of status_read(): 0, or a negative errno, with the line unless memory is short. */
int vips_read(struct reading *r);
/* Nothing where no source is asked. */
void vips_print(FILE *out, const struct status *status);
/* Member "virtualAddresses". */
void vips_put(struct json_out *json, const struct status *status);

#endif
