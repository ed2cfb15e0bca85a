/* SPDX-License-Identifier: Apache-2.0 */
/* The commands: one row each. */
#ifndef KT_TOOLS_COMMANDS_H
#define KT_TOOLS_COMMANDS_H

#include <stddef.h>

struct kt_cli_command {
    const char *name;
    const char *summary; /* one line */
    const char *usage;   /* what follows "keyturn NAME" on the usage line */
    const char *notes;   /* stands below the options in its help; NULL: nothing */
    unsigned bit;        /* which options it takes (enum kt_command_bit); 0: it reads argv itself */
    /* argv[0] is the command's name. Returns the exit status. */
    int (*run)(const struct kt_cli_command *command, int argc, char **argv);
};

size_t kt_commands_count(void);
const struct kt_cli_command *kt_command_at(size_t i);
const struct kt_cli_command *kt_command_find(const char *name); /* NULL: unknown */

/* The whole program after its process-wide settings. Returns the exit status. */
int kt_commands_main(int argc, char **argv);

/* In NAME_command.c. */
int kt_bench_command(const struct kt_cli_command *command, int argc, char **argv);
int kt_status_command(const struct kt_cli_command *command, int argc, char **argv);
int kt_job_command(const struct kt_cli_command *command, int argc, char **argv);
int kt_keys_command(const struct kt_cli_command *command, int argc, char **argv);
int kt_sample_command(const struct kt_cli_command *command, int argc, char **argv);

#endif
