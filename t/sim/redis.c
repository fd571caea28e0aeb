/* SPDX-License-Identifier: Apache-2.0
 *
 * The streams of the simulated Redis, as Redis 7.0 has them: max-deleted-entry-id is moved by XDEL
 * and not by trimming, entries-added counts for ever, a stream that was deleted begins anew. And
 * for the model, what became of each entry.
 */
#include "redis/rs_group_script.h"
#include "sim.h"

#define BARRED_MARGIN SEC(12) /* so long after a key may be read again it may not have been */

sim_entry_t sim_entries[SIM_ENTRIES];
int sim_nentries;
sim_key_t sim_keys[SIM_KEYS];
struct sim_redis_t sim_redis;

/* What a replica had, for a failover. */
static struct {
    int taken;
    sim_stream_t s[SIM_KEYS];
    int is_string[SIM_KEYS];
} snapshot;

static void append(int **list, int *n, int *size, int value)
{
    if (*n == *size) {
        *size = *size ? *size * 2 : 64;
        *list = sim_realloc(*list, (size_t)*size * sizeof(**list));
    }
    (*list)[(*n)++] = value;
}

static void copy_stream(sim_stream_t *to, const sim_stream_t *from)
{
    int *uid = to->uid, size = to->size, n = from->end - from->start;

    if (size < n) {
        size = n;
        uid = sim_realloc(uid, (size_t)size * sizeof(*uid));
    }
    *to = *from;
    to->uid = uid;
    to->size = size;
    to->start = 0;
    to->end = n;
    if (n) {
        memcpy(uid, from->uid + from->start, (size_t)n * sizeof(*uid));
    }
}

static void clear_stream(sim_stream_t *s)
{
    int *uid = s->uid, size = s->size;

    memset(s, 0, sizeof(*s));
    s->uid = uid;
    s->size = size;
}

void sim_redis_reset(void)
{
    char hash[RS_GROUP_HASH_LEN];
    int k;

    for (k = 0; k < SIM_KEYS; k++) {
        sim_key_t *key = &sim_keys[k];
        sim_stream_t s = key->s, copy = key->copy;
        int *all = key->all, size = key->all_size;

        clear_stream(&s);
        clear_stream(&copy);
        memset(key, 0, sizeof(*key));
        key->s = s;
        key->copy = copy;
        key->all = all;
        key->all_size = size;
        key->disturbed_at = key->removed_at = key->string_until = -1;
        if (k < 3) {
            snprintf(key->name, sizeof(key->name), "k%d", k);
        }
        else if (k < SIM_OWN) {
            snprintf(key->name, sizeof(key->name), "k3lit");
        }
        else {
            snprintf(key->name, sizeof(key->name), "own:%s:%c", sim_tenant((k - SIM_OWN) / 2),
                     k % 2 ? 'b' : 'a');
        }
        rs_group_hash(hash, key->name);
        memcpy(key->hash, hash, sizeof(key->hash) - 1);
    }
    sim_nentries = 0;
    snapshot.taken = 0;
    memset(&sim_redis, 0, sizeof(sim_redis));
}

int sim_redis_key(const char *name)
{
    int k;

    for (k = 0; k < SIM_KEYS && strcmp(sim_keys[k].name, name) != 0; k++) {
    }
    return k < SIM_KEYS ? k : -1;
}

int sim_redis_hash(const char *name)
{
    int k;

    for (k = 0; k < SIM_KEYS && strcmp(sim_keys[k].hash, name) != 0; k++) {
    }
    return k < SIM_KEYS ? k : -1;
}

int sim_redis_above(int k, rs_id_t id)
{
    const sim_stream_t *s = &sim_keys[k].s;
    int lo = s->start, hi = s->end;

    while (lo < hi) {
        int mid = (lo + hi) / 2;

        if (rs_id_cmp(sim_entries[s->uid[mid]].id, id) > 0) {
            hi = mid;
        }
        else {
            lo = mid + 1;
        }
    }
    return lo;
}

/* --- who waits hears of it --- */

static void note_barred(sim_key_t *key)
{
    if (key->noperm_until && sim_now <= key->noperm_until + BARRED_MARGIN) {
        rs_id_raise(&key->barred, key->s.last);
    }
}

void sim_redis_bar(int k, apr_time_t until)
{
    sim_key_t *key = &sim_keys[k];

    key->noperm_until = until > key->noperm_until ? until : key->noperm_until;
    note_barred(key);
    sim_model_trouble(until);
}

void sim_redis_changed(int k)
{
    note_barred(&sim_keys[k]);
    sim_keys[k].dirty = 1;
    sim_redis_multi(-1);
}

void sim_redis_multi(int on)
{
    int k;

    if (on >= 0) {
        sim_redis.in_multi = on;
    }
    if (sim_redis.in_multi) {
        return;
    }
    for (k = 0; k < SIM_KEYS; k++) {
        if (sim_keys[k].dirty) {
            sim_keys[k].dirty = 0;
            sim_rconn_invalidate(k);
            sim_rconn_wake(k);
        }
    }
}

/* --- removing --- */

static void remove_entry(int k, int uid, sim_how_t how)
{
    sim_key_t *key = &sim_keys[k];
    sim_entry_t *e = &sim_entries[uid];

    e->how = (uint8_t)how;
    e->removed_at = sim_now;
    e->removed = ++sim_redis.removals;
    e->lost_in = key->epoch + 1;
    key->removed_at = sim_now;
    if (rs_id_cmp(e->id, key->max_removed) > 0) {
        key->max_removed = e->id;
    }
}

/* The key is, or may be, another stream from now on. */
static void disturb(int k)
{
    sim_keys[k].epoch++;
    sim_keys[k].disturbed_at = sim_now;
}

static void set_string(int k, int on)
{
    if (sim_keys[k].is_string && !on) {
        sim_keys[k].string_until = sim_now; /* answers that say so are still on their way */
    }
    sim_keys[k].is_string = on;
}

void sim_redis_set_hash_string(int k, int on)
{
    if (sim_keys[k].hash_is_string && !on) {
        sim_keys[k].string_until = sim_now;
    }
    sim_keys[k].hash_is_string = on;
}

void sim_redis_trim(int k, int keep)
{
    sim_stream_t *s = &sim_keys[k].s;

    if (!s->exists || keep < 0) {
        return;
    }
    while (s->end - s->start > keep) {
        remove_entry(k, s->uid[s->start++], SIM_TRIMMED);
    }
    sim_redis_changed(k);
}

void sim_redis_minid(int k, int nth)
{
    const sim_stream_t *s = &sim_keys[k].s;

    if (nth < s->end - s->start) {
        sim_redis_trim(k, s->end - s->start - nth);
    }
}

int sim_redis_xdel(int k, int nth)
{
    sim_stream_t *s = &sim_keys[k].s;
    int n = s->end - s->start, uid, at;

    if (!s->exists || !n) {
        return 0;
    }
    at = nth < 0 ? s->end - 1 - (-nth - 1) % n : s->start + nth % n;
    uid = s->uid[at];
    memmove(s->uid + at, s->uid + at + 1, (size_t)(s->end - at - 1) * sizeof(*s->uid));
    s->end--;
    remove_entry(k, uid, SIM_XDELETED);
    if (rs_id_cmp(sim_entries[uid].id, s->max_deleted) > 0) {
        s->max_deleted = sim_entries[uid].id;
    }
    sim_redis_changed(k);
    return 1;
}

/* down_to: what is there instead ends here. */
static void remove_all(int k, sim_how_t how, rs_id_t down_to)
{
    sim_key_t *key = &sim_keys[k];
    sim_stream_t *s = &key->s;

    if (s->exists && (!key->lost_to.ms || rs_id_cmp(down_to, key->lost_from) < 0)) {
        key->lost_from = down_to;
    }
    if (s->exists) {
        rs_id_raise(&key->lost_to, s->last);
    }
    while (s->start < s->end) {
        remove_entry(k, s->uid[s->start++], how);
    }
}

void sim_redis_del(int k)
{
    static const rs_id_t none;
    sim_key_t *key = &sim_keys[k];
    int i;

    if (!key->s.exists && !key->is_string) {
        return;
    }
    remove_all(k, SIM_KEY_GONE, none);
    if (key->s.exists) {
        disturb(k);
    }
    clear_stream(&key->s);
    set_string(k, 0);
    for (i = 0; i < key->ngroups; i++) {
        key->groups[i].exists = 0;
    }
    sim_redis_changed(k);
}

void sim_redis_set_string(int k)
{
    sim_redis_del(k);
    set_string(k, 1);
    sim_redis_changed(k);
}

/* --- adding --- */

/* No id is used twice, as if a stream that is made anew or lost its tail were never written to in
 * the same millisecond: two entries with one id cannot be told apart by anybody. */
static rs_id_t next_id(const sim_key_t *key)
{
    rs_id_t id = {(apr_uint64_t)((SIM_WALL + sim_now) / 1000), 0};

    if (id.ms <= key->s.last.ms) {
        id.ms = key->s.last.ms;
        id.seq = key->s.last.seq + 1;
    }
    if (rs_id_cmp(id, key->ever) <= 0) {
        id.ms = key->ever.ms + 1;
        id.seq = 0;
    }
    return id;
}

int sim_redis_add(int k, int tenant, int size)
{
    sim_key_t *key = &sim_keys[k];
    sim_stream_t *s = &key->s;
    sim_entry_t *e;

    if (key->is_string || sim_nentries == SIM_ENTRIES) {
        return -1;
    }
    e = &sim_entries[sim_nentries];
    memset(e, 0, sizeof(*e));
    e->id = key->ever = next_id(key);
    e->key = (uint8_t)k;
    e->tenant = (uint8_t)(k == 3 ? 0 : k >= SIM_OWN ? (k - SIM_OWN) / 2 : tenant);
    e->size = (uint32_t)size;
    e->epoch = key->epoch;
    e->index = (uint32_t)key->nall;
    e->added_at = sim_now;
    e->removed_at = -1;
    e->removed = 0;
    s->exists = 1;
    s->last = e->id;
    s->added++;
    if (s->start == s->end) {
        s->start = s->end = 0;
    }
    append(&s->uid, &s->end, &s->size, sim_nentries);
    append(&key->all, &key->nall, &key->all_size, sim_nentries);
    sim_stats[SIM_S_ENTRIES]++;
    sim_redis_changed(k);
    return sim_nentries++;
}

/* XSETID: only forwards, as Redis demands where there are entries. */
void sim_redis_setid(int k, int ahead_ms)
{
    sim_stream_t *s = &sim_keys[k].s;

    if (s->exists) {
        s->last = next_id(&sim_keys[k]);
        s->last.ms += (apr_uint64_t)ahead_ms;
        sim_redis_changed(k);
    }
}

/* --- older copies --- */

void sim_redis_copy(int k)
{
    sim_keys[k].has_copy = sim_keys[k].s.exists;
    copy_stream(&sim_keys[k].copy, &sim_keys[k].s);
}

/* The stream is what it was in `from`. What came since then is lost; what was removed since then is
 * there again. */
static void replace(int k, const sim_stream_t *from)
{
    sim_key_t *key = &sim_keys[k];
    sim_stream_t *s = &key->s;
    int i;

    if (s->exists == from->exists && rs_id_cmp(s->last, from->last) == 0 && s->added == from->added
        && s->end - s->start == from->end - from->start) {
        return;
    }
    for (i = from->start; i < from->end; i++) {
        if (sim_entries[from->uid[i]].how != SIM_PRESENT) {
            sim_entries[from->uid[i]].put_back = key->epoch + 1;
        }
    }
    remove_all(k, SIM_LOST, from->last);
    for (i = key->nall - 1; i >= 0 && rs_id_cmp(sim_entries[key->all[i]].id, from->last) > 0; i--) {
        sim_entry_t *e = &sim_entries[key->all[i]];

        if (e->how == SIM_TRIMMED || e->how == SIM_XDELETED) {
            e->lost_in = key->epoch + 1;
        }
        e->how = SIM_LOST;
    }
    copy_stream(s, from);
    for (i = s->start; i < s->end; i++) {
        sim_entries[s->uid[i]].how = SIM_PRESENT;
        sim_entries[s->uid[i]].removed_at = -1;
    }
    disturb(k);
    sim_redis_changed(k);
}

void sim_redis_restore(int k)
{
    if (sim_keys[k].has_copy) {
        set_string(k, 0);
        replace(k, &sim_keys[k].copy);
    }
}

void sim_redis_snapshot(void)
{
    int k;

    snapshot.taken = 1;
    for (k = 0; k < SIM_KEYS; k++) {
        copy_stream(&snapshot.s[k], &sim_keys[k].s);
        snapshot.is_string[k] = sim_keys[k].is_string;
    }
}

int sim_redis_failover(void)
{
    int k;

    if (!snapshot.taken) {
        return 0;
    }
    snapshot.taken = 0;
    sim_stats[SIM_S_FAILOVERS]++;
    sim_rconn_cut(-1, 4);
    for (k = 0; k < SIM_KEYS; k++) {
        set_string(k, snapshot.is_string[k]);
        replace(k, &snapshot.s[k]);
    }
    return 1;
}

void sim_redis_flush(void)
{
    int k, i;

    sim_redis_multi(1);
    for (k = 0; k < SIM_KEYS; k++) {
        sim_redis_del(k);
        sim_redis_set_hash_string(k, 0);
        sim_keys[k].dirty = 0;
        for (i = 0; i < sim_keys[k].ngroups; i++) {
            sim_keys[k].groups[i].position[0] = '\0';
        }
    }
    sim_redis_multi(0);
    sim_rconn_invalidate(-1);
}
