/* SPDX-License-Identifier: Apache-2.0 */
/* One table of all options: the command line, the configuration file, --help and the man page's test read it
 * and nothing else. */
#ifndef KT_TOOLS_OPTION_TABLE_H
#define KT_TOOLS_OPTION_TABLE_H

#include "tools/settings.h"

/* One bit a command. */
enum kt_command_bit {
    KT_CMD_REWRAP = 1 << 0,
    KT_CMD_ENCRYPT = 1 << 1,
    KT_CMD_DECRYPT = 1 << 2,
    KT_CMD_VERIFY = 1 << 3,
    KT_CMD_SAMPLE = 1 << 4,
    KT_CMD_STATUS = 1 << 5,
    KT_CMD_BENCH = 1 << 6,
    KT_CMD_KEYS = 1 << 7,
};

enum kt_option_type {
    KT_OPTION_FLAG,      /* bool */
    KT_OPTION_TEXT,      /* const char * */
    KT_OPTION_CHOICE,    /* const char *, one of `choices` */
    KT_OPTION_PATH,      /* const char *: a store or a file; in a configuration file relative to its folder */
    KT_OPTION_LIST,      /* struct kt_strings; may be given several times */
    KT_OPTION_STORES,    /* struct kt_strings of stores; several times where the command allows it */
    KT_OPTION_COUNT,     /* uint64_t, min to max */
    KT_OPTION_AGE,       /* int64_t, milliseconds */
    KT_OPTION_JSON_FILE, /* struct kt_document_source: a file */
    KT_OPTION_SECRET,    /* struct kt_document_source: a file, or env:NAME */
    KT_OPTION_JSON,      /* struct kt_document_source: JSON, or @FILE */
};

struct kt_option {
    const char *name;     /* kebab case, without dashes */
    const char *argument; /* its name in the help; NULL for flags */
    enum kt_option_type type;
    unsigned commands; /* which commands take it */
    unsigned required; /* which commands cannot do without it */
    const char *help;
    const char *preset;  /* the default, as words; NULL: none */
    const char *choices; /* "fail|leave" */
    uint64_t min, max;
    size_t at; /* offset in struct kt_settings */
    bool config_only;
};

size_t kt_options_count(void);
const struct kt_option *kt_option_at(size_t i);
size_t kt_option_index(const struct kt_option *option);

/* By its name in kebab case (camel false) or camelCase; NULL when there is none. nbytes: of the name. */
const struct kt_option *kt_option_find(const char *name, size_t nbytes, bool camel);

/* The option's name in camelCase. out has room for 64 bytes. */
void kt_option_camel(const struct kt_option *option, char out[64]);

/* The nearest name that a command takes (bit 0: any), or NULL when none is near. With camel, config-only
 * options count too. */
const struct kt_option *kt_option_nearest(const char *name, unsigned bit, bool camel);

/* Sets an option from text. folder: NULL, or the configuration file's. where: "--threads", or
 * "keyturn.json: threads". KT_OK, KT_E_USAGE (names where, what is wrong and what is right), KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_option_set(const struct kt_option *option, struct kt_settings *settings,
                                         const char *text, const char *folder, const char *where,
                                         struct kt_error *err);

/* The setting that belongs to an option. */
void *kt_option_slot(const struct kt_option *option, struct kt_settings *settings);

#endif
