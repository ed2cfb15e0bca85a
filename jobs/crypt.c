/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/crypt.h"

#include <stdlib.h>

/* handle -> slot of the current slice: open addressing, emptied by counting up `round`. */
struct kt_slice {
    size_t slots, used, mask;
    uint32_t *handles; /* by slot */
    const struct kt_key **keys;
    struct place {
        uint32_t handle, slot, round;
    } * places;
    uint32_t round;
};

struct kt_slice *kt_slice_new(size_t slots)
{
    struct kt_slice *slice = calloc(1, sizeof *slice);
    if (!slice)
        return NULL;
    size_t places = 16;
    while (places < 2 * slots)
        places *= 2;
    slice->slots = slots;
    slice->mask = places - 1;
    slice->handles = calloc(slots, sizeof *slice->handles);
    slice->keys = calloc(slots, sizeof *slice->keys);
    slice->places = calloc(places, sizeof *slice->places);
    if (!slice->handles || !slice->keys || !slice->places) {
        kt_slice_free(slice);
        return NULL;
    }
    return slice;
}

void kt_slice_free(struct kt_slice *slice)
{
    if (!slice)
        return;
    free(slice->handles);
    free(slice->keys);
    free(slice->places);
    free(slice);
}

static void slice_begin(struct kt_slice *slice)
{
    slice->used = 0;
    if (++slice->round == 0) {
        memset(slice->places, 0, (slice->mask + 1) * sizeof *slice->places);
        slice->round = 1;
    }
}

/* The handle's slot in this slice; UINT32_MAX when all are taken. */
static uint32_t slice_slot(struct kt_slice *slice, uint32_t handle)
{
    size_t i = (handle * 2654435761u) & slice->mask;
    while (slice->places[i].round == slice->round) {
        if (slice->places[i].handle == handle)
            return slice->places[i].slot;
        i = (i + 1) & slice->mask;
    }
    if (slice->used == slice->slots)
        return UINT32_MAX;
    uint32_t slot = (uint32_t)slice->used++;
    slice->places[i] = (struct place){.handle = handle, .slot = slot, .round = slice->round};
    slice->handles[slot] = handle;
    return slot;
}

typedef enum kt_status (*engine_fn)(struct kt_engine *engine, const struct kt_batch *batch);

static enum kt_status run_slices(struct kt_worker *worker, struct kt_job_batch *batch, struct kt_span in,
                                 struct kt_region *out, engine_fn run)
{
    struct kt_slice *slice = worker->slice;
    enum kt_status all = KT_OK;
    for (size_t first = 0, end; first < batch->msgs_count; first = end) {
        slice_begin(slice);
        for (end = first; end < batch->msgs_count; end++) {
            uint32_t slot = slice_slot(slice, batch->msgs[end].key);
            if (slot == UINT32_MAX)
                break;
            batch->msgs[end].key = slot;
        }
        enum kt_status status = kt_dek_cache_get(worker->cache, slice->handles, slice->used, slice->keys);
        if (status != KT_OK)
            return status;
        struct kt_batch part = {.in = in.data,
                                .in_nbytes = in.nbytes,
                                .out = out->data,
                                .out_nbytes = out->capacity,
                                .keys = slice->keys,
                                .keys_count = slice->used,
                                .msgs = batch->msgs + first,
                                .msgs_count = end - first};
        status = run(worker->engine, &part);
        if (status == KT_E_ITEM)
            all = KT_E_ITEM;
        else if (status != KT_OK)
            return status;
    }
    return all;
}

enum kt_status kt_crypt_seal(struct kt_worker *worker, struct kt_job_batch *batch, struct kt_span in,
                             struct kt_region *out)
{
    return run_slices(worker, batch, in, out, kt_seal);
}

enum kt_status kt_crypt_open(struct kt_worker *worker, struct kt_job_batch *batch, struct kt_span in,
                             struct kt_region *out)
{
    return run_slices(worker, batch, in, out, kt_open);
}
