// SPDX-License-Identifier: Apache-2.0
//
// SSEGateway's suite sleeps for as long as things take on a quiet machine, and its back end answers
// late by less. Here all of that takes RAGLINE_SUITE_SLOW times as long, the limits of its cases too.
const by = +process.env.RAGLINE_SUITE_SLOW;
const {setTimeout} = globalThis;
globalThis.setTimeout = (what, ms, ...more) => setTimeout(what, ms * by, ...more);
