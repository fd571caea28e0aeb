/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands as such. Any thread.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_utf8.h"
#include "rs_command.h"

int rs_command_reason_good(const char *s, size_t n)
{
    size_t i;

    for (i = 0; i < n && (unsigned char)s[i] >= ' ' && s[i] != 0x7f; i++) {
    }
    return i == n && n <= RS_COMMAND_REASON_MAX && rs_utf8_valid(s, n);
}

rs_command_t *rs_command_create(size_t text)
{
    rs_command_t *command = malloc(sizeof(*command) + text);
    int i;

    if (command) {
        memset(command, 0, sizeof(*command));
        command->refs = 1;
        for (i = 0; i < RS_STREAMERS_MAX; i++) {
            command->orders[i].command = command;
        }
    }
    return command;
}

void rs_command_drop(rs_command_t *command)
{
    if (__atomic_sub_fetch(&command->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        /* Who was answered does not hear of this any more. */
        if (command->waiting) {
            rs_renewals_answer(command->renewals, command->waiting, RS_RENEW_GONE);
        }
        free(command->tickets);
        free(command);
    }
}

void rs_command_add(rs_command_t *command, const rs_ticket_t *ticket)
{
    if (command->ntickets == command->size) {
        int size = command->size ? command->size * 2 : 8;
        rs_ticket_t *tickets = realloc(command->tickets, (size_t)size * sizeof(*tickets));

        if (!tickets) {
            command->broken = 1;
            return;
        }
        command->tickets = tickets;
        command->size = size;
    }
    command->tickets[command->ntickets++] = *ticket;
}
