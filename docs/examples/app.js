#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// An application behind the gateway: httpd.conf and README.md are beside it. Node.js 18 or later.
//
// app.js                  answers the gateway
// app.js token USER       a token, as its login would put it into the cookie "session"
// app.js say USER TEXT    tells USER, and publishes it for all
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const PLACE = process.env.RAGLINE_EXAMPLE; // secrets, and what was told already
if (!PLACE) throw new Error("RAGLINE_EXAMPLE is not set");
const HTTPD = process.env.RAGLINE_HTTPD ?? "127.0.0.1:8001";
const PORT = process.env.PORT ?? 8000;
const MAY_COME = new Set(["alice", "bob"]); // your own rule

function secret(name) {
    const text = fs.readFileSync(path.join(PLACE, name), "utf8").trim();
    if (!text) throw new Error(`no secret: ${name}`);
    return text;
}
const hmac = (name, data) => crypto.createHmac("sha256", secret(name)).update(data);

function token(seconds, claims) {
    const all = { ...claims, tenant_id: "example", exp: Math.floor(Date.now() / 1000) + seconds };
    const text = [{ alg: "HS256" }, all]
        .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${text}.${hmac("token", text).digest("base64url")}`;
}

// --- what the gateway asks and tells ---

// Signed with our secret, and not long ago: what somebody has kept for later is not.
function isGateways(headers, body) {
    const signed = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(headers["x-ragline-signature"] ?? "");
    if (!signed || Math.abs(Date.now() / 1000 - signed[1]) > 300) return false;
    const mac = hmac("gateway", Buffer.concat([Buffer.from(`${signed[1]}.`), body])).digest();
    return crypto.timingSafeEqual(mac, Buffer.from(signed[2], "hex"));
}

// Ends are told at least once. In your application: a row of a table, in the transaction that does
// what has to be done.
function isNew(key) {
    const name = crypto.createHash("sha256").update(key).digest("hex");
    try {
        fs.closeSync(fs.openSync(path.join(PLACE, "told", name), "wx"));
    } catch (error) {
        if (error.code === "EEXIST") return false;
        throw error;
    }
    return true;
}

// The status. Who wants to connect may be refused, by 403.
function answer(request, body) {
    if (request.method !== "POST" || request.url !== "/callback") return 404;
    if (!isGateways(request.headers, body)) return 401;
    const call = JSON.parse(body);
    const user = call.request.headers["x-user"];
    if (call.action === "connect") return MAY_COME.has(user) ? 200 : 403;
    if (call.action === "disconnect" && isNew(request.headers["idempotency-key"] ?? call.token))
        console.log(`${user} left: ${call.reason}`);
    return 200;
}

function serve(request, response) {
    const parts = [];
    let length = 0;
    request.on("data", (part) => {
        length += part.length;
        if (length > 1_000_000) request.destroy();
        else parts.push(part);
    });
    request.on("end", () => {
        try {
            response.statusCode = answer(request, Buffer.concat(parts));
        } catch (error) {
            console.error(error.message);
            response.statusCode = 500;
        }
        response.end();
    });
    request.on("error", () => {});
}

// --- what we tell ---

async function post(where, body) {
    const reply = await fetch(`http://${HTTPD}${where}`, {
        method: "POST",
        headers: {
            "Content-Type": "application/json",
            Authorization: `Bearer ${token(60, { scope: "publish" })}`,
        },
        body: JSON.stringify(body),
        redirect: "error",
        signal: AbortSignal.timeout(5000),
    }).catch((error) => {
        throw new Error(`no answer of ${HTTPD}: ${(error.cause ?? error).message}`);
    });
    return [reply.status, await reply.text()];
}

async function say(user, text) {
    const event = { to: user, text };
    let [status, reply] = await post("/send",
        { identity: user, event: { name: "said", data: JSON.stringify(event) } });
    if (status !== 200) throw new Error(`not sent: ${status} ${reply}`);
    // It is written once, however often the same request is made: repeat it until it is answered.
    [status, reply] = await post("/publish",
        { stream: "news", event_type: "said", payload: event, event_id: crypto.randomUUID() });
    if (status !== 201) throw new Error(`not published: ${status} ${reply}`);
}

const [what, user, text] = process.argv.slice(2);
if (what === "token" && user) {
    console.log(token(3600, { sub: user }));
} else if (what === "say" && text) {
    say(user, text).catch((error) => {
        console.error(error.message);
        process.exitCode = 1;
    });
} else if (!what) {
    http.createServer(serve).listen(PORT, "127.0.0.1");
} else {
    console.error("app.js [token USER | say USER TEXT]");
    process.exitCode = 2;
}
