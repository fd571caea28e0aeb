/* SPDX-License-Identifier: Apache-2.0
 *
 * The registry's memory and the places in it. The parent, and a child's main thread; looking after
 * those who died is anybody's.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../base/rs_log.h"
#include "rs_registry_int.h"

#define PAGE ((size_t)4096)

const char *const rs_via_names[RS_VIAS] = {"sse", "ndjson", "poll", "websocket", "gateway"};

static size_t whole_pages(size_t n) { return (n + PAGE - 1) / PAGE * PAGE; }

/* So many places; only what is written to costs memory, and only that is asked of the system. */
static rs_places_t *map(int n, int connections, int flags)
{
    rs_places_t *in = calloc(1, sizeof(*in));
    size_t front;
    void *memory;

    if (!in) {
        return NULL;
    }
    in->n = (apr_uint32_t)n;
    in->seats = (apr_uint32_t)connections;
    for (in->buckets = 16; in->buckets < in->seats; in->buckets *= 2) {
    }
    in->stride = whole_pages(in->seats * sizeof(rs_seat_t) + in->buckets * sizeof(rs_bucket_t)
                             + (2 * (size_t)in->seats + 1) * sizeof(rs_tally_t));
    front = whole_pages(in->n * sizeof(rs_place_t));
    in->size = front + in->n * in->stride;
    memory =
        mmap(NULL, in->size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        free(in);
        return NULL;
    }
    in->places = memory;
    in->bodies = (char *)memory + front;
    return in;
}

static void destroy(rs_registry_t *registry)
{
    if (registry->lead) {
        munmap(registry->lead, sizeof(*registry->lead));
    }
    free(registry->free_seats);
    free(registry->served);
    free(registry);
}

static apr_status_t create(rs_registry_t **registry)
{
    rs_registry_t *made = calloc(1, sizeof(*made));
    unsigned char node[5];
    void *lead;
    apr_status_t rv;

    if (!made) {
        return APR_ENOMEM;
    }
    lead =
        mmap(NULL, sizeof(*made->lead), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    made->lead = lead == MAP_FAILED ? NULL : lead;
    if (!made->lead) {
        destroy(made);
        return APR_ENOMEM;
    }
    rv = apr_generate_random_bytes(made->secret, sizeof(made->secret));
    if (rv == APR_SUCCESS) {
        rv = apr_generate_random_bytes(node, sizeof(node));
    }
    if (rv != APR_SUCCESS) {
        destroy(made);
        return rv;
    }
    rs_connection_id_node(made->node, node);
    pthread_mutex_init(&made->lock, NULL);
    *registry = made;
    return APR_SUCCESS;
}

static int is_empty(const rs_places_t *in)
{
    apr_uint32_t i;

    for (i = 0; i < in->n && !__atomic_load_n(&in->places[i].pid, __ATOMIC_ACQUIRE); i++) {
    }
    return i == in->n;
}

/* Of earlier configurations, once their children are gone. */
static void unmap_empty(rs_registry_t *registry)
{
    rs_places_t **link = &registry->newest, *in;

    while ((in = *link) != NULL) {
        if (in == registry->newest || !is_empty(in)) {
            link = &in->older;
            continue;
        }
        *link = in->older;
        munmap(in->places, in->size);
        free(in);
    }
}

void rs_registry_close(rs_registry_t *registry)
{
    rs_places_t *in;

    while ((in = registry->newest)) {
        registry->newest = in->older;
        munmap(in->places, in->size);
        free(in);
    }
    destroy(registry);
}

apr_status_t rs_registry_open(rs_registry_t **registry, apr_pool_t *p, int children,
                              int connections)
{
    const char *key = apr_psprintf(p, "ragline_registry/%d/%" APR_SIZE_T_FMT, RS_REGISTRY_LAYOUT,
                                   sizeof(rs_seat_t));
    /* Twice: during a restart old and new children live side by side. */
    int n = children > 0 ? children * 2 : 2;
    rs_places_t *in;
    void *kept = NULL;
    apr_status_t rv;

    apr_pool_userdata_get(&kept, key, p);
    *registry = kept;
    if (!kept) {
        rv = create(registry);
        if (rv == APR_SUCCESS) {
            rv = apr_pool_userdata_set(*registry, key, apr_pool_cleanup_null, p);
        }
        if (rv != APR_SUCCESS) {
            return rv;
        }
    }
    in = (*registry)->newest;
    if (!in || in->n != (apr_uint32_t)n || in->seats != (apr_uint32_t)connections) {
        in = map(n, connections, MAP_SHARED);
        if (!in) {
            rs_log(
                RS_LOG_EMERG, errno,
                RSLOGNO(0911) "no memory for the list of the connections of %d children, %d each: "
                              "lower RaglineMaxConnections, or ServerLimit",
                n, connections);
            return APR_ENOMEM;
        }
        in->first = (*registry)->places;
        in->older = (*registry)->newest;
        (*registry)->newest = in;
        (*registry)->places += in->n;
    }
    unmap_empty(*registry);
    return APR_SUCCESS;
}

/* Its memory goes back to the system, and is zeros when somebody comes for it. */
static void wipe(const rs_places_t *in, rs_place_t *place)
{
    void *body = rs_places_body(in, place);

    if (madvise(body, in->stride, MADV_REMOVE) != 0) {
        memset(body, 0, in->stride);
    }
    __atomic_store_n(&place->used, 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&place->came, 1, __ATOMIC_ACQ_REL);
}

/* From this owner to nobody. */
static void reclaim(const rs_places_t *in, rs_place_t *place, pid_t owner)
{
    if (__atomic_compare_exchange_n(&place->pid, &owner, -getpid(), 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_RELAXED)) {
        wipe(in, place);
        __atomic_store_n(&place->pid, 0, __ATOMIC_RELEASE);
    }
}

void rs_registry_gone(rs_registry_t *registry, pid_t pid)
{
    rs_places_t *in;
    apr_uint32_t i;

    for (in = registry ? registry->newest : NULL; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            pid_t owner = __atomic_load_n(&in->places[i].pid, __ATOMIC_ACQUIRE);

            if (owner == pid || owner == -pid) {
                reclaim(in, &in->places[i], owner);
            }
        }
    }
}

void rs_registry_look(rs_registry_t *registry)
{
    rs_places_t *in;
    apr_uint32_t i;

    for (in = registry->newest; in; in = in->older) {
        for (i = 0; i < in->n; i++) {
            pid_t owner = __atomic_load_n(&in->places[i].pid, __ATOMIC_ACQUIRE);

            if (owner && owner != getpid() && kill(owner > 0 ? owner : -owner, 0) != 0
                && errno == ESRCH) {
                reclaim(in, &in->places[i], owner);
            }
        }
    }
}

static int take_place(rs_registry_t *registry, rs_places_t *in)
{
    apr_uint32_t i;

    for (i = 0; i < in->n; i++) {
        pid_t nobody = 0;

        if (__atomic_compare_exchange_n(&in->places[i].pid, &nobody, -getpid(), 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED)) {
            wipe(in, &in->places[i]);
            registry->in = in;
            registry->mine = &in->places[i];
            registry->place = in->first + i;
            __atomic_store_n(&in->places[i].pid, getpid(), __ATOMIC_RELEASE);
            return 1;
        }
    }
    return 0;
}

int rs_registry_claim(rs_registry_t *registry)
{
    int taken = take_place(registry, registry->newest);
    rs_places_t *own;

    registry->nfree = registry->tallies = registry->free_tally = 0;
    if (apr_generate_random_bytes(registry->key, sizeof(registry->key)) != APR_SUCCESS) {
        return -1;
    }

    if (!taken) {
        rs_registry_look(registry);
        taken = take_place(registry, registry->newest);
    }
    if (!taken) {
        own = map(1, (int)registry->newest->seats, MAP_PRIVATE);
        if (!own) {
            return -1;
        }
        own->first = registry->places++;
        own->older = registry->newest;
        registry->newest = own;
        take_place(registry, own);
    }
    free(registry->free_seats); /* of a process that has claimed one before */
    free(registry->served);
    registry->free_seats = calloc(registry->in->seats, sizeof(*registry->free_seats));
    registry->served = calloc(registry->in->seats, sizeof(*registry->served));
    return registry->free_seats && registry->served ? taken : -1;
}
