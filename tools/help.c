/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/help.h"

#include <string.h>

#include "tools/option_table.h"

enum { INDENT = 29, WIDTH = 100 };

/* Words, filled into lines; the first line starts at column `column`. */
static void fill(FILE *out, const char *text, size_t column)
{
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column + word > WIDTH) {
            fprintf(out, "\n%*s", INDENT, "");
            column = INDENT;
        }
        fprintf(out, "%.*s", (int)word, text);
        column += word;
        text += word;
        if (*text) {
            text++;
            column++;
            if (column + strcspn(text, " ") <= WIDTH)
                fputc(' ', out);
        }
    }
    fputc('\n', out);
}

static void print_option(FILE *out, const struct kt_option *option)
{
    char left[80], right[600];
    snprintf(left, sizeof left, "  --%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    snprintf(right, sizeof right, "%s%s%s%s", option->help, option->preset ? " (default: " : "",
             option->preset ? option->preset : "", option->preset ? ")" : "");
    int width = fprintf(out, "%-*s", INDENT - 1, left);
    if (width >= INDENT)
        fprintf(out, "\n%*s", INDENT, "");
    else
        fputc(' ', out);
    fill(out, right, INDENT);
}

void kt_help_command(FILE *out, const struct kt_cli_command *command)
{
    fprintf(out, "keyturn %s: %s\n\nusage: keyturn %s %s\n\n", command->name, command->summary, command->name,
            command->usage);
    for (size_t i = 0; i < kt_options_count(); i++) {
        const struct kt_option *option = kt_option_at(i);
        if (option->commands & command->bit && !option->config_only)
            print_option(out, option);
    }
    fprintf(out, "  %-*s %s\n", INDENT - 3, "--help", "this text");
    if (command->notes)
        fprintf(out, "\n%s", command->notes);
}

void kt_help_program(FILE *out)
{
    fputs(
        "keyturn rotates the customer master keys (CMKs) of a MongoDB key vault, and encrypts and decrypts\n"
        "collections that already hold data (Client-Side Field Level Encryption).\n\n"
        "usage: keyturn COMMAND [options]\n\n",
        out);
    for (size_t i = 0; i < kt_commands_count(); i++)
        fprintf(out, "  %-10s %s\n", kt_command_at(i)->name, kt_command_at(i)->summary);
    fputs(
        "\n"
        "  keyturn COMMAND --help    its options\n"
        "  keyturn --version         versions of the program and its libraries, and the engine's backends\n\n"
        "exit status\n"
        "  0  done, nothing failed\n"
        "  1  done, but some documents or keys failed; each is listed\n"
        "  2  refused before anything was written\n"
        "  3  stopped by request or by a limit; the same command goes on from there\n"
        "  4  something outside failed midway; likewise\n"
        "  5  verify or status found something\n",
        out);
}
