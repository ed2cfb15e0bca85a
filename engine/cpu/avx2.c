/* SPDX-License-Identifier: Apache-2.0 */
/* The backend for AVX2 with AES-NI: Haswell, Zen and later. */
#include "engine/cpu/avx2_vector.h"

#include "engine/cpu/avx2_aes.h"
#include "engine/cpu/avx2_bytes.h"
#include "engine/cpu/features.h"
#include "engine/cpu/wide_sha512.h"

#define SCALAR_LANES 1

static inline void wipe_vectors(void)
{
    __asm__ volatile("vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

#include "engine/cpu/wide_keys.h"
#include "engine/cpu/wide_open.h"

const struct kt_backend kt_backend_avx2 = {
    .name = "avx2",
    .required = KT_CPU_AES | KT_CPU_AVX2,
    .window = WIDE_WINDOW,
    .aad_max = WIDE_AAD_MAX,
    .state_nbytes = sizeof(struct wide_state),
    .prepare = wide_prepare,
    .seal = wide_seal,
    .open = wide_open,
};
