/* SPDX-License-Identifier: Apache-2.0 */
#include "io/mongo/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

#define PATIENCE_NS 120000000000ull
#define PAUSE_NS 200000000L
#define MESSAGE_MAX ((uint32_t)1 << 20)

static bool write_all(int fd, const uint8_t *data, size_t nbytes)
{
    while (nbytes) {
        ssize_t n = write(fd, data, nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        nbytes -= (size_t)n;
    }
    return true;
}

enum kt_status kt_guard_tell(int fd, const struct kt_mongo *mongo, const uint8_t *sessions, size_t count,
                             struct kt_error *err)
{
    bson_t message = BSON_INITIALIZER;
    if (fd < 0)
        return KT_OK;
    BSON_APPEND_UTF8(&message, "uri", kt_mongo_uri(mongo));
    bson_append_binary(&message, "sessions", -1, BSON_SUBTYPE_BINARY, sessions, (uint32_t)(16 * count));
    bool ok = message.len <= MESSAGE_MAX && write_all(fd, bson_get_data(&message), message.len);
    bson_destroy(&message);
    return ok ? KT_OK : kt_fail(err, KT_E_IO, "the guard process is gone: %s", strerror(errno));
}

void kt_guard_dismiss(int fd)
{
    bson_t message = BSON_INITIALIZER;
    if (fd < 0)
        return;
    BSON_APPEND_BOOL(&message, "done", true);
    (void)!write_all(fd, bson_get_data(&message), message.len);
    bson_destroy(&message);
}

static bool read_all(int fd, uint8_t *data, size_t nbytes)
{
    while (nbytes) {
        ssize_t n = read(fd, data, nbytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        data += n;
        nbytes -= (size_t)n;
    }
    return true;
}

/* The next message; NULL at the pipe's end. */
static bson_t *read_message(int fd)
{
    uint8_t head[4];
    if (!read_all(fd, head, sizeof head))
        return NULL;
    uint32_t nbytes = kt_load_le32(head);
    uint8_t *data = nbytes >= 5 && nbytes <= MESSAGE_MAX ? malloc(nbytes) : NULL;
    if (!data)
        return NULL;
    memcpy(data, head, sizeof head);
    bson_t *message =
        read_all(fd, data + sizeof head, nbytes - sizeof head) ? bson_new_from_data(data, nbytes) : NULL;
    free(data);
    return message;
}

struct charge {
    bson_t *message;
    struct charge *next;
};

/* One try. */
static bool end_sessions(const bson_t *message)
{
    bson_iter_t iter;
    bson_subtype_t subtype;
    uint32_t nbytes = 0;
    const uint8_t *ids = NULL;
    struct kt_mongo *mongo;
    if (!bson_iter_init_find(&iter, message, "sessions") || !BSON_ITER_HOLDS_BINARY(&iter))
        return true;
    bson_iter_binary(&iter, &subtype, &nbytes, &ids);
    if (!bson_iter_init_find(&iter, message, "uri") || !BSON_ITER_HOLDS_UTF8(&iter))
        return true;
    if (kt_mongo_open(&mongo, bson_iter_utf8(&iter, NULL), "guard", 1, NULL, NULL) != KT_OK)
        return false;
    bool ok = kt_mongo_kill_sessions(mongo, ids, nbytes / 16, NULL) == KT_OK;
    kt_mongo_close(mongo);
    return ok;
}

int kt_guard_serve(int fd)
{
    struct charge *charges = NULL;
    bson_t *message;
    bool dismissed = false;
    int failed = 0;
    while (!dismissed && (message = read_message(fd))) {
        struct charge *charge = calloc(1, sizeof *charge);
        dismissed = bson_has_field(message, "done");
        if (charge) {
            *charge = (struct charge){.message = message, .next = charges};
            charges = charge;
        }
    }
    uint64_t until = kt_clock_ns() + PATIENCE_NS;
    while (charges) {
        struct charge *charge = charges;
        bool ended = dismissed;
        while (!ended && !(ended = end_sessions(charge->message)) && kt_clock_ns() < until)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
        failed |= !ended;
        charges = charge->next;
        bson_destroy(charge->message);
        free(charge);
    }
    return failed;
}
