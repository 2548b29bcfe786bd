// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// talon: the command line.
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("talon %s\n", TALON_VERSION);
	return 0;
}
