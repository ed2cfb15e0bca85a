/* SPDX-License-Identifier: Apache-2.0 */
/* The backend for AVX-512 with VAES: Ice Lake, Zen 4 and later. */
#include "engine/cpu/avx512_vector.h"

#include "engine/cpu/avx512_aes.h"
#include "engine/cpu/avx512_bytes.h"
#include "engine/cpu/features.h"
#include "engine/cpu/wide_sha512.h"

#define SCALAR_LANES 2

/* Registers 16 to 31 too, which vzeroall does not know. */
static inline void wipe_vectors(void)
{
#ifdef __AVX512F__ /* the constant-time test compiles this file on other vectors */
    __asm__ volatile("vpxorq %%zmm16, %%zmm16, %%zmm16\n\tvmovdqa64 %%zmm16, %%zmm17\n\t"
                     "vmovdqa64 %%zmm16, %%zmm18\n\tvmovdqa64 %%zmm16, %%zmm19\n\t"
                     "vmovdqa64 %%zmm16, %%zmm20\n\tvmovdqa64 %%zmm16, %%zmm21\n\t"
                     "vmovdqa64 %%zmm16, %%zmm22\n\tvmovdqa64 %%zmm16, %%zmm23\n\t"
                     "vmovdqa64 %%zmm16, %%zmm24\n\tvmovdqa64 %%zmm16, %%zmm25\n\t"
                     "vmovdqa64 %%zmm16, %%zmm26\n\tvmovdqa64 %%zmm16, %%zmm27\n\t"
                     "vmovdqa64 %%zmm16, %%zmm28\n\tvmovdqa64 %%zmm16, %%zmm29\n\t"
                     "vmovdqa64 %%zmm16, %%zmm30\n\tvmovdqa64 %%zmm16, %%zmm31\n\t"
                     "vzeroall" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
                           "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
                           "xmm28", "xmm29", "xmm30", "xmm31");
#endif
}

#include "engine/cpu/wide_keys.h"
#include "engine/cpu/wide_open.h"

const struct kt_backend kt_backend_avx512 = {
    .name = "avx512",
    .required = KT_CPU_AES | KT_CPU_AVX2 | KT_CPU_BMI2 | KT_CPU_AVX512F | KT_CPU_AVX512BW | KT_CPU_AVX512DQ |
                KT_CPU_AVX512VL | KT_CPU_VAES,
    .window = WIDE_WINDOW,
    .aad_max = WIDE_AAD_MAX,
    .state_nbytes = sizeof(struct wide_state),
    .prepare = wide_prepare,
    .seal = wide_seal,
    .open = wide_open,
};
