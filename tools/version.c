/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/version.h"

#include <bson/bson.h>
#include <curl/curl.h>
#include <mongoc/mongoc.h>
#include <openssl/crypto.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "keyturn/engine.h"

void kt_version_print(FILE *out)
{
    char pcre2[64] = "unknown";
    pcre2_config(PCRE2_CONFIG_VERSION, pcre2);
    pcre2[strcspn(pcre2, " ")] = 0;
    fprintf(out, "keyturn %s\n", KT_VERSION);
    fprintf(out,
            "  libraries  libbson %s, libmongoc %s, libcurl %s, OpenSSL %s, zlib %s, zstd %s, pcre2 %s\n",
            bson_get_version(), mongoc_get_version(), curl_version_info(CURLVERSION_NOW)->version,
            OpenSSL_version(OPENSSL_VERSION_STRING), zlibVersion(), ZSTD_versionString(), pcre2);
    fputs("  backends   ", out);
    const char *name, *why_not;
    size_t count = kt_engine_backends(0, &name, &why_not);
    for (size_t i = 0; i < count; i++) {
        kt_engine_backends(i, &name, &why_not);
        fprintf(out, "%s%s", i ? ", " : "", name);
        if (why_not)
            fprintf(out, " (not here: %s)", why_not);
    }
    fputc('\n', out);
}
