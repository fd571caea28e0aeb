/* SPDX-License-Identifier: Apache-2.0
 *
 * What scripts do to a stream that they have written to, as text of theirs: bounds that XADD cannot
 * keep by itself. What Redis refuses of that is in `failed`, a variable of the script's.
 */
#ifndef RS_STREAM_KEEP_H
#define RS_STREAM_KEEP_H

#define RS_STREAM_KEEP                                                                             \
    "local function attempt(said)\n"                                                               \
    "  local good = type(said) ~= 'table' or not said.err\n"                                       \
    "  if not good and failed == '' then failed = said end\n"                                      \
    "  return good\n"                                                                              \
    "end\n"                                                                                        \
    "local function keep(stream, minid, idle)\n"                                                   \
    "  if minid ~= '' then attempt(redis.pcall('XTRIM', stream, 'MINID', '~', minid)) end\n"       \
    "  if idle == '' then return end\n"                                                            \
    "  local groups = redis.pcall('XINFO', 'GROUPS', stream)\n"                                    \
    "  if not attempt(groups) then return end\n"                                                   \
    "  if #groups > 0 then\n"                                                                      \
    "    attempt(redis.pcall('PERSIST', stream))\n"                                                \
    "  else\n"                                                                                     \
    "    attempt(redis.pcall('PEXPIRE', stream, idle))\n"                                          \
    "  end\n"                                                                                      \
    "end\n"

#endif
