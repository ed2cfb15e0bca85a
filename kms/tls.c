/* SPDX-License-Identifier: Apache-2.0 */
#include "kms/tls.h"

#include "kms/json.h"

static const struct {
    const char *name;
    size_t at;
} options_known[] = {
    {"tlsCAFile", offsetof(struct kt_tls, ca_file)},
    {"tlsCertificateKeyFile", offsetof(struct kt_tls, certificate_file)},
    {"tlsCertificateKeyFilePassword", offsetof(struct kt_tls, password)},
};

#define KNOWN (sizeof options_known / sizeof options_known[0])

static enum kt_status check(const char *provider, const bson_iter_t *it, struct kt_error *err)
{
    const char *name = bson_iter_key(it);
    /* Legal for drivers; nothing here ever asks an OCSP responder. */
    if (strcmp(name, "tlsDisableOCSPEndpointCheck") == 0)
        return KT_OK;
    for (size_t i = 0; i < KNOWN; i++)
        if (strcmp(name, options_known[i].name) == 0)
            return BSON_ITER_HOLDS_UTF8(it)
                       ? KT_OK
                       : kt_fail(err, KT_E_CONFIG, "tlsOptions of \"%s\": %s must be a string", provider,
                                 name);
    bool weakens = strcasestr(name, "insecure") || strcasestr(name, "allowInvalid");
    return kt_fail(err, KT_E_CONFIG, "tlsOptions of \"%s\": %.64s %s", provider, name,
                   weakens ? "would switch checks off and is prohibited; give tlsCAFile instead"
                           : "is unknown");
}

enum kt_status kt_tls_init(struct kt_tls *tls, const char *provider, struct kt_span options,
                           struct kt_secmem *secmem, struct kt_error *err)
{
    *tls = (struct kt_tls){0};
    kt_secbuf_init(&tls->text, secmem);
    if (!options.data)
        return KT_OK;
    bson_t doc;
    bson_iter_t it;
    if (!kt_doc_view(options, &doc) || !bson_iter_init(&it, &doc))
        return kt_fail(err, KT_E_CONFIG, "tlsOptions of \"%s\" are no document", provider);
    while (bson_iter_next(&it)) {
        enum kt_status status = check(provider, &it, err);
        if (status != KT_OK)
            return status;
    }
    if (!kt_secbuf_reserve(&tls->text, options.nbytes))
        return kt_fail(err, KT_E_NOMEM, "locked memory ran out");
    for (size_t i = 0; i < KNOWN; i++) {
        const char *text = kt_doc_text(&doc, options_known[i].name);
        if (!text)
            continue;
        const char *copy = (const char *)tls->text.data + tls->text.nbytes;
        kt_secbuf_put(&tls->text, text, strlen(text) + 1);
        memcpy((char *)tls + options_known[i].at, &copy, sizeof copy);
    }
    return KT_OK;
}

void kt_tls_free(struct kt_tls *tls)
{
    kt_secbuf_free(&tls->text);
    *tls = (struct kt_tls){.text = tls->text};
}

/* libcurl reads a CA file once for all connections, but only where there is no CA folder beside it: where the
 * system has both, the folder says the same again. */
static void set_ca(CURL *easy, const char *ca_file, bool bundle)
{
    if (ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, ca_file);
    if (ca_file || bundle)
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
}

void kt_tls_apply(const struct kt_tls *tls, CURL *easy, bool bundle)
{
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    set_ca(easy, tls ? tls->ca_file : NULL, bundle);
    if (!tls)
        return;
    if (tls->certificate_file) {
        /* Drivers keep certificate and key in one PEM file. */
        curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate_file);
        curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->certificate_file);
    }
    if (tls->password)
        curl_easy_setopt(easy, CURLOPT_KEYPASSWD, tls->password);
}
