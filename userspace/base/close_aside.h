/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closing what takes the kernel long: a packet socket waits for all processors to have let go of it, 15 to 45
 * ms each on a busy machine, in which a successor could already be at work.
 */
#ifndef TALON_CLOSE_ASIDE_H
#define TALON_CLOSE_ASIDE_H

/* Closes @fd in a thread of its own, or here where none can be made. Negative: nothing. */
void close_aside(int fd);

#endif
