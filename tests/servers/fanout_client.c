/* SPDX-License-Identifier: Apache-2.0 */
/* A client that sends every call at once, each on a TLS connection of its own, as the Node driver does:
 * something to measure beside. fanout_client URL CA.pem COUNT PLAINTEXT CIPHERTEXT KEY COUNT Decrypt calls of
 * CIPHERTEXT, then COUNT Encrypt calls of PLAINTEXT under KEY (base64). Prints seconds and failures. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t ignore(char *data, size_t size, size_t count, void *user)
{
    (void)data;
    (void)user;
    return size * count;
}

static CURL *request(const char *url, const char *ca, const char *body, const struct curl_slist *headers)
{
    CURL *easy = curl_easy_init();
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_CAINFO, ca);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(easy, CURLOPT_AWS_SIGV4, "aws:amz:us-east-1:kms");
    curl_easy_setopt(easy, CURLOPT_USERNAME, "AKID");
    curl_easy_setopt(easy, CURLOPT_PASSWORD, "secret");
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore);
    return easy;
}

/* The number of failures. */
static long fan_out(const char *url, const char *ca, const char *target, const char *body, long count)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/x-amz-json-1.1");
    CURLM *multi = curl_multi_init();
    int running = 1, left;
    long failed = 0, status;
    headers = curl_slist_append(headers, target);
    for (long i = 0; i < count; i++)
        curl_multi_add_handle(multi, request(url, ca, body, headers));
    while (running) {
        curl_multi_perform(multi, &running);
        for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
            CURL *easy = message->easy_handle;
            CURLcode code = message->data.result;
            curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
            failed += code != CURLE_OK || status != 200;
            curl_multi_remove_handle(multi, easy);
            curl_easy_cleanup(easy);
        }
        if (running)
            curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    curl_multi_cleanup(multi);
    curl_slist_free_all(headers);
    return failed;
}

int main(int argc, char **argv)
{
    char decrypt[4096], encrypt[4096];
    if (argc != 7)
        return 2;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    long count = strtol(argv[3], NULL, 10);
    snprintf(decrypt, sizeof decrypt, "{\"CiphertextBlob\":\"%s\"}", argv[5]);
    snprintf(encrypt, sizeof encrypt, "{\"Plaintext\":\"%s\",\"KeyId\":\"%s\"}", argv[4], argv[6]);
    double begun = now();
    long failed = fan_out(argv[1], argv[2], "X-Amz-Target: TrentService.Decrypt", decrypt, count);
    failed += fan_out(argv[1], argv[2], "X-Amz-Target: TrentService.Encrypt", encrypt, count);
    printf("{\"seconds\": %.4f, \"failed\": %ld}\n", now() - begun, failed);
    curl_global_cleanup();
    return 0;
}
