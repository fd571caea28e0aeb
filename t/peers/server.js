// SPDX-License-Identifier: Apache-2.0
//
// node server.js PACKAGE PORT MOST: a server by npm's `ws`, in this directory, that answers messages as
// ragline-websocket does, so that its verdict on what a client sends can be compared.
const {WebSocketServer} = require(process.argv[2]);

function answer(text) {
    let message;
    try {
        message = JSON.parse(text);
    } catch {
        return {type: "error", message: "Invalid JSON message"};
    }
    return message.type === "ping" ? {type: "pong"}
        : {type: "error", message: "Unknown message type: " + message.type};
}

const server = new WebSocketServer({
    host: "127.0.0.1", port: +process.argv[3], maxPayload: +process.argv[4], perMessageDeflate: true,
});
server.on("connection", socket => {
    socket.on("error", () => {});
    socket.on("message", (text, binary) => {
        if (binary) socket.close(1003);
        else socket.send(JSON.stringify(answer(text.toString())));
    });
    socket.send('{"type":"connected"}');
});
