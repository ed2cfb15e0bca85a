/* SPDX-License-Identifier: Apache-2.0 */
/* Intel's multi-buffer library, CBC and HMAC in one job. It wants each message in one buffer, AD |
 * IV | padded plaintext | AL, and works in place: the first pass of a load brings its messages there and the
 * results back, so that they can be verified; the later ones, which are timed, are spared both. */
#include <intel-ipsec-mb.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_peer.h"

struct ipsec_key {
    _Alignas(64) uint8_t enc[15 * 16], enc_end[16], dec[15 * 16], dec_end[16], ipad[64], opad[64];
};

struct ipsec {
    const struct bench_load *load;
    IMB_MGR *mgr;
    struct ipsec_key *keys;
    uint8_t *rows, *outs, *tags;
    size_t stride;
    bool warm;
};

static void half(IMB_MGR *mgr, const uint8_t key[32], uint8_t pad, uint8_t state[64])
{
    uint8_t block[128];
    memset(block, pad, sizeof block);
    for (int i = 0; i < 32; i++)
        block[i] ^= key[i];
    IMB_SHA512_ONE_BLOCK(mgr, block, state);
}

static void stop(void *context)
{
    struct ipsec *c = context;
    if (c->mgr)
        free_mb_mgr(c->mgr);
    free(c->keys);
    free(c->rows);
    free(c->outs);
    free(c->tags);
    free(c);
}

static void *start(const struct bench_peer *peer, const struct bench_load *load)
{
    (void)peer;
    struct ipsec *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    size_t longest = 0;
    for (size_t i = 0; i < load->count; i++)
        longest = load->msgs[i].in_nbytes > longest ? load->msgs[i].in_nbytes : longest;
    c->load = load;
    c->stride = (18 + 64 + longest + 8 + 63) / 64 * 64;
    c->mgr = alloc_mb_mgr(0);
    c->keys = aligned_alloc(64, load->keys_count * sizeof *c->keys);
    c->rows = aligned_alloc(64, load->count * c->stride);
    c->outs = aligned_alloc(64, load->count * c->stride);
    c->tags = aligned_alloc(64, load->count * 64);
    if (!c->mgr || !c->keys || !c->rows || !c->outs || !c->tags) {
        stop(c);
        return NULL;
    }
    IMB_ARCH arch;
    init_mb_mgr_auto(c->mgr, &arch);
    for (size_t i = 0; i < load->keys_count; i++) {
        IMB_AES_KEYEXP_256(c->mgr, load->deks[i] + 32, c->keys[i].enc, c->keys[i].dec);
        half(c->mgr, load->deks[i], 0x36, c->keys[i].ipad);
        half(c->mgr, load->deks[i], 0x5c, c->keys[i].opad);
    }
    return c;
}

static size_t blocks_nbytes(const struct ipsec *c, const struct kt_msg *m)
{
    return (c->load->op == BENCH_OPEN ? m->in_nbytes : KT_SEALED_NBYTES(m->in_nbytes)) - 48;
}

static void bring_in(struct ipsec *c, size_t i)
{
    const struct bench_load *l = c->load;
    const struct kt_msg *m = &l->msgs[i];
    uint8_t *row = c->rows + c->stride * i;
    size_t nbytes = blocks_nbytes(c, m);
    if (l->op == BENCH_OPEN) {
        memcpy(row, l->in + m->in - 18, 34 + nbytes);
    } else {
        memcpy(row, l->out + m->out - 18, 34);
        memcpy(row + 34, l->in + m->in, m->in_nbytes);
        memset(row + 34 + m->in_nbytes, (int)(nbytes - m->in_nbytes), nbytes - m->in_nbytes);
    }
    memset(row + 34 + nbytes, 0, 8);
    row[34 + nbytes + 7] = 8 * 18;
}

static bool bring_out(struct ipsec *c, size_t i)
{
    const struct bench_load *l = c->load;
    struct kt_msg *m = &l->msgs[i];
    size_t nbytes = blocks_nbytes(c, m);
    uint8_t *out = l->out + m->out;
    if (l->op == BENCH_OPEN) {
        const uint8_t *plain = c->outs + c->stride * i;
        memcpy(out, plain, nbytes);
        m->out_nbytes = (uint32_t)(nbytes - plain[nbytes - 1]);
        return memcmp(c->tags + 64 * i, l->in + m->in + m->in_nbytes - 32, 32) == 0;
    }
    memcpy(out + 16, c->rows + c->stride * i + 34, nbytes);
    memcpy(out + 16 + nbytes, c->tags + 64 * i, 32);
    return true;
}

static void set_job(struct ipsec *c, IMB_JOB *job, size_t i)
{
    const struct kt_msg *m = &c->load->msgs[i];
    const struct ipsec_key *k = &c->keys[m->key];
    bool opening = c->load->op == BENCH_OPEN;
    size_t nbytes = blocks_nbytes(c, m);
    job->src = c->rows + c->stride * i;
    job->dst = opening ? c->outs + c->stride * i : c->rows + c->stride * i + 34;
    job->enc_keys = k->enc;
    job->dec_keys = k->dec;
    job->key_len_in_bytes = 32;
    job->iv = job->src + 18;
    job->iv_len_in_bytes = 16;
    job->cipher_start_src_offset_in_bytes = 34;
    job->msg_len_to_cipher_in_bytes = nbytes;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = 34 + nbytes + 8;
    job->auth_tag_output = c->tags + 64 * i;
    job->auth_tag_output_len_in_bytes = 32;
    job->u.HMAC._hashed_auth_key_xor_ipad = k->ipad;
    job->u.HMAC._hashed_auth_key_xor_opad = k->opad;
    job->cipher_mode = IMB_CIPHER_CBC;
    job->cipher_direction = opening ? IMB_DIR_DECRYPT : IMB_DIR_ENCRYPT;
    job->hash_alg = IMB_AUTH_HMAC_SHA_512;
    job->chain_order = opening ? IMB_ORDER_HASH_CIPHER : IMB_ORDER_CIPHER_HASH;
}

static bool run(struct ipsec *c)
{
    size_t done = 0;
    for (size_t i = 0; i < c->load->count; i++) {
        IMB_JOB *job = IMB_GET_NEXT_JOB(c->mgr);
        set_job(c, job, i);
        for (job = IMB_SUBMIT_JOB_NOCHECK(c->mgr); job; job = IMB_GET_COMPLETED_JOB(c->mgr))
            done += job->status == IMB_STATUS_COMPLETED;
    }
    for (IMB_JOB *job; (job = IMB_FLUSH_JOB(c->mgr)) != NULL;)
        done += job->status == IMB_STATUS_COMPLETED;
    return done == c->load->count;
}

static bool pass(void *context)
{
    struct ipsec *c = context;
    for (size_t i = 0; !c->warm && i < c->load->count; i++)
        bring_in(c, i);
    bool good = run(c);
    for (size_t i = 0; !c->warm && i < c->load->count; i++)
        good = good && bring_out(c, i);
    c->warm = true;
    return good;
}

static const char *version(void)
{
    return "intel-ipsec-mb " IMB_VERSION_STR;
}

const struct bench_peer bench_ipsec_mb = {.name = "ipsec-mb",
                                          .ops = 1u << BENCH_SEAL | 1u << BENCH_OPEN,
                                          .start = start,
                                          .pass = pass,
                                          .stop = stop,
                                          .version = version};
