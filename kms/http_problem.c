/* SPDX-License-Identifier: Apache-2.0 */
/* What libcurl's errors mean to an operator, and which of them may pass by themselves. */
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <string.h>

#include "kms/http.h"

static void say(struct kt_transfer *transfer, enum kt_kms_reason reason, const char *what, const char *detail)
{
    transfer->x.problem_reason = reason;
    snprintf(transfer->x.problem, sizeof transfer->x.problem, "%s%s%.120s%s", what, *detail ? " (" : "",
             detail, *detail ? ")" : "");
}

static void say_certificate(struct kt_transfer *transfer, const char *detail)
{
    long result = X509_V_OK;
    curl_easy_getinfo(transfer->easy, CURLINFO_SSL_VERIFYRESULT, &result);
    const char *what = "the server's certificate is not accepted";
    if (result == X509_V_ERR_CERT_HAS_EXPIRED)
        what = "the server's certificate has expired";
    else if (result == X509_V_ERR_CERT_NOT_YET_VALID)
        what = "the server's certificate is not valid yet";
    else if (result == X509_V_ERR_HOSTNAME_MISMATCH || strstr(detail, "does not match") ||
             strstr(detail, "subject name"))
        what = "the server's certificate is for another host";
    else if (result != X509_V_OK)
        what = "the server's certificate is from an unknown CA; name it by tlsCAFile in tlsOptions";
    say(transfer, KT_KMS_R_TLS, what, detail);
}

/* A TLS alert from the server does not pass by itself; a broken connection may. */
static bool say_alert(struct kt_transfer *transfer, const char *detail)
{
    if (!strstr(detail, "alert"))
        return false;
    bool ours = transfer->tls && transfer->tls->certificate_file;
    bool certificate =
        strstr(detail, "certificate") || strstr(detail, "handshake failure") || strstr(detail, "unknown ca");
    if (certificate && !ours)
        say(transfer, KT_KMS_R_TLS,
            "the server wants a client certificate; name one by tlsCertificateKeyFile in tlsOptions", detail);
    else if (certificate)
        say(transfer, KT_KMS_R_TLS, "the server does not accept our client certificate", detail);
    else
        say(transfer, KT_KMS_R_TLS, "the server ends the TLS handshake", detail);
    return true;
}

void kt_http_problem(struct kt_transfer *transfer, CURLcode code)
{
    const char *detail = transfer->error[0] ? transfer->error : curl_easy_strerror(code);
    curl_off_t connected = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_CONNECT_TIME_T, &connected);
    transfer->x.unreachable = connected == 0;
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
        say_certificate(transfer, detail);
        return;
    case CURLE_SSL_CACERT_BADFILE:
        say(transfer, KT_KMS_R_TLS, "tlsCAFile cannot be read", detail);
        return;
    case CURLE_SSL_CERTPROBLEM:
        say(transfer, KT_KMS_R_TLS, "tlsCertificateKeyFile cannot be used", detail);
        return;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        say(transfer, KT_KMS_R_CONFIG, "the address is malformed", detail);
        return;
    case CURLE_WRITE_ERROR:
        say(transfer, KT_KMS_R_NETWORK,
            transfer->x.reply.failed ? "locked memory ran out" : "the reply is too long", "");
        return;
    case CURLE_OUT_OF_MEMORY:
        say(transfer, KT_KMS_R_NETWORK, "memory ran out", "");
        return;
    case CURLE_OPERATION_TIMEDOUT:
        say(transfer, KT_KMS_R_NETWORK, "no reply in time", detail);
        return;
    default:
        if (!say_alert(transfer, detail))
            say(transfer, KT_KMS_R_NETWORK, "the connection failed", detail);
    }
}
