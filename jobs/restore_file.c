/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/restore_file.h"

#include <bson/bson.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

static enum kt_status broken(const struct kt_restore_file *r, uint64_t at, const char *what,
                             struct kt_error *err)
{
    return kt_fail(err, KT_E_FORMAT, "%s: the entry at byte %llu %s: this is no backup of a rewrap", r->name,
                   (unsigned long long)at, what);
}

static enum kt_status read_file(struct kt_restore_file *r, struct kt_error *err)
{
    struct stat st;
    const char *name = r->name;
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return kt_fail(err, errno == ENOENT ? KT_E_USAGE : KT_E_IO, "%s: %s", name, strerror(errno));
    enum kt_status status = KT_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        status = kt_fail(err, KT_E_USAGE, "%s is no file", name);
    if (status == KT_OK && kt_buf_reserve(&r->bytes, (size_t)st.st_size + 1) != KT_OK)
        status = kt_fail(err, KT_E_NOMEM, "memory ran out");
    while (status == KT_OK && r->bytes.nbytes < (size_t)st.st_size) {
        ssize_t n = read(fd, r->bytes.data + r->bytes.nbytes, (size_t)st.st_size - r->bytes.nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            status = kt_fail(err, KT_E_IO, "%s: %s", name, n < 0 ? strerror(errno) : "it became shorter");
        else
            r->bytes.nbytes += (size_t)n;
    }
    close(fd);
    return status;
}

static bool view_of(const bson_t *doc, const char *name, struct kt_span *span)
{
    bson_iter_t iter;
    uint32_t nbytes;
    const uint8_t *data;
    bson_subtype_t subtype;
    if (!bson_iter_init_find(&iter, doc, name))
        return false;
    if (BSON_ITER_HOLDS_DOCUMENT(&iter))
        bson_iter_document(&iter, &nbytes, &data);
    else if (BSON_ITER_HOLDS_BINARY(&iter))
        bson_iter_binary(&iter, &subtype, &nbytes, &data);
    else
        return false;
    *span = kt_span_of(data, nbytes);
    return true;
}

static enum kt_status take_ns(struct kt_restore_file *r, const bson_t *doc, uint64_t at, struct kt_error *err)
{
    bson_iter_t iter;
    if (r->ns_given)
        return KT_OK;
    if (!bson_iter_init_find(&iter, doc, "ns") || !BSON_ITER_HOLDS_UTF8(&iter))
        return broken(r, at, "has no namespace", err);
    const char *ns = bson_iter_utf8(&iter, NULL);
    if (*r->ns && strcmp(r->ns, ns) != 0)
        return kt_fail(err, KT_E_USAGE, "%s names several key vaults; choose one with --key-vault-namespace",
                       r->name);
    snprintf(r->ns, sizeof r->ns, "%s", ns);
    return KT_OK;
}

enum kt_status kt_restore_entry_read(struct kt_span doc, struct kt_restore_entry *entry, struct kt_error *why)
{
    bson_t whole, made;
    struct kt_span old, made_span;
    if (!bson_init_static(&whole, doc.data, doc.nbytes) || !view_of(&whole, "old", &old) ||
        !view_of(&whole, "new", &made_span) || !bson_init_static(&made, made_span.data, made_span.nbytes) ||
        !view_of(&made, "keyMaterial", &entry->material) || !view_of(&made, "masterKey", &entry->master_key))
        return kt_fail(why, KT_E_FORMAT, "lacks old or new");
    enum kt_status status = kt_key_doc_parse(old, &entry->old, why);
    entry->id = status == KT_OK ? entry->old.id : NULL;
    return status;
}

static enum kt_status take_entry(struct kt_restore_file *r, const uint8_t *data, uint32_t nbytes, uint64_t at,
                                 struct kt_error *err)
{
    bson_t doc;
    struct kt_restore_entry entry;
    struct kt_error why;
    if (kt_restore_entry_read(kt_span_of(data, nbytes), &entry, &why) != KT_OK)
        return broken(r, at, why.message, err);
    if (!bson_init_static(&doc, data, nbytes))
        return broken(r, at, "is no BSON", err);
    enum kt_status status = take_ns(r, &doc, at, err);
    if (status != KT_OK)
        return status;
    if (r->entries_count == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : 1024;
        struct kt_restore_entry *more = realloc(r->entries, capacity * sizeof *more);
        if (!more)
            return kt_fail(err, KT_E_NOMEM, "memory ran out");
        r->entries = more;
        r->capacity = capacity;
    }
    r->entries[r->entries_count++] = entry;
    return KT_OK;
}

static int compare(const void *a, const void *b)
{
    const struct kt_restore_entry *left = a, *right = b;
    int order = memcmp(left->id, right->id, 16);
    return order ? order : (left->id > right->id) - (left->id < right->id);
}

enum kt_status kt_restore_file_read(struct kt_restore_file *r, const struct kt_log *log, struct kt_error *err)
{
    r->ns_given = *r->ns != 0;
    enum kt_status status = read_file(r, err);
    size_t at = 0;
    while (status == KT_OK && at + 5 <= r->bytes.nbytes) {
        uint32_t nbytes = kt_load_le32(r->bytes.data + at);
        if (nbytes < 5)
            return broken(r, at, "is no BSON", err);
        if (nbytes > r->bytes.nbytes - at)
            break;
        status = take_entry(r, r->bytes.data + at, nbytes, at, err);
        at += nbytes;
    }
    if (status == KT_OK && at < r->bytes.nbytes && at == 0)
        return broken(r, 0, "is not whole", err);
    if (status == KT_OK && at < r->bytes.nbytes)
        kt_log(log, KT_LOG_WARN,
               "%s: its last entry was cut off before anything was written for it: passed "
               "over",
               r->name);
    if (status == KT_OK && r->entries_count)
        qsort(r->entries, r->entries_count, sizeof *r->entries, compare);
    return status;
}

void kt_restore_file_free(struct kt_restore_file *file)
{
    kt_buf_free(&file->bytes);
    free(file->entries);
}
