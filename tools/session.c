/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/session.h"

#include <stdlib.h>
#include <string.h>

#include "tools/help.h"
#include "tools/outputs.h"

static void open_screen(struct kt_session *session)
{
    const struct kt_settings *s = &session->settings;
    kt_screen_open(&session->screen, s->log_format && strcmp(s->log_format, "json") == 0, s->quiet,
                   s->verbose);
}

bool kt_session_begin(struct kt_session *session, const struct kt_cli_command *command, int argc, char **argv,
                      int *exit)
{
    struct kt_error err;
    bool help = false;
    *session = (struct kt_session){0};
    enum kt_status status = kt_command_line_read(command, argc, argv, &session->settings, &help, &err);
    open_screen(session);
    if (status != KT_OK) {
        *exit = kt_screen_refused(&session->screen, &err);
        return false;
    }
    if (!help)
        return true;
    kt_help_command(stdout, command);
    *exit = kt_screen_flush(0);
    return false;
}

int kt_session_refuse(struct kt_session *session, const struct kt_error *err)
{
    *session = (struct kt_session){0};
    open_screen(session);
    return kt_screen_refused(&session->screen, err);
}

enum kt_status kt_session_load(struct kt_session *session, struct kt_error *err)
{
    enum kt_status status = kt_outputs_apart(&session->settings, err);
    if (status == KT_OK)
        status = kt_report_open(&session->report, session->settings.report, err);
    return status == KT_OK ? kt_inputs_load(&session->inputs, &session->settings, &session->screen, err)
                           : status;
}

void kt_session_end(struct kt_session *session)
{
    kt_report_close(&session->report);
    kt_screen_close(&session->screen);
    kt_inputs_free(&session->inputs);
    kt_settings_cleanup(&session->settings);
}

const char *kt_from_environment(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}
