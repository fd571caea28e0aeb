/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child knows of who was revoked.
 */
#include <stdlib.h>

#include "log/rs_revoked.h"
#include "tap.h"

static rs_revoked_t *revoked;

static int set(const char *name, int seconds)
{
    return rs_revoked_set(revoked, name, apr_time_sec(apr_time_now()) + seconds);
}

static int is_name(const char *tenant, const char *user, const char *jti, const char *wanted)
{
    const char *t, *u, *j;
    char name[RS_REVOKED_NAME];

    if (!rs_revoked_name(name, tenant, user, jti)) {
        return !wanted;
    }
    return wanted && !strcmp(name, wanted) && rs_revoked_parts(name, &t, &u, &j)
           && !strcmp(t ? t : "", tenant ? tenant : "") && !strcmp(u ? u : "", user ? user : "")
           && !strcmp(j ? j : "", jti ? jti : "");
}

static void names(void)
{
    char bad[][8] = {"", "t", "t/", "u/", "u/a", "u/a/", "j/", "j/a", "x/a", "t/a/b", "j//"};
    char long_id[RS_JTI_MAX + 2];
    const char *t, *u, *j;
    size_t i;

    ok(is_name("a", NULL, NULL, "t/a"), "of a tenant");
    ok(is_name("a", "u", NULL, "u/a/u"), "of a user");
    ok(is_name("a", NULL, "x/y", "j/a/x/y"), "of a token of a tenant");
    ok(is_name(NULL, NULL, "x", "j//x"), "of a token");
    ok(is_name(NULL, NULL, NULL, NULL) && is_name(NULL, "u", NULL, NULL), "of nobody");
    ok(is_name("a b", NULL, NULL, NULL) && is_name("a", "/", NULL, NULL)
           && is_name("a", NULL, "x y", NULL) && is_name("a", NULL, "", NULL),
       "of what cannot be one");
    memset(long_id, 'x', sizeof(long_id));
    long_id[RS_JTI_MAX + 1] = '\0';
    ok(is_name("a", NULL, long_id, NULL), "a long id");
    long_id[RS_JTI_MAX] = '\0';
    {
        char name[RS_REVOKED_NAME];

        ok(rs_revoked_name(name, NULL, NULL, long_id) && strlen(name) == RS_JTI_MAX + 3,
           "one that is not too long");
    }
    {
        char longer[RS_REVOKED_NAME] = "t/";

        memset(longer + 2, 'x', RS_REVOKED_NAME - 3);
        longer[RS_REVOKED_NAME - 1] = '\0';
        ok(!rs_revoked_is_name(longer), "a tenant that is longer than any");
        memcpy(longer, "u/a/", 4);
        ok(!rs_revoked_is_name(longer), "a user that is");
    }
    ok(!rs_revoked_is_name("u/a b/c") && !rs_revoked_is_name("u/a/b/c")
           && !rs_revoked_is_name("j/a/x y") && rs_revoked_is_name("j/a/x/y")
           && rs_revoked_is_name("t/a"),
       "what cannot be a name in it");
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        char text[8];

        strcpy(text, bad[i]);
        ok(!rs_revoked_parts(text, &t, &u, &j) || (u && !*u) || (j && !*j), "no name: %s", bad[i]);
    }
}

/* What has ended, and is revoked anew; and what does not come back. */
static void again_and_again(void)
{
    int i;

    set("u/a/again", 1);
    for (i = 0; i < 50 && rs_revoked_has(revoked, "a", "again", NULL); i++) {
        apr_sleep(apr_time_from_msec(50));
    }
    ok(!rs_revoked_has(revoked, "a", "again", NULL), "its time is over");
    is_int(set("u/a/again", 100), 1, "and once more: who came meanwhile is to be ended");
    for (i = 0; i < 10000; i++) {
        char name[32];

        if (i == 5000) {
            apr_sleep(apr_time_from_msec(2100));
        }
        snprintf(name, sizeof(name), "j//short%d", i);
        set(name, 1);
    }
    ok(rs_revoked_count(revoked) < 8000, "what has ended is not kept: %u",
       rs_revoked_count(revoked));
}

int main(void)
{
    int i;

    names();
    revoked = rs_revoked_create();
    ok(!rs_revoked_known(revoked), "not known yet");
    is_int(set("u/a/u", 100), 1, "news");
    is_int(set("u/a/u", 200), 0, "is news once");
    ok(rs_revoked_has(revoked, "a", "u", NULL), "the user");
    ok(!rs_revoked_has(revoked, "a", "v", NULL) && !rs_revoked_has(revoked, "b", "u", NULL)
           && !rs_revoked_has(revoked, "a", "", NULL),
       "no other one");
    is_int(set("j//t1", 100), 1, "a token");
    is_int(set("j/b/t2", 100), 1, "a token of a tenant");
    ok(rs_revoked_has(revoked, "a", "", "t1") && rs_revoked_has(revoked, "b", "x", "t1"),
       "of whichever tenant");
    ok(rs_revoked_has(revoked, "b", "", "t2") && !rs_revoked_has(revoked, "a", "", "t2"),
       "of that tenant");
    is_int(set("t/c", 100), 1, "a tenant");
    ok(rs_revoked_has(revoked, "c", "any", "any"), "all of it");
    is_int(set("t/c", -1), 0, "undone");
    ok(!rs_revoked_has(revoked, "c", "any", "any"), "nobody of it");
    is_int(set("t/d", 0), 0, "until now is not at all");
    rs_revoked_begin(revoked);
    is_int(set("u/a/u", 100), 0, "read again: no news");
    is_int(set("u/e/u", 100), 1, "read: news");
    rs_revoked_end(revoked);
    ok(rs_revoked_known(revoked), "known");
    ok(rs_revoked_has(revoked, "a", "u", NULL) && rs_revoked_has(revoked, "e", "u", NULL), "both");
    ok(!rs_revoked_has(revoked, "a", "", "t1"), "what was not read again is not there");
    for (i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "u/many/%d", i * 7919 % 1000);
        set(name, 100);
    }
    for (i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof(name), "%d", i);
        if (!rs_revoked_has(revoked, "many", name, NULL)) {
            break;
        }
    }
    is_int(i, 1000, "a thousand");
    again_and_again();
    ok(rs_revoked_has(revoked, "many", "1", NULL), "what has not ended is kept");
    rs_revoked_free(revoked);
    return done_testing();
}
