// SPDX-License-Identifier: Apache-2.0
//
// node client.js PACKAGE TALKS: npm's `ws`, in this directory, as a client.
const converse = require("./converse.js");
const WebSocket = require(process.argv[2]);

const make = (url, talk) => new WebSocket(url, talk.protocols, {headers: talk.headers});
for (const talk of JSON.parse(process.argv[3])) {
    converse(talk, make, text => process.stdout.write(text + "\n"));
}
