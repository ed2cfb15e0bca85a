/* SPDX-License-Identifier: Apache-2.0 */
#include "csfle/bson_cursor.h"

#include "csfle/bson_type.h"

struct kt_cursor kt_cursor_of(struct kt_span document)
{
    return (struct kt_cursor){document.data + 4, document.data + document.nbytes - 1};
}

bool kt_cursor_next(struct kt_cursor *cursor, struct kt_element *element)
{
    if (cursor->at >= cursor->stop)
        return false;
    const uint8_t *name = cursor->at + 1;
    const uint8_t *name_end = memchr(name, 0, (size_t)(cursor->stop - name));
    if (!name_end)
        return false;
    size_t nbytes;
    size_t available = (size_t)(cursor->stop - name_end - 1);
    if (kt_bson_value_nbytes(*cursor->at, name_end + 1, available, &nbytes) != KT_OK)
        return false;
    *element = (struct kt_element){
        .at = cursor->at,
        .type = *cursor->at,
        .name = kt_span_of(name, (size_t)(name_end - name)),
        .value = kt_span_of(name_end + 1, nbytes),
    };
    cursor->at = name_end + 1 + nbytes;
    return true;
}

bool kt_bson_find(struct kt_span document, const char *name, struct kt_element *element)
{
    struct kt_cursor cursor = kt_cursor_of(document);
    while (kt_cursor_next(&cursor, element))
        if (kt_element_is(element, name))
            return true;
    return false;
}

bool kt_element_string(const struct kt_element *element, struct kt_span *text)
{
    if (element->type != KT_BSON_STRING)
        return false;
    *text = kt_span_of(element->value.data + 4, element->value.nbytes - 5);
    return true;
}

bool kt_element_is(const struct kt_element *element, const char *name)
{
    /* Most names differ in their first byte, and a name in a document has one: its end, if nothing else. */
    return element->name.data[0] == (uint8_t)name[0] && kt_span_equal(element->name, kt_span_str(name));
}
