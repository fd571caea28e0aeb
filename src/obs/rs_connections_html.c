/* SPDX-License-Identifier: Apache-2.0
 *
 * The list for people. Names are of [A-Za-z0-9._@-], and so is what else a record says: nothing of
 * it means anything in HTML. The page says itself what it lets be known of it: a site's header that
 * forbids all of that would have browsers keep back whose button it is that is pressed.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_connections.h"

static const char style[] =
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "td,th{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left;white-space:nowrap}"
    "th{cursor:pointer}td.n{text-align:right}form{margin:0}code{font-size:12px}";

/* A click on a column's name sorts by it, a second one the other way round. */
static const char script[] =
    "document.querySelectorAll(\"th\").forEach((th,i)=>{let up=-1;th.onclick=()=>{up=-up;"
    "const body=th.closest(\"table\").tBodies[0];const of=tr=>tr.cells[i].dataset.v??"
    "tr.cells[i].textContent;[...body.rows].sort((a,b)=>up*of(a).localeCompare(of(b),\"en\","
    "{numeric:true})).forEach(tr=>body.append(tr));}});";

static void put(rs_buf_t *b, const rs_record_t *r, const char *close)
{
    char since[RS_CLOCK_ISO_LEN];

    rs_clock_iso(since, r->since);
    rs_buf_printf(b,
                  "<tr><td>%s<td>%s<td>%s<td>%s<td>%.19s<td class=n>%" APR_UINT64_T_FMT
                  "<td><code>%s</code><td>%s<td class=n>%d<td><code>%s</code><td>",
                  r->tenant, r->user, r->profile, r->via, since, r->events, r->position, r->remote,
                  (int)r->pid, r->id);
    if (close) {
        rs_buf_printf(b,
                      "<form method=post action=\"%s\"><input type=hidden name=id value=\"%s\">"
                      "<button>Close</button></form>",
                      close, r->id);
    }
    rs_buf_puts(b, "\n");
}

void rs_connections_html(rs_buf_t *b, rs_registry_t *registry, const rs_whom_t *whom,
                         apr_uint64_t at, int limit, const rs_connections_links_t *links)
{
    char last[RS_CONNECTION_ID_LEN] = "";
    rs_record_t record;
    int n = 0, more;

    rs_buf_printf(b,
                  "<!DOCTYPE html><html lang=en><meta charset=utf-8>"
                  "<meta name=referrer content=same-origin><title>Connections</title>"
                  "<style>%s</style><h1>Connections of node %s</h1><table><thead><tr><th>Tenant"
                  "<th>User<th>Endpoint<th>Wire<th>Since (UTC)<th>Events<th>Position<th>From"
                  "<th>Process<th>Id<th></thead><tbody>\n",
                  style, rs_registry_node(registry));
    while ((more = rs_registry_next(registry, &at, whom, &record)) && n < limit) {
        put(b, &record, links->close);
        memcpy(last, record.id, sizeof(last));
        n++;
    }
    rs_buf_puts(b, "</tbody></table>\n");
    if (more) {
        rs_buf_printf(b, "<p><a href=\"%s%s\">Next page</a></p>\n", links->more, last);
    }
    rs_buf_printf(b, "<script nonce=\"%s\">%s</script>\n", links->nonce, script);
}
