/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/file/source.h"

/* A server's metadata is bounded by its 16 MiB document; this bounds what a packed one may unfold to. */
#define METADATA_MAX_NBYTES ((size_t)64 << 20)

static enum kt_status read_whole(int fd, const char *label, struct kt_region *lent, struct kt_buf *text,
                                 struct kt_error *err)
{
    struct kt_input *in;
    enum kt_status status = kt_input_open(&in, fd, label, true, lent, err);
    if (status != KT_OK)
        return status;
    size_t got = SIZE_MAX;
    while (status == KT_OK && got > 0 && text->nbytes < METADATA_MAX_NBYTES) {
        if (kt_buf_reserve(text, 4096) != KT_OK)
            status = kt_fail(err, KT_E_NOMEM, "%s: memory ran out", label);
        else
            status = kt_input_read(in, text->data + text->nbytes, text->capacity - text->nbytes, &got, err);
        text->nbytes += status == KT_OK ? got : 0;
    }
    kt_input_close(in);
    if (status == KT_OK && text->nbytes >= METADATA_MAX_NBYTES)
        status = kt_fail(err, KT_E_FORMAT, "%s: metadata of more than 64 MiB", label);
    return status;
}

/* The file's descriptor, or -1 with errno. */
static int open_beside(int dir, const char *file, size_t stem, const char *ending)
{
    char *name = NULL;
    int fd = -1;
    if (asprintf(&name, "%.*s%s", (int)stem, file, ending) > 0) {
        fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        free(name);
    }
    return fd;
}

enum kt_status kt_metadata_beside(struct kt_metadata *metadata, bool *found, int dir, const char *file,
                                  const char *label, struct kt_region *lent, struct kt_error *err)
{
    *metadata = (struct kt_metadata){0};
    *found = false;
    const char *ending = ".metadata.json";
    char who[512];
    int fd = open_beside(dir, file, kt_bson_stem(file), ending);
    if (fd < 0 && errno == ENOENT)
        fd = open_beside(dir, file, kt_bson_stem(file), ending = ".metadata.json.gz");
    if (fd < 0 && errno == ENOENT)
        return KT_OK;
    snprintf(who, sizeof who, "%.*s%s", (int)kt_bson_stem(label), label, ending);
    if (fd < 0)
        return kt_fail(err, errno == ENOMEM ? KT_E_NOMEM : KT_E_USAGE, "%s: cannot be opened: %s", who,
                       strerror(errno));
    struct kt_buf text = {0}; /* names and options, no documents */
    enum kt_status status = read_whole(fd, who, lent, &text, err);
    if (status == KT_OK)
        status = kt_metadata_parse(metadata, kt_span_of(text.data, text.nbytes), who, err);
    *found = status == KT_OK;
    kt_buf_free(&text);
    return status;
}
