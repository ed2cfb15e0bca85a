/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of fast_kms: TLS and HTTP/1.1, kept, one request in hand at a time. One thread. */
#ifndef KT_TESTS_SERVERS_FAST_LINKS_H
#define KT_TESTS_SERVERS_FAST_LINKS_H

#include <signal.h>
#include <stdbool.h>

struct reply {
    int status;
    char body[4096];
    double delay;  /* seconds until it is sent */
    bool truncate; /* it breaks off in the middle of its body, and the connection ends */
    bool reset;    /* instead of it the connection is reset */
};

/* Fills in the reply, which is zero, to a request. */
typedef void (*links_respond)(const char *head, const char *body, struct reply *reply);

struct links_figures {
    unsigned long links, open, most_open;
};

/* Listens on a free loopback port with the certificate and key of a PEM file. -1: it cannot. */
int links_open(const char *pem);

/* Serves until *stop. */
void links_serve(links_respond respond, const volatile sig_atomic_t *stop);

struct links_figures links_close(void);

#endif
