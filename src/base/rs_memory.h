/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that was freed goes back to the system: glibc keeps what large replies and bodies needed
 * for a moment. Elsewhere nothing is done. Any thread.
 */
#ifndef RS_MEMORY_H
#define RS_MEMORY_H

/* Looks at all of the heap: for now and then. */
void rs_memory_give_back(void);

#endif
