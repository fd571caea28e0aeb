// SPDX-License-Identifier: Apache-2.0
//
// What a client of the WebSocket does, as docs/WIRE.md says it: in a page, and in Node.js with `ws`.
// `make(url, talk)` opens a WebSocket, `say(text)` tells the test; a talk has a label, a url and protocols.
function converse(talk, make, say, last) {
    const from = last ? (talk.url.includes("?") ? "&" : "?") + "last_event_id=" + encodeURIComponent(last) : "";
    const socket = make(talk.url + from, talk);
    const tell = (...words) => say([talk.label, ...words].filter(word => word !== undefined).join("/"));
    let retry = 1000;
    socket.onopen = () => {
        tell("open", socket.protocol || "-");
        socket.send(JSON.stringify({type: "ping"}));
        socket.send(JSON.stringify({type: "subscribe", subscriptions: ["order_*"]}));
    };
    socket.onmessage = event => {
        const message = JSON.parse(event.data);
        last = message.id || last;
        retry = message.retry || retry;
        if (message.type === "event") tell(message.event_type, message.data);
        else tell(message.type, message.type === "connected" ? message.data.recovery : undefined);
    };
    socket.onerror = () => {};
    socket.onclose = event => {
        tell("closed", event.code, event.reason);
        if (event.code !== 1008) setTimeout(() => converse(talk, make, say, last), retry);
    };
}

if (typeof module !== "undefined") module.exports = converse;
