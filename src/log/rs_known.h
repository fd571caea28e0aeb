/* SPDX-License-Identifier: Apache-2.0
 *
 * What this child knows of one Redis key: how far it was read, and what of it nobody can have any
 * more. The one place that says whether a reader who comes with an id has everything after it.
 * Pure functions on it; the hub's thread changes it, streamers judge by a copy.
 */
#ifndef RS_KNOWN_H
#define RS_KNOWN_H

#include "../redis/rs_history.h"

#define RS_KNOWN_LATELY 4

typedef struct {
    int sure;          /* the rest means something: Redis was asked at least once */
    rs_id_t at;        /* everything up to here was given to the topics, or is gone */
    rs_id_t idle;      /* between this and `at` nobody has missed anything */
    long long added;   /* how many entries were read or are known to be gone; -1: not known */
    rs_id_t deleted;   /* max-deleted-entry-id, when what was removed was counted last */
    long long gone;    /* how many were not there any more, when Redis was asked last */
    long long settled; /* of those up to `at`, when it was known for sure how many there were */
    int trims;         /* it was trimmed since it was last seen worked off */
    rs_id_t mark;      /* after this id no entry is missing unless more than so many are gone: */
    long long marked;  /* -1: not known */
    rs_id_t newest;    /* last-generated-id, when Redis was asked last */
    long long ever;    /* entries-added, likewise; -1: not known */
    rs_id_t first;     /* its oldest entry then, or the first that was read since; 0-0: none */
    rs_id_t begin;     /* what is there now never held a lower id; 0-0: it held nothing so far */
    rs_id_t covers;    /* `newest` when the read that is under way was sent */
    rs_id_t covered;   /* what is up to here and was not read is gone: the next look tells how */
    rs_id_t gap;       /* of what is up to here something was removed before it was read here */
    rs_id_t after_gap; /* the oldest entry that there was, or came, behind it; 0-0: none */
    /* The entries that were read last, and from where on nobody has missed anything before each of
     * them. */
    struct {
        rs_id_t after, id;
    } lately[RS_KNOWN_LATELY];
    int whole;        /* nothing was ever removed from it, then */
    unsigned losses;  /* so often: */
    int lost;         /* what it held was lost, or it was replaced by another stream: */
    int is_copy;      /* an older state of it: who has less than that has lost nothing */
    rs_id_t copied;   /* nothing of it is above this and up to `born` */
    rs_id_t born;     /* what it holds since then is read from here on */
    rs_id_t old_from; /* ids between these two were given out before that */
    rs_id_t old;
} rs_known_t;

/* Entries that were read behind `at` and not yet given to the topics, when Redis said what it says
 * afterwards. */
typedef struct {
    long long n;
    long long gone; /* so many of them were removed meanwhile */
    rs_id_t first, last;
} rs_hand_t;

typedef enum {
    RS_LOOK_SAME,
    RS_LOOK_GAP, /* something was removed before it was read: what is in hand comes after `gap` */
    RS_LOOK_LOST /* it is not what it was: nothing in hand counts, it is read on from `born` */
} rs_look_t;

/* What XINFO STREAM says now. watched: whatever was written since the last look was read at once.
 */
rs_look_t rs_known_look(rs_known_t *known, const rs_history_t *history, const rs_hand_t *hand,
                        int watched);

/* Whether that can be said of what was known when it was asked for; if not, it has become something
 * else meanwhile, which the next look will tell. */
int rs_known_fits(const rs_known_t *known, const rs_history_t *history);

/* An entry was read, the next one. */
void rs_known_entry(rs_known_t *known, rs_id_t id);

/* Entries after `at` are about to be asked for; and that was answered: unless it was full,
 * everything that was there when it was asked for is in the answer. */
void rs_known_ask(rs_known_t *known);
void rs_known_answered(rs_known_t *known, int full);

typedef enum {
    RS_VERDICT_RESUMED, /* everything after the id is in memory from `start` on, or in Redis */
    RS_VERDICT_ASK,     /* only Redis can tell */
    RS_VERDICT_TRIMMED, /* something is missing; what is there comes after `place` */
    RS_VERDICT_LOST     /* the id is of something that Redis does not hold any more; likewise */
} rs_verdict_kind_t;

typedef struct {
    rs_verdict_kind_t kind;
    rs_id_t place; /* where the reader goes on; its id, if it is resumed */
    rs_id_t first; /* TRIMMED: the oldest entry after that; 0-0: not known */
} rs_verdict_t;

/* Whether the id is of what was there before something was lost. */
int rs_known_is_lost(const rs_known_t *known, rs_id_t id);

/* For a reader that has everything up to `id`. came: it came with that, or was there before
 * something was lost; otherwise its id is of what is there now, whatever ids that has. start:
 * nothing after this is missing in memory. history: what Redis said in answer to a question about
 * this reader, or NULL. Removing single entries (XDEL) is no gap. */
rs_verdict_t rs_known_judge(const rs_known_t *known, rs_id_t start, rs_id_t id, int came,
                            const rs_history_t *history);

#endif
