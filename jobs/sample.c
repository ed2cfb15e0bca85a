/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/sample.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secmem.h"
#include "csfle/key_doc.h"
#include "keyturn/engine.h"

enum { FIELDS = 6, KEYS_AT_ONCE = 512, WRITE_NBYTES = 1 << 20 };

/* The fields that the schema encrypts; each has a DEK of its own while there are enough. */
static const struct field {
    const char *parent, *name, *type;
    bool deterministic;
} fields[FIELDS] = {
    {NULL, "email", "string", true},    {NULL, "ssn", "string", true},
    {NULL, "phone", "string", false},   {NULL, "birthdate", "date", false},
    {NULL, "address", "object", false}, {"payment", "card", "string", false},
};

struct sample {
    const struct kt_sample_options *options;
    struct kt_sample_result *result;
    struct kt_error *err;
    int folder; /* TO.part, locked */
    struct kt_secmem *secmem;
    struct kt_engine *engine;
    uint8_t *masters[2]; /* local:old, local:new; locked memory */
    uint8_t ids[FIELDS][16];
};

static enum kt_status io_failed(const struct sample *sample, const char *file)
{
    return kt_fail(sample->err, KT_E_IO, "%s.part/%s: %s", sample->options->to, file, strerror(errno));
}

static enum kt_status no_random(const struct sample *sample)
{
    return kt_fail(sample->err, KT_E_INTERNAL, "the system's random source failed");
}

static enum kt_status write_all(const struct sample *sample, int fd, const char *file, const void *data,
                                size_t nbytes)
{
    const uint8_t *p = data;
    while (nbytes > 0) {
        ssize_t done = write(fd, p, nbytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return io_failed(sample, file);
        p += done;
        nbytes -= (size_t)done;
    }
    return KT_OK;
}

/* A file of an earlier, killed run goes first: it may have another mode. */
static int create(const struct sample *sample, const char *file, mode_t mode)
{
    int fd = -1;
    if (unlinkat(sample->folder, file, 0) == 0 || errno == ENOENT)
        fd = openat(sample->folder, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return fd;
}

/* Closes fd; a status other than KT_OK goes before what close says. */
static enum kt_status finish_file(const struct sample *sample, int fd, const char *file,
                                  enum kt_status status)
{
    if (status == KT_OK && fsync(fd) != 0)
        status = io_failed(sample, file);
    if (close(fd) != 0 && status == KT_OK)
        status = io_failed(sample, file);
    return status;
}

static enum kt_status write_text(const struct sample *sample, const char *file, mode_t mode, const char *text,
                                 size_t nbytes)
{
    int fd = create(sample, file, mode);
    if (fd < 0)
        return io_failed(sample, file);
    return finish_file(sample, fd, file, write_all(sample, fd, file, text, nbytes));
}

static enum kt_status write_documents(struct sample *sample)
{
    const char *file = "dump/shop/customers.bson";
    struct kt_buf buf = {0};
    int fd = create(sample, file, 0666);
    if (fd < 0)
        return io_failed(sample, file);
    enum kt_status status = KT_OK;
    for (uint64_t i = 0; status == KT_OK && i < sample->options->documents; i++) {
        if (kt_sample_document(sample->options->seed, i, &buf) != KT_OK) {
            status = kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's documents");
        } else if (buf.nbytes >= WRITE_NBYTES || i + 1 == sample->options->documents) {
            status = write_all(sample, fd, file, buf.data, buf.nbytes);
            sample->result->nbytes += buf.nbytes;
            buf.nbytes = 0;
        }
    }
    kt_buf_free(&buf);
    return finish_file(sample, fd, file, status);
}

static enum kt_status write_metadata(struct sample *sample)
{
    char text[400];
    uint64_t seed = sample->options->seed;
    int nbytes = snprintf(text, sizeof text,
                          "{\"options\":{},\"indexes\":[{\"v\":{\"$numberInt\":\"2\"},\"key\":{\"_id\":"
                          "{\"$numberInt\":\"1\"}},\"name\":\"_id_\"}],\"uuid\":\"%016llx40008000%08llx\","
                          "\"collectionName\":\"customers\",\"type\":\"collection\"}",
                          (unsigned long long)seed, (unsigned long long)sample->options->documents);
    return write_text(sample, "dump/shop/customers.metadata.json", 0666, text, (size_t)nbytes);
}

/* Room for one run of keys. */
struct key_run {
    uint8_t *deks;    /* locked memory */
    uint8_t *wrapped; /* KT_WRAPPED_NBYTES each */
    struct kt_msg *msgs;
    struct kt_key *master; /* locked memory: local:old, prepared */
    struct kt_buf docs;
};

static enum kt_status key_run_init(struct sample *sample, struct key_run *run)
{
    run->deks = kt_secmem_alloc(sample->secmem, KEYS_AT_ONCE * KT_DEK_NBYTES);
    run->master = kt_secmem_alloc(sample->secmem, KT_KEY_NBYTES);
    run->wrapped = malloc(KEYS_AT_ONCE * KT_WRAPPED_NBYTES);
    run->msgs = calloc(KEYS_AT_ONCE, sizeof *run->msgs);
    if (!run->deks || !run->master || !run->wrapped || !run->msgs)
        return kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's keys");
    kt_keys_prepare(sample->engine, sample->masters[0], &run->master, 1);
    return KT_OK;
}

static void key_run_free(struct sample *sample, struct key_run *run)
{
    kt_secmem_free(sample->secmem, run->deks);
    kt_secmem_free(sample->secmem, run->master);
    free(run->wrapped);
    free(run->msgs);
    kt_buf_free(&run->docs);
}

static enum kt_status wrap_run(struct sample *sample, struct key_run *run, size_t count)
{
    if (RAND_priv_bytes(run->deks, (int)(count * KT_DEK_NBYTES)) != 1)
        return no_random(sample);
    for (size_t i = 0; i < count; i++)
        run->msgs[i] = (struct kt_msg){.in = (uint32_t)(i * KT_DEK_NBYTES),
                                       .in_nbytes = KT_DEK_NBYTES,
                                       .out = (uint32_t)(i * KT_WRAPPED_NBYTES),
                                       .mode = KT_MODE_RANDOM};
    const struct kt_key *master = run->master;
    struct kt_batch batch = {.in = run->deks,
                             .in_nbytes = count * KT_DEK_NBYTES,
                             .out = run->wrapped,
                             .out_nbytes = count * KT_WRAPPED_NBYTES,
                             .keys = &master,
                             .keys_count = 1,
                             .msgs = run->msgs,
                             .msgs_count = count};
    enum kt_status status = kt_seal(sample->engine, &batch);
    return status == KT_OK ? KT_OK
                           : kt_fail(sample->err, status, "the engine does not wrap the sample's keys");
}

/* {provider: "local:old"} */
static const uint8_t master_key_old[] = "\x1d\0\0\0\2provider\0\012\0\0\0local:old\0";

static void alt_name(uint64_t i, char *out, size_t nbytes)
{
    if (i < FIELDS)
        snprintf(out, nbytes, "%s/%s%s%s", KT_SAMPLE_NS, fields[i].parent ? fields[i].parent : "",
                 fields[i].parent ? "." : "", fields[i].name);
    else
        snprintf(out, nbytes, "sample-%06llu", (unsigned long long)i);
}

static enum kt_status build_run(struct sample *sample, struct key_run *run, uint64_t first, size_t count)
{
    int64_t now = kt_clock_utc_ms();
    run->docs.nbytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t id[16];
        char name[64];
        if (RAND_bytes(id, sizeof id) != 1)
            return no_random(sample);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40); /* UUID of version 4, RFC 4122 section 4.4 */
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
        if (first + i < FIELDS)
            memcpy(sample->ids[first + i], id, sizeof id);
        alt_name(first + i, name, sizeof name);
        struct kt_span names = kt_span_str(name);
        struct kt_key_doc_new key = {.id = id,
                                     .key_material =
                                         kt_span_of(run->wrapped + i * KT_WRAPPED_NBYTES, KT_WRAPPED_NBYTES),
                                     .master_key = kt_span_of(master_key_old, kt_load_le32(master_key_old)),
                                     .now_ms = now,
                                     .alt_names = &names,
                                     .alt_names_count = 1};
        enum kt_status status = kt_key_doc_build(&key, &run->docs);
        if (status != KT_OK)
            return kt_fail(sample->err, status, "no memory for the sample's keys");
    }
    return KT_OK;
}

static enum kt_status write_keys(struct sample *sample)
{
    const char *file = "keyvault.bson";
    struct key_run run = {0};
    uint64_t keys = sample->options->keys;
    int fd = create(sample, file, 0666);
    if (fd < 0)
        return io_failed(sample, file);
    enum kt_status status = key_run_init(sample, &run);
    for (uint64_t at = 0; status == KT_OK && at < keys; at += KEYS_AT_ONCE) {
        size_t count = keys - at < KEYS_AT_ONCE ? (size_t)(keys - at) : KEYS_AT_ONCE;
        status = wrap_run(sample, &run, count);
        if (status == KT_OK)
            status = build_run(sample, &run, at, count);
        if (status == KT_OK)
            status = write_all(sample, fd, file, run.docs.data, run.docs.nbytes);
    }
    key_run_free(sample, &run);
    /* with fewer keys than fields some share one */
    for (uint64_t i = keys; i < FIELDS && keys > 0; i++)
        memcpy(sample->ids[i], sample->ids[i % keys], 16);
    return finish_file(sample, fd, file, status);
}

static void print_field(FILE *out, const struct sample *sample, size_t i, const char *indent)
{
    char id[25];
    EVP_EncodeBlock((unsigned char *)id, sample->ids[i], 16);
    fprintf(out,
            "%s\"%s\": {\"encrypt\": {\n"
            "%s  \"keyId\": [{\"$binary\": {\"base64\": \"%s\", \"subType\": \"04\"}}],\n"
            "%s  \"algorithm\": \"AEAD_AES_256_CBC_HMAC_SHA_512-%s\",\n"
            "%s  \"bsonType\": \"%s\"}}",
            indent, fields[i].name, indent, id, indent, fields[i].deterministic ? "Deterministic" : "Random",
            indent, fields[i].type);
}

static enum kt_status write_schema(struct sample *sample)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *out = open_memstream(&text, &nbytes);
    if (!out)
        return kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's schema");
    fprintf(out, "{\"%s\": {\n  \"bsonType\": \"object\",\n  \"properties\": {\n", KT_SAMPLE_NS);
    for (size_t i = 0; i < FIELDS; i++) {
        if (fields[i].parent)
            fprintf(out, "    \"%s\": {\"bsonType\": \"object\", \"properties\": {\n", fields[i].parent);
        print_field(out, sample, i, fields[i].parent ? "      " : "    ");
        fprintf(out, "%s%s\n", fields[i].parent ? "}}" : "", i + 1 < FIELDS ? "," : "");
    }
    fputs("  }\n}}\n", out);
    enum kt_status status = fclose(out) == 0 ? KT_OK : kt_fail(sample->err, KT_E_NOMEM, "no memory");
    if (status == KT_OK)
        status = write_text(sample, "schema.json", 0666, text, nbytes);
    free(text);
    return status;
}

static enum kt_status write_providers(struct sample *sample)
{
    static const char *const parts[] = {"{\"kmsProviders\": {\n  \"local:old\": {\"key\": \"",
                                        "\"},\n  \"local:new\": {\"key\": \"", "\"}\n}}\n"};
    char *text = kt_secmem_alloc(sample->secmem, 512);
    if (!text)
        return kt_fail(sample->err, KT_E_NOMEM, "no locked memory for the sample's master keys");
    size_t at = 0;
    for (size_t i = 0; i < 3; i++) {
        size_t nbytes = strlen(parts[i]);
        memcpy(text + at, parts[i], nbytes);
        at += nbytes;
        if (i < 2)
            at += (size_t)EVP_EncodeBlock((unsigned char *)text + at, sample->masters[i], KT_DEK_NBYTES);
    }
    enum kt_status status = write_text(sample, "kms.json", 0600, text, at);
    kt_secmem_free(sample->secmem, text);
    return status;
}

static enum kt_status write_config(struct sample *sample)
{
    static const char text[] = "{\n"
                               "  \"keyVault\": \"keyvault.bson\",\n"
                               "  \"schemaMap\": \"schema.json\",\n"
                               "  \"kmsProviders\": \"kms.json\"\n"
                               "}\n";
    return write_text(sample, "keyturn.json", 0666, text, sizeof text - 1);
}

static enum kt_status open_secrets(struct sample *sample)
{
    struct kt_engine_options engine = {sample->options->backend, sample->options->cpu_disable,
                                       sample->options->log};
    enum kt_status status = kt_engine_open(&sample->engine, &engine, sample->err);
    if (status == KT_OK)
        status = kt_secmem_open(&sample->secmem, sample->err);
    for (size_t i = 0; status == KT_OK && i < 2; i++) {
        sample->masters[i] = kt_secmem_alloc(sample->secmem, KT_DEK_NBYTES);
        if (!sample->masters[i])
            status = kt_fail(sample->err, KT_E_NOMEM, "no locked memory for the sample's master keys");
        else if (RAND_priv_bytes(sample->masters[i], KT_DEK_NBYTES) != 1)
            status = no_random(sample);
    }
    return status;
}

static enum kt_status open_folder(struct sample *sample, const char *part)
{
    if (mkdir(part, 0777) != 0 && errno != EEXIST)
        return kt_fail(sample->err, KT_E_USAGE, "%s: %s", sample->options->to, strerror(errno));
    sample->folder = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (sample->folder < 0)
        return kt_fail(sample->err, KT_E_USAGE, "%s: %s", part, strerror(errno));
    if (flock(sample->folder, LOCK_EX | LOCK_NB) != 0)
        return kt_fail(sample->err, KT_E_BUSY, "another process writes %s", part);
    static const char *const folders[] = {"dump", "dump/shop"};
    for (size_t i = 0; i < 2; i++)
        if (mkdirat(sample->folder, folders[i], 0777) != 0 && errno != EEXIST)
            return io_failed(sample, folders[i]);
    return KT_OK;
}

static enum kt_status write_parts(struct sample *sample)
{
    enum kt_status (*const parts[])(struct sample *) = {write_keys,   write_schema,    write_providers,
                                                        write_config, write_documents, write_metadata};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        enum kt_status status = parts[i](sample);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

/* Only what this code has written; a folder with anything else in it stays. */
static void remove_part(const struct sample *sample, const char *part)
{
    static const char *const files[] = {"dump/shop/customers.bson",
                                        "dump/shop/customers.metadata.json",
                                        "keyvault.bson",
                                        "schema.json",
                                        "kms.json",
                                        "keyturn.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlinkat(sample->folder, files[i], 0);
    unlinkat(sample->folder, "dump/shop", AT_REMOVEDIR);
    unlinkat(sample->folder, "dump", AT_REMOVEDIR);
    rmdir(part);
}

static enum kt_status exists(const struct sample *sample)
{
    return kt_fail(sample->err, KT_E_EXISTS, "%s exists; name a folder that does not", sample->options->to);
}

static enum kt_status write_folder(struct sample *sample, const char *part)
{
    enum kt_status status = open_folder(sample, part);
    if (status == KT_OK) {
        status = open_secrets(sample);
        if (status == KT_OK)
            status = write_parts(sample);
        if (status == KT_OK &&
            renameat2(AT_FDCWD, part, AT_FDCWD, sample->options->to, RENAME_NOREPLACE) != 0)
            status = errno == EEXIST ? exists(sample) : io_failed(sample, "");
        if (status != KT_OK)
            remove_part(sample, part);
    }
    for (size_t i = 0; i < 2; i++)
        kt_secmem_free(sample->secmem, sample->masters[i]);
    kt_secmem_close(sample->secmem);
    kt_engine_close(sample->engine);
    if (sample->folder >= 0)
        close(sample->folder);
    return status;
}

enum kt_status kt_sample_write(const struct kt_sample_options *options, struct kt_sample_result *result,
                               struct kt_error *err)
{
    struct sample sample = {.options = options, .result = result, .err = err, .folder = -1};
    struct stat st;
    char *part = NULL;
    result->nbytes = 0;
    if (lstat(options->to, &st) == 0)
        return exists(&sample);
    size_t nbytes = strlen(options->to);
    while (nbytes > 1 && options->to[nbytes - 1] == '/')
        nbytes--;
    if (asprintf(&part, "%.*s.part", (int)nbytes, options->to) < 0)
        return kt_fail(err, KT_E_NOMEM, "no memory for the sample");
    enum kt_status status = write_folder(&sample, part);
    free(part);
    return status;
}
