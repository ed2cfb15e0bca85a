/* SPDX-License-Identifier: Apache-2.0 */
/* What every command does before and after its own work: command line, help, screen, report, the files that
 * options name. */
#ifndef KT_TOOLS_SESSION_H
#define KT_TOOLS_SESSION_H

#include "tools/command_line.h"
#include "tools/inputs.h"
#include "tools/report.h"
#include "tools/screen.h"
#include "tools/settings.h"

struct kt_session {
    struct kt_settings settings;
    struct kt_inputs inputs; /* secrets among them: freed by kt_session_end at the latest */
    struct kt_report report;
    struct kt_screen screen;
};

/* Reads the command line and opens the screen. False: there is nothing more to do than kt_session_end, and
 * *exit says how the command ends, for help was asked for and given, or the line was refused and the screen
 * says why. */
bool kt_session_begin(struct kt_session *session, const struct kt_cli_command *command, int argc, char **argv,
                      int *exit);
/* The same where the words before the options were wrong already: shows err. Returns the exit status. */
int kt_session_refuse(struct kt_session *session, const struct kt_error *err);
/* Opens the report and reads the files that options name. Errors: those of kt_outputs_apart, kt_report_open
 * and kt_inputs_load. */
enum kt_status kt_session_load(struct kt_session *session, struct kt_error *err);
void kt_session_end(struct kt_session *session);

/* The value of an environment variable; NULL when it is not set or empty. */
const char *kt_from_environment(const char *name);

#endif
