/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "jobs/namespaces.h"

Test(namespaces, patterns)
{
    cr_assert(kt_ns_matches("shop.customers", "shop.customers"));
    cr_assert_not(kt_ns_matches("shop.customers", "shop.customers2"));
    cr_assert_not(kt_ns_matches("shop.customers2", "shop.customers"));
    cr_assert(kt_ns_matches("shop.*", "shop.customers"));
    cr_assert(kt_ns_matches("*", "shop.customers"));
    cr_assert(kt_ns_matches("*", ""));
    cr_assert_not(kt_ns_matches("", "a"));
    cr_assert(kt_ns_matches("*.cust*rs", "shop.customers"));
    cr_assert(kt_ns_matches("a*b*c", "aXbXbXc"));
    cr_assert_not(kt_ns_matches("a*b*c", "aXbXbX"));
    cr_assert(kt_ns_matches("**x", "x"));
    cr_assert_not(kt_ns_matches("shop.*", "shops.customers"));
}
