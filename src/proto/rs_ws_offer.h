/* SPDX-License-Identifier: Apache-2.0
 *
 * What a WebSocket's client offers to do beyond RFC 6455: permessage-deflate (RFC 7692) is taken,
 * without context in either direction. Pure functions.
 */
#ifndef RS_WS_OFFER_H
#define RS_WS_OFFER_H

#include "../base/rs_base.h"

/* The value of Sec-WebSocket-Extensions that answers this one, a constant; NULL: there is no offer
 * among them that can be taken. */
const char *rs_ws_offer_answer(const char *offers);

#endif
