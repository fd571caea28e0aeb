/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of things that come and go at any place: the links are a member of the thing, which is in
 * one list at a time, or in none. One thread at a time.
 */
#ifndef RS_RING_H
#define RS_RING_H

#include <stddef.h>

typedef struct rs_ring_t rs_ring_t;

/* A list's head, or a member's links; of a member that is in no list both are NULL. */
struct rs_ring_t {
    rs_ring_t *next, *prev;
};

#define RS_RING_OF(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void rs_ring_init(rs_ring_t *list) { list->next = list->prev = list; }

static inline int rs_ring_empty(const rs_ring_t *list) { return list->next == list; }

/* The first, or NULL. */
static inline rs_ring_t *rs_ring_first(const rs_ring_t *list)
{
    return list->next == list ? NULL : list->next;
}

/* The one after that, or NULL. */
static inline rs_ring_t *rs_ring_next(const rs_ring_t *list, const rs_ring_t *link)
{
    return link->next == list ? NULL : link->next;
}

static inline void rs_ring_remove(rs_ring_t *link)
{
    if (link->next) {
        link->next->prev = link->prev;
        link->prev->next = link->next;
        link->next = link->prev = NULL;
    }
}

/* Takes the first off the list; NULL: there is none. */
static inline rs_ring_t *rs_ring_take(rs_ring_t *list)
{
    rs_ring_t *link = list->next;

    if (link == list) {
        return NULL;
    }
    list->next = link->next;
    link->next->prev = list;
    link->next = link->prev = NULL;
    return link;
}

/* Before `where`: a member of a list, or the list itself for its end. Leaves the list it was in. */
static inline void rs_ring_put(rs_ring_t *where, rs_ring_t *link)
{
    rs_ring_remove(link);
    link->next = where;
    link->prev = where->prev;
    where->prev->next = link;
    where->prev = link;
}

static inline void rs_ring_put_last(rs_ring_t *list, rs_ring_t *link) { rs_ring_put(list, link); }

static inline void rs_ring_put_first(rs_ring_t *list, rs_ring_t *link)
{
    rs_ring_remove(link); /* it may be the first one */
    rs_ring_put(list->next, link);
}

#endif
