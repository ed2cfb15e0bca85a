/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KT_TOOLS_VERSION_H
#define KT_TOOLS_VERSION_H

#include <stdio.h>

/* The program, the libraries that are loaded now, and the engine's backends. */
void kt_version_print(FILE *out);

#endif
