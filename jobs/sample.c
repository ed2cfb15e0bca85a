/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/sample_private.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/secmem.h"
#include "csfle/key_doc.h"
#include "keyturn/engine.h"

enum { WRITE_NBYTES = 1 << 20 };

const struct kt_sample_field kt_sample_fields[KT_SAMPLE_FIELDS] = {
    {NULL, "email", "string", true},    {NULL, "ssn", "string", true},
    {NULL, "phone", "string", false},   {NULL, "birthdate", "date", false},
    {NULL, "address", "object", false}, {"payment", "card", "string", false},
};

enum kt_status kt_sample_io_failed(const struct kt_sample *sample, const char *file)
{
    return kt_fail(sample->err, KT_E_IO, "%s.part/%s: %s", sample->options->to, file, strerror(errno));
}

enum kt_status kt_sample_no_random(const struct kt_sample *sample)
{
    return kt_fail(sample->err, KT_E_INTERNAL, "the system's random source failed");
}

enum kt_status kt_sample_put(const struct kt_sample *sample, int fd, const char *file, const void *data,
                             size_t nbytes)
{
    const uint8_t *p = data;
    while (nbytes > 0) {
        ssize_t done = write(fd, p, nbytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return kt_sample_io_failed(sample, file);
        p += done;
        nbytes -= (size_t)done;
    }
    return KT_OK;
}

/* What a killed run left may have another mode. */
int kt_sample_create(const struct kt_sample *sample, const char *file, mode_t mode)
{
    int fd = -1;
    if (unlinkat(sample->folder, file, 0) == 0 || errno == ENOENT)
        fd = openat(sample->folder, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    return fd;
}

enum kt_status kt_sample_finish(const struct kt_sample *sample, int fd, const char *file,
                                enum kt_status status)
{
    if (status == KT_OK && fsync(fd) != 0)
        status = kt_sample_io_failed(sample, file);
    if (close(fd) != 0 && status == KT_OK)
        status = kt_sample_io_failed(sample, file);
    return status;
}

static enum kt_status write_text(const struct kt_sample *sample, const char *file, mode_t mode,
                                 const char *text, size_t nbytes)
{
    int fd = kt_sample_create(sample, file, mode);
    if (fd < 0)
        return kt_sample_io_failed(sample, file);
    return kt_sample_finish(sample, fd, file, kt_sample_put(sample, fd, file, text, nbytes));
}

static enum kt_status write_documents(struct kt_sample *sample)
{
    const char *file = "dump/shop/customers.bson";
    struct kt_buf buf = {0};
    int fd = kt_sample_create(sample, file, 0666);
    if (fd < 0)
        return kt_sample_io_failed(sample, file);
    enum kt_status status = KT_OK;
    for (uint64_t i = 0; status == KT_OK && i < sample->options->documents; i++) {
        if (kt_sample_document(sample->options->seed, i, &buf) != KT_OK) {
            status = kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's documents");
        } else if (buf.nbytes >= WRITE_NBYTES || i + 1 == sample->options->documents) {
            status = kt_sample_put(sample, fd, file, buf.data, buf.nbytes);
            sample->result->nbytes += buf.nbytes;
            buf.nbytes = 0;
        }
    }
    kt_buf_free(&buf);
    return kt_sample_finish(sample, fd, file, status);
}

static enum kt_status write_metadata(struct kt_sample *sample)
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

static void print_field(FILE *out, const struct kt_sample *sample, size_t i, const char *indent)
{
    char id[25];
    EVP_EncodeBlock((unsigned char *)id, sample->ids[i], 16);
    fprintf(out,
            "%s\"%s\": {\"encrypt\": {\n"
            "%s  \"keyId\": [{\"$binary\": {\"base64\": \"%s\", \"subType\": \"04\"}}],\n"
            "%s  \"algorithm\": \"AEAD_AES_256_CBC_HMAC_SHA_512-%s\",\n"
            "%s  \"bsonType\": \"%s\"}}",
            indent, kt_sample_fields[i].name, indent, id, indent,
            kt_sample_fields[i].deterministic ? "Deterministic" : "Random", indent, kt_sample_fields[i].type);
}

static enum kt_status write_schema(struct kt_sample *sample)
{
    char *text = NULL;
    size_t nbytes = 0;
    FILE *out = open_memstream(&text, &nbytes);
    if (!out)
        return kt_fail(sample->err, KT_E_NOMEM, "no memory for the sample's schema");
    fprintf(out, "{\"%s\": {\n  \"bsonType\": \"object\",\n  \"properties\": {\n", KT_SAMPLE_NS);
    for (size_t i = 0; i < KT_SAMPLE_FIELDS; i++) {
        if (kt_sample_fields[i].parent)
            fprintf(out, "    \"%s\": {\"bsonType\": \"object\", \"properties\": {\n",
                    kt_sample_fields[i].parent);
        print_field(out, sample, i, kt_sample_fields[i].parent ? "      " : "    ");
        fprintf(out, "%s%s\n", kt_sample_fields[i].parent ? "}}" : "", i + 1 < KT_SAMPLE_FIELDS ? "," : "");
    }
    fputs("  }\n}}\n", out);
    enum kt_status status = fclose(out) == 0 ? KT_OK : kt_fail(sample->err, KT_E_NOMEM, "no memory");
    if (status == KT_OK)
        status = write_text(sample, "schema.json", 0666, text, nbytes);
    free(text);
    return status;
}

static enum kt_status write_providers(struct kt_sample *sample)
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

static enum kt_status write_config(struct kt_sample *sample)
{
    static const char text[] = "{\n"
                               "  \"keyVault\": \"keyvault.bson\",\n"
                               "  \"schemaMap\": \"schema.json\",\n"
                               "  \"kmsProviders\": \"kms.json\"\n"
                               "}\n";
    return write_text(sample, "keyturn.json", 0666, text, sizeof text - 1);
}

static enum kt_status open_secrets(struct kt_sample *sample)
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
            status = kt_sample_no_random(sample);
    }
    return status;
}

static enum kt_status write_parts(struct kt_sample *sample)
{
    enum kt_status (*const parts[])(struct kt_sample *) = {
        kt_sample_write_keys, write_schema, write_providers, write_config, write_documents, write_metadata};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        enum kt_status status = parts[i](sample);
        if (status != KT_OK)
            return status;
    }
    return KT_OK;
}

static enum kt_status exists(const struct kt_sample *sample)
{
    return kt_fail(sample->err, KT_E_EXISTS, "%s exists; name a folder that does not", sample->options->to);
}

static enum kt_status write_folder(struct kt_sample *sample, const char *part)
{
    enum kt_status status = kt_sample_open_folder(sample, part);
    if (status == KT_OK) {
        status = open_secrets(sample);
        if (status == KT_OK)
            status = write_parts(sample);
        if (status == KT_OK &&
            renameat2(AT_FDCWD, part, AT_FDCWD, sample->options->to, RENAME_NOREPLACE) != 0)
            status = errno == EEXIST ? exists(sample) : kt_sample_io_failed(sample, "");
        if (status != KT_OK)
            kt_sample_remove_folder(sample, part);
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
    struct kt_sample sample = {.options = options, .result = result, .err = err, .folder = -1};
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
