// SPDX-License-Identifier: Apache-2.0
//
// Stands in the place of SSEGateway's own modules (its server, its connections, its formats) when
// its suite runs against httpd: what the suite asks of them is asked of the test that started it,
// one line of JSON there and one back, through two pipes. The suite's clients talk to httpd itself.
import fs from "node:fs";

const there = fs.openSync(process.env.RAGLINE_SUITE_ASKS, "r+");
const back = fs.openSync(process.env.RAGLINE_SUITE_ANSWERS, "r+");

// The suite expects answers at once, not promises.
function ask(what, more) {
    fs.writeSync(there, JSON.stringify({what, ...more}) + "\n");
    const byte = Buffer.alloc(1), line = [];
    while (fs.readSync(back, byte, 0, 1, null) === 1 && byte[0] !== 10) line.push(byte[0]);
    const answer = JSON.parse(Buffer.from(line).toString());
    if (answer.error) throw new Error(answer.error);
    return answer;
}

// supertest takes a URL as well as an application.
export function createApp(config) {
    return ask("app", {
        callback: config.callbackUrl, heartbeat: config.heartbeatIntervalSeconds,
        older: expect.getState().currentTestName.endsWith("(older)"),
    }).url;
}

export function formatSseEvent(name, data) {
    return ask("format", {event: {name, data: data ?? ""}}).bytes;
}

// What can be seen from outside: whether a stream is open, or waits for its back end. One that is
// open has heartbeats, and has been sent what was kept for it.
const record = open => ({ready: open, heartbeatTimer: open ? {} : null, eventBuffer: open ? [] : null});

export const connections = {
    clear() {},
    get size() { return ask("connections").there; },
    has(token) { return ask("state", {token}).state !== "gone"; },
    get(token) {
        const {state} = ask("state", {token});
        return state === "gone" ? undefined : record(state === "open");
    },
    *values() {
        const {there, open} = ask("connections");
        for (let n = 0; n < there; n++) yield record(n < open);
    },
    *[Symbol.iterator]() {
        for (const each of this.values()) yield [undefined, each];
    },
};
