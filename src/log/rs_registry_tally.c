/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each tenant and each user has: a hash of counters in each child's place,
 * which is added up. Names are known by a keyed hash of 64 bits, which nobody can make meet. The
 * owner under its lock; whoever adds up takes none.
 */
#include <sched.h>
#include <string.h>

#include <apr_siphash.h>

#include "rs_registry_int.h"

/* Longer than a chain is: it was taken apart meanwhile. */
#define STEPS 10000
/* Its owner was interrupted for so long that it may be dead. */
#define TRIES 1000

apr_uint64_t rs_tally_key(const rs_registry_t *registry, const char *realm, const char *tenant,
                          const char *user)
{
    unsigned char text[2 * (RS_NAME_MAX + 1) + 8];
    apr_uint64_t of = apr_siphash24(realm, strlen(realm), registry->secret), key;
    size_t n = strlen(tenant) + 1, m = user ? strlen(user) : 0;

    memcpy(text, &of, sizeof(of));
    memcpy(text + sizeof(of), tenant, n);
    if (user) {
        memcpy(text + sizeof(of) + n, user, m);
    }
    /* Neither has a colon in it, so a tenant is no user. */
    text[sizeof(of) + n - 1] = user ? ':' : '/';
    key = apr_siphash24(text, sizeof(of) + n + m, registry->secret);
    return key ? key : 1;
}

apr_uint32_t rs_tally_realm(const rs_registry_t *registry, const char *realm)
{
    return (apr_uint32_t)apr_siphash24(realm, strlen(realm), registry->secret);
}

apr_uint64_t rs_tally_token(const rs_registry_t *registry, const char *jti)
{
    return jti ? apr_siphash24(jti, strlen(jti), registry->secret) | 1 : 0;
}

static rs_bucket_t *bucket_of(const rs_places_t *in, const rs_place_t *place, apr_uint64_t key)
{
    return &rs_places_buckets(in, place)[key & (in->buckets - 1)];
}

void rs_tally_add(rs_registry_t *registry, apr_uint64_t key)
{
    rs_tally_t *all = rs_places_tallies(registry->in, registry->mine);
    rs_bucket_t *bucket = bucket_of(registry->in, registry->mine, key);
    apr_uint32_t i = bucket->first;

    while (i && all[i].key != key) {
        i = all[i].next;
    }
    if (!i) {
        i = registry->free_tally;
        registry->free_tally = i ? all[i].next : 0;
        i = i ? i : ++registry->tallies;
        __atomic_store_n(&all[i].count, 0, __ATOMIC_RELEASE);
        __atomic_store_n(&all[i].key, key, __ATOMIC_RELEASE);
        __atomic_store_n(&all[i].next, bucket->first, __ATOMIC_RELEASE);
        __atomic_store_n(&bucket->first, i, __ATOMIC_RELEASE);
    }
    /* Before the others' are read, whatever the processor would rather do. */
    __atomic_add_fetch(&all[i].count, 1, __ATOMIC_SEQ_CST);
}

static void take_out(rs_registry_t *registry, rs_tally_t *all, rs_bucket_t *bucket, apr_uint32_t i)
{
    apr_uint32_t *link = &bucket->first;

    while (*link != i) {
        link = &all[*link].next;
    }
    __atomic_store_n(&bucket->version, bucket->version + 1, __ATOMIC_RELEASE);
    __atomic_store_n(link, all[i].next, __ATOMIC_RELEASE);
    __atomic_store_n(&bucket->version, bucket->version + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&all[i].next, registry->free_tally, __ATOMIC_RELEASE);
    registry->free_tally = i;
}

void rs_tally_remove(rs_registry_t *registry, apr_uint64_t key)
{
    rs_tally_t *all = rs_places_tallies(registry->in, registry->mine);
    rs_bucket_t *bucket = bucket_of(registry->in, registry->mine, key);
    apr_uint32_t i = bucket->first;

    while (i && all[i].key != key) {
        i = all[i].next;
    }
    if (i && __atomic_sub_fetch(&all[i].count, 1, __ATOMIC_SEQ_CST) == 0) {
        take_out(registry, all, bucket, i);
    }
}

/* 0: the chain was changed on the way. */
static int look_up(const rs_tally_t *all, const rs_bucket_t *bucket, apr_uint64_t key,
                   unsigned *count)
{
    apr_uint32_t version = __atomic_load_n(&bucket->version, __ATOMIC_ACQUIRE), i, steps = 0;

    *count = 0;
    for (i = __atomic_load_n(&bucket->first, __ATOMIC_SEQ_CST); i && steps < STEPS; steps++) {
        if (__atomic_load_n(&all[i].key, __ATOMIC_ACQUIRE) == key) {
            *count = __atomic_load_n(&all[i].count, __ATOMIC_SEQ_CST);
            break;
        }
        i = __atomic_load_n(&all[i].next, __ATOMIC_ACQUIRE);
    }
    return !(version & 1) && steps < STEPS
           && __atomic_load_n(&bucket->version, __ATOMIC_ACQUIRE) == version;
}

static unsigned count_in(const rs_places_t *in, const rs_place_t *place, apr_uint64_t key)
{
    unsigned count;
    int tries = 0;

    while (!look_up(rs_places_tallies(in, place), bucket_of(in, place, key), key, &count)
           && ++tries < TRIES) {
        sched_yield();
    }
    return count;
}

unsigned rs_tally_own(const rs_registry_t *registry, apr_uint64_t key)
{
    return count_in(registry->in, registry->mine, key);
}

unsigned rs_tally_sum(const rs_registry_t *registry, apr_uint64_t key)
{
    const rs_places_t *in;
    unsigned sum = 0;
    apr_uint32_t i;

    for (in = registry->newest; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            if (__atomic_load_n(&in->places[i].pid, __ATOMIC_ACQUIRE) > 0) {
                sum += count_in(in, &in->places[i], key);
            }
        }
    }
    return sum;
}

unsigned rs_registry_count(rs_registry_t *registry, const char *realm, const char *tenant,
                           const char *user)
{
    rs_registry_look(registry);
    return rs_tally_sum(registry, rs_tally_key(registry, realm, tenant, user));
}
