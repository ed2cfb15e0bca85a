/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "csfle/bson_type.h"
#include "jobs/sample.h"

/* Documents spread evenly over these sizes, 1,024 on average. */
enum { SMALLEST = 832, LARGEST = 1216 };

static const char *const first_names[] = {"Amara", "Bence", "Chiara", "Dmitri", "Elif",    "Fatou",
                                          "Gael",  "Hana",  "Ines",   "Jonas",  "Kaori",   "Liam",
                                          "Maja",  "Noor",  "Oskar",  "Priya",  "Quentin", "Rosa",
                                          "Sven",  "Tariq", "Uma",    "Vera",   "Wanda",   "Zoë"};
static const char *const last_names[] = {"Abebe",     "Becker",    "Costa",  "Dubois",  "Eriksen",
                                         "Fischer",   "García",    "Haddad", "Ivanova", "Jensen",
                                         "Kowalski",  "Lindqvist", "Moreau", "Novák",   "Okafor",
                                         "Papadakis", "Rossi",     "Suzuki", "Tanaka",  "Yılmaz"};
static const struct {
    const char *city, *country, *zip;
} cities[] = {{"Aarhus", "DK", "8000"},   {"Bologna", "IT", "40121"}, {"Coimbra", "PT", "3000"},
              {"Dresden", "DE", "01067"}, {"Gdańsk", "PL", "80-001"}, {"Kyoto", "JP", "600-8001"},
              {"Lyon", "FR", "69001"},    {"Porto", "PT", "4000"},    {"Tartu", "EE", "50090"},
              {"Valencia", "ES", "46001"}};
static const char *const streets[] = {"Station Road", "Rue du Moulin", "Lindenweg", "Via Roma",
                                      "Calle Mayor",  "Kirkegade",     "Long Lane", "Hafenstrasse"};
static const char *const products[] = {"kettle",       "desk lamp",   "notebook", "backpack",   "headphones",
                                       "bicycle bell", "rain jacket", "tea set",  "chess board"};
static const char *const tiers[] = {"basic", "silver", "gold"};
static const char *const words[] = {"asked",  "about",   "the",      "delivery", "prefers", "email",
                                    "over",   "phone",   "returned", "one",      "item",    "in",
                                    "spring", "likes",   "gift",     "wrapping", "and",     "a",
                                    "quiet",  "courier", "no",       "calls",    "before",  "ten"};
#define PICK(rng, list) ((list)[below(rng, sizeof(list) / sizeof *(list))])

/* SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014). For documents
 * only; keys never come from it. */
static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t below(uint64_t *rng, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)next(rng) * n) >> 64);
}

/* A document under construction in memory that is large enough for the largest. */
struct writer {
    uint8_t *p;
};

static void put(struct writer *w, const void *data, size_t nbytes)
{
    memcpy(w->p, data, nbytes);
    w->p += nbytes;
}

static void put_name(struct writer *w, uint8_t type, const char *name)
{
    *w->p++ = type;
    put(w, name, strlen(name) + 1);
}

static void put_text(struct writer *w, const char *name, const char *text)
{
    size_t nbytes = strlen(text) + 1;
    put_name(w, KT_BSON_STRING, name);
    kt_store_le32(w->p, (uint32_t)nbytes);
    w->p += 4;
    put(w, text, nbytes);
}

static void put_i32(struct writer *w, const char *name, uint32_t n)
{
    put_name(w, KT_BSON_INT32, name);
    kt_store_le32(w->p, n);
    w->p += 4;
}

static void put_date(struct writer *w, const char *name, int64_t ms)
{
    put_name(w, KT_BSON_DATE, name);
    kt_store_le64(w->p, (uint64_t)ms);
    w->p += 8;
}

static void put_price(struct writer *w, const char *name, uint64_t cents)
{
    double price = (double)cents / 100;
    uint64_t bits;
    memcpy(&bits, &price, sizeof bits);
    put_name(w, KT_BSON_DOUBLE, name);
    kt_store_le64(w->p, bits);
    w->p += 8;
}

static uint8_t *begin(struct writer *w, uint8_t type, const char *name)
{
    put_name(w, type, name);
    uint8_t *at = w->p;
    w->p += 4;
    return at;
}

static void end(struct writer *w, uint8_t *at)
{
    *w->p++ = 0;
    kt_store_le32(at, (uint32_t)(w->p - at));
}

static void put_id(struct writer *w, uint64_t i)
{
    /* seconds of 2025-01-01, then the document's number: _ids stand in order */
    static const uint8_t time[4] = {0x67, 0x74, 0x85, 0x80};
    put_name(w, KT_BSON_OBJECT_ID, "_id");
    put(w, time, sizeof time);
    for (int shift = 56; shift >= 0; shift -= 8)
        *w->p++ = (uint8_t)(i >> shift);
}

/* Letters a-z of a name, for its e-mail address. */
static void mailbox(const char *name, char *out, size_t capacity)
{
    size_t at = 0;
    for (; *name && at + 1 < capacity; name++) {
        char c = (char)(*name | 0x20);
        if (c >= 'a' && c <= 'z')
            out[at++] = c;
    }
    out[at] = 0;
}

static void put_person(struct writer *w, uint64_t *rng, uint64_t i)
{
    const char *first = PICK(rng, first_names), *last = PICK(rng, last_names);
    char text[96], local[2][24];
    uint8_t *at = begin(w, KT_BSON_DOCUMENT, "name");
    put_text(w, "first", first);
    put_text(w, "last", last);
    end(w, at);

    mailbox(first, local[0], sizeof local[0]);
    mailbox(last, local[1], sizeof local[1]);
    snprintf(text, sizeof text, "%s.%s.%" PRIu64 "@example.com", local[0], local[1], i);
    put_text(w, "email", text);
    snprintf(text, sizeof text, "+1-555-01%02u", (unsigned)below(rng, 100));
    put_text(w, "phone", text);
    put_date(w, "birthdate", ((int64_t)below(rng, 20000) - 7000) * 86400000);
    /* numbers that begin with 9 were never given out */
    snprintf(text, sizeof text, "9%02u-%02u-%04u", (unsigned)below(rng, 100), (unsigned)(10 + below(rng, 60)),
             (unsigned)below(rng, 10000));
    put_text(w, "ssn", text);
}

static void put_address(struct writer *w, uint64_t *rng)
{
    char text[64];
    size_t city = below(rng, sizeof cities / sizeof *cities);
    uint8_t *at = begin(w, KT_BSON_DOCUMENT, "address");
    snprintf(text, sizeof text, "%s %u", PICK(rng, streets), (unsigned)(1 + below(rng, 199)));
    put_text(w, "street", text);
    put_text(w, "city", cities[city].city);
    put_text(w, "zip", cities[city].zip);
    put_text(w, "country", cities[city].country);
    end(w, at);
}

static void put_payment(struct writer *w, uint64_t *rng)
{
    char text[32];
    uint8_t *at = begin(w, KT_BSON_DOCUMENT, "payment");
    put_text(w, "method", "card");
    /* no card's number begins with 0 */
    snprintf(text, sizeof text, "00000000%08u", (unsigned)below(rng, 100000000));
    put_text(w, "card", text);
    put_i32(w, "expires", (uint32_t)(202600 + 100 * below(rng, 5) + 1 + below(rng, 12)));
    end(w, at);
}

static void put_orders(struct writer *w, uint64_t *rng)
{
    char text[24];
    uint8_t *orders = begin(w, KT_BSON_ARRAY, "orders");
    uint64_t count = 1 + below(rng, 3);
    for (uint64_t k = 0; k < count; k++) {
        snprintf(text, sizeof text, "%u", (unsigned)k);
        uint8_t *order = begin(w, KT_BSON_DOCUMENT, text);
        snprintf(text, sizeof text, "A-%07u", (unsigned)below(rng, 10000000));
        put_text(w, "number", text);
        put_date(w, "placed", 1640995200000 + (int64_t)below(rng, 94608000) * 1000);
        put_text(w, "item", PICK(rng, products));
        put_i32(w, "count", (uint32_t)(1 + below(rng, 5)));
        put_price(w, "price", 199 + below(rng, 30000));
        end(w, order);
    }
    end(w, orders);
}

/* Words that bring the document to its size. */
static void put_notes(struct writer *w, uint64_t *rng, const uint8_t *doc, size_t size)
{
    size_t fixed = (size_t)(w->p - doc) + 1 + sizeof "notes" + 4 + 1 + 1;
    size_t nbytes = size > fixed ? size - fixed : 0;
    put_name(w, KT_BSON_STRING, "notes");
    kt_store_le32(w->p, (uint32_t)nbytes + 1);
    w->p += 4;
    uint8_t *stop = w->p + nbytes;
    while (w->p < stop) {
        const char *word = PICK(rng, words);
        size_t length = strlen(word), room = (size_t)(stop - w->p);
        put(w, word, length < room ? length : room);
        if (w->p < stop)
            *w->p++ = ' ';
    }
    *w->p++ = 0;
}

enum kt_status kt_sample_document(uint64_t seed, uint64_t i, struct kt_buf *out)
{
    /* each document has a stream of its own, so that the first n are the same whatever their number */
    uint64_t rng = seed;
    rng = next(&rng) ^ i * 0xd1342543de82ef95u;
    enum kt_status status = kt_buf_reserve(out, LARGEST + 256);
    if (status != KT_OK)
        return status;
    uint8_t *doc = out->data + out->nbytes;
    struct writer w = {doc + 4};
    put_id(&w, i);
    put_person(&w, &rng, i);
    put_address(&w, &rng);
    put_payment(&w, &rng);
    put_text(&w, "tier", PICK(&rng, tiers));
    put_i32(&w, "points", (uint32_t)below(&rng, 100000));
    put_name(&w, KT_BSON_BOOL, "newsletter");
    *w.p++ = (uint8_t)below(&rng, 2);
    put_orders(&w, &rng);
    put_notes(&w, &rng, doc, SMALLEST + (size_t)below(&rng, LARGEST - SMALLEST + 1));
    end(&w, doc);
    out->nbytes += (size_t)(w.p - doc);
    return KT_OK;
}
