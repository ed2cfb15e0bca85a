/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/vault_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/array.h"
#include "common/region.h"
#include "io/store.h"

#define READ_NBYTES ((size_t)1 << 20)
/* Key documents are rarely longer; one read fetches them. */
#define USUAL_NBYTES ((size_t)1024)

/* One key document: 16 bytes of id, and where it lies. */
struct by_id {
    uint8_t id[16];
    uint64_t at;
};

struct by_name {
    uint64_t hash, at;
};

struct kt_vault_file {
    char *name;
    int fd; /* plain files are read again here; -1: documents lie in `kept` */
    struct kt_buf kept;
    struct by_id *ids; /* sorted */
    size_t ids_count, ids_capacity;
    struct by_name *names; /* sorted */
    size_t names_count, names_capacity;
    struct kt_buf scratch;
};

static int compare_id(const void *a, const void *b)
{
    return memcmp(((const struct by_id *)a)->id, ((const struct by_id *)b)->id, 16);
}

static int compare_name(const void *a, const void *b)
{
    uint64_t left = ((const struct by_name *)a)->hash, right = ((const struct by_name *)b)->hash;
    return (left > right) - (left < right);
}

static void fit(void **array, size_t *capacity, size_t count, size_t item_nbytes)
{
    void *smaller = count ? realloc(*array, count * item_nbytes) : NULL;
    if (!smaller)
        return;
    *array = smaller;
    *capacity = count;
}

static enum kt_status index_key(struct kt_vault_file *vault, const struct kt_key_doc *key, uint64_t at)
{
    struct kt_span name;
    size_t cursor = 0;
    if (kt_array_reserve(&vault->ids, &vault->ids_capacity, vault->ids_count + 1, sizeof *vault->ids) !=
        KT_OK)
        return KT_E_NOMEM;
    struct by_id *entry = &vault->ids[vault->ids_count++];
    memcpy(entry->id, key->id, sizeof entry->id);
    entry->at = at;
    while (kt_key_doc_alt_name(key, &cursor, &name)) {
        if (kt_array_reserve(&vault->names, &vault->names_capacity, vault->names_count + 1,
                             sizeof *vault->names) != KT_OK)
            return KT_E_NOMEM;
        vault->names[vault->names_count++] = (struct by_name){kt_span_hash(name), at};
    }
    return KT_OK;
}

/* A vault with a document that drivers would refuse is broken, or no key vault at all: better said at once
 * than later as a missing key. */
static enum kt_status index_piece(struct kt_vault_file *vault, const uint8_t *docs,
                                  const struct kt_piece *piece, struct kt_error *err)
{
    struct kt_key_doc key;
    struct kt_error why;
    uint32_t nbytes;
    for (size_t at = 0; at < piece->nbytes; at += nbytes) {
        nbytes = kt_load_le32(docs + at);
        enum kt_status status = kt_key_doc_parse(kt_span_of(docs + at, nbytes), &key, &why);
        if (status != KT_OK)
            return kt_fail(err, status, "%s: offset %" PRIu64 ": %s; is this the key vault?", vault->name,
                           piece->at + at, why.message);
        uint64_t where = vault->fd >= 0 ? piece->at + at : vault->kept.nbytes;
        status = index_key(vault, &key, where);
        if (status == KT_OK && vault->fd < 0)
            status = kt_buf_append(&vault->kept, docs + at, nbytes);
        if (status != KT_OK)
            return kt_fail(err, status, "memory ran out");
    }
    return KT_OK;
}

/* Plain BSON is read again from its file; what is compressed or interleaved is kept. */
static enum kt_status open_again(struct kt_vault_file *vault, const struct kt_source *source,
                                 const struct kt_entry *entry, struct kt_error *err)
{
    char path[PATH_MAX];
    if (kt_source_container(source) == KT_ARCHIVE || entry->codec != KT_CODEC_NONE)
        return KT_OK;
    int n = snprintf(path, sizeof path, "%s%s%s", vault->name, *entry->file ? "/" : "", entry->file);
    if (n < 0 || (size_t)n >= sizeof path)
        return kt_fail(err, KT_E_USAGE, "%s: the path is too long", vault->name);
    vault->fd = open(path, O_RDONLY | O_CLOEXEC);
    return vault->fd >= 0 ? KT_OK : kt_fail(err, KT_E_IO, "%s: %s", path, strerror(errno));
}

static enum kt_status read_all(struct kt_vault_file *vault, struct kt_source *source, uint32_t wanted,
                               struct kt_region *region, struct kt_error *err)
{
    struct kt_piece piece = {0};
    for (;;) {
        enum kt_status status = kt_source_next(source, READ_NBYTES, region, &piece, err);
        if (status != KT_OK || piece.kind == KT_PIECE_END)
            return status;
        if (piece.kind != KT_PIECE_DOCS || piece.entry != wanted)
            continue;
        status = index_piece(vault, region->data, &piece, err);
        if (status != KT_OK)
            return status;
    }
}

static enum kt_status index_source(struct kt_vault_file *vault, struct kt_source *source, const char *ns,
                                   struct kt_error *err)
{
    const struct kt_entry *entry;
    uint32_t i = 0;
    bool lone = kt_source_container(source) == KT_BSON_FILE;
    while ((entry = kt_source_entry(source, i)) && !lone && strcmp(entry->ns, ns) != 0)
        i++;
    if (!entry)
        return kt_fail(err, KT_E_USAGE, "%s holds no %s; name the key vault with --key-vault-namespace",
                       vault->name, ns);
    struct kt_region region = {0};
    enum kt_status status = open_again(vault, source, entry, err);
    if (status == KT_OK)
        status = read_all(vault, source, i, &region, err);
    kt_region_free(&region);
    fit((void **)&vault->ids, &vault->ids_capacity, vault->ids_count, sizeof *vault->ids);
    fit((void **)&vault->names, &vault->names_capacity, vault->names_count, sizeof *vault->names);
    if (vault->ids_count)
        qsort(vault->ids, vault->ids_count, sizeof *vault->ids, compare_id);
    if (vault->names_count)
        qsort(vault->names, vault->names_count, sizeof *vault->names, compare_name);
    return status;
}

enum kt_status kt_vault_file_open(struct kt_vault_file **out, const char *name, const char *ns,
                                  struct kt_error *err)
{
    struct kt_source *source;
    *out = NULL;
    struct kt_vault_file *vault = calloc(1, sizeof *vault);
    if (!vault || !(vault->name = strdup(name))) {
        free(vault);
        return kt_fail(err, KT_E_NOMEM, "memory ran out");
    }
    vault->fd = -1;
    enum kt_status status = kt_source_open(&source, name, NULL, err);
    if (status == KT_OK) {
        status = index_source(vault, source, ns, err);
        kt_source_close(source);
    }
    if (status != KT_OK) {
        kt_vault_file_close(vault);
        return status;
    }
    *out = vault;
    return KT_OK;
}

void kt_vault_file_close(struct kt_vault_file *vault)
{
    if (!vault)
        return;
    if (vault->fd >= 0)
        close(vault->fd);
    kt_buf_free(&vault->kept);
    kt_buf_free(&vault->scratch);
    free(vault->ids);
    free(vault->names);
    free(vault->name);
    free(vault);
}

/* Reads until `least` bytes are there, at most nbytes, and gives how many in *got. */
static enum kt_status read_at(struct kt_vault_file *vault, uint64_t at, size_t least, size_t nbytes,
                              size_t *got, struct kt_error *err)
{
    vault->scratch.nbytes = 0;
    enum kt_status status = kt_buf_reserve(&vault->scratch, nbytes);
    if (status != KT_OK)
        return kt_fail(err, status, "memory ran out");
    for (*got = 0; *got < least;) {
        ssize_t n = pread(vault->fd, vault->scratch.data + *got, nbytes - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return kt_fail(err, KT_E_IO, "%s: %s", vault->name, strerror(errno));
        if (n == 0)
            return kt_fail(err, KT_E_IO, "%s: it became shorter while it was read", vault->name);
        *got += (size_t)n;
    }
    return KT_OK;
}

static enum kt_status parse_again(struct kt_vault_file *vault, struct kt_span doc, struct kt_key_doc *key,
                                  struct kt_error *err)
{
    if (kt_key_doc_parse(doc, key, NULL) == KT_OK)
        return KT_OK;
    return kt_fail(err, KT_E_IO, "%s: it was changed while it was read", vault->name);
}

static enum kt_status document_at(struct kt_vault_file *vault, uint64_t at, struct kt_key_doc *key,
                                  struct kt_error *err)
{
    if (vault->fd < 0) {
        const uint8_t *doc = vault->kept.data + at;
        return parse_again(vault, kt_span_of(doc, kt_load_le32(doc)), key, err);
    }
    size_t got;
    enum kt_status status = read_at(vault, at, 5, USUAL_NBYTES, &got, err);
    if (status != KT_OK)
        return status;
    uint32_t nbytes = kt_load_le32(vault->scratch.data);
    if (nbytes < 5 || nbytes > KT_DOC_READ_MAX_NBYTES)
        return kt_fail(err, KT_E_IO, "%s: it was changed while it was read", vault->name);
    if (got < nbytes)
        status = read_at(vault, at, nbytes, nbytes, &got, err);
    return status == KT_OK ? parse_again(vault, kt_span_of(vault->scratch.data, nbytes), key, err) : status;
}

/* Calls found for every document of a run of equal index entries. */
typedef void (*found_fn)(void *arg, const struct kt_key_doc *key);

static enum kt_status hand_out(struct kt_vault_file *vault, uint64_t at, const struct kt_key_query *query,
                               found_fn found, void *arg, struct kt_error *err)
{
    struct kt_key_doc key;
    struct kt_span name;
    size_t cursor = 0;
    enum kt_status status = document_at(vault, at, &key, err);
    bool wanted = query->id != NULL;
    while (status == KT_OK && !wanted && kt_key_doc_alt_name(&key, &cursor, &name))
        wanted = kt_span_equal(name, query->name);
    if (status == KT_OK && wanted)
        found(arg, &key);
    return status;
}

static enum kt_status find_id(struct kt_vault_file *vault, const struct kt_key_query *query, found_fn found,
                              void *arg, struct kt_error *err)
{
    size_t low = 0, high = vault->ids_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(vault->ids[middle].id, query->id, 16) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    enum kt_status status = KT_OK;
    for (; low < vault->ids_count && memcmp(vault->ids[low].id, query->id, 16) == 0 && status == KT_OK; low++)
        status = hand_out(vault, vault->ids[low].at, query, found, arg, err);
    return status;
}

static enum kt_status find_name(struct kt_vault_file *vault, const struct kt_key_query *query, found_fn found,
                                void *arg, struct kt_error *err)
{
    uint64_t hash = kt_span_hash(query->name);
    size_t low = 0, high = vault->names_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (vault->names[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    enum kt_status status = KT_OK;
    for (; low < vault->names_count && vault->names[low].hash == hash && status == KT_OK; low++)
        status = hand_out(vault, vault->names[low].at, query, found, arg, err);
    return status;
}

static enum kt_status find(void *context, const struct kt_key_query *queries, size_t count, found_fn found,
                           void *arg, struct kt_error *err)
{
    enum kt_status status = KT_OK;
    for (size_t i = 0; i < count && status == KT_OK; i++) {
        status = queries[i].id ? find_id(context, &queries[i], found, arg, err)
                               : find_name(context, &queries[i], found, arg, err);
    }
    return status;
}

struct kt_key_source kt_vault_file_source(struct kt_vault_file *vault)
{
    return (struct kt_key_source){.context = vault, .find = find};
}
