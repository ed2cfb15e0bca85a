/* SPDX-License-Identifier: Apache-2.0 */
/* A sample while it is written. */
#ifndef KT_JOBS_SAMPLE_PRIVATE_H
#define KT_JOBS_SAMPLE_PRIVATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "common/secmem.h"
#include "jobs/sample.h"
#include "keyturn/engine.h"

enum { KT_SAMPLE_FIELDS = 6 };

/* A field that the schema encrypts; each has a DEK of its own while there are enough. */
struct kt_sample_field {
    const char *parent, *name, *type; /* parent NULL: at the top */
    bool deterministic;
};
extern const struct kt_sample_field kt_sample_fields[KT_SAMPLE_FIELDS];

struct kt_sample {
    const struct kt_sample_options *options;
    struct kt_sample_result *result;
    struct kt_error *err;
    int folder; /* TO.part, locked */
    struct kt_secmem *secmem;
    struct kt_engine *engine;
    uint8_t *masters[2]; /* local:old, local:new; locked memory */
    uint8_t ids[KT_SAMPLE_FIELDS][16];
};

/* Makes TO.part, or takes what a killed run has left of it, and locks it. KT_OK, KT_E_EXISTS (it is
 * something else), KT_E_BUSY, KT_E_USAGE, KT_E_IO, KT_E_NOMEM. */
KT_MUST_USE enum kt_status kt_sample_open_folder(struct kt_sample *sample, const char *part);
void kt_sample_remove_folder(const struct kt_sample *sample, const char *part);

/* A new file of the folder; one that an earlier, killed run left goes first. -1 and errno, as open(2). */
int kt_sample_create(const struct kt_sample *sample, const char *file, mode_t mode);
/* KT_OK or KT_E_IO. */
KT_MUST_USE enum kt_status kt_sample_put(const struct kt_sample *sample, int fd, const char *file,
                                         const void *data, size_t nbytes);
/* Closes fd; a status other than KT_OK goes before what fsync and close say. */
KT_MUST_USE enum kt_status kt_sample_finish(const struct kt_sample *sample, int fd, const char *file,
                                            enum kt_status status);
enum kt_status kt_sample_io_failed(const struct kt_sample *sample, const char *file);
enum kt_status kt_sample_no_random(const struct kt_sample *sample);

/* keyvault.bson; fills ids. KT_OK, KT_E_IO, KT_E_NOMEM, KT_E_INTERNAL. */
KT_MUST_USE enum kt_status kt_sample_write_keys(struct kt_sample *sample);

#endif
