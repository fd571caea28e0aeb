#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application behind the gateway: httpd.conf and README.md are beside it.

app.py                  answers the gateway
app.py token USER       a token, as its login would put it into the cookie "session"
app.py say USER TEXT    tells USER, and publishes it for all
"""
import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PLACE = pathlib.Path(os.environ["RAGLINE_EXAMPLE"])  # secrets, and what was told already
HTTPD = os.environ.get("RAGLINE_HTTPD", "127.0.0.1:8001")
PORT = int(os.environ.get("PORT", "8000"))
MAY_COME = {"alice", "bob"}  # your own rule


def secret(name):
    text = (PLACE / name).read_text().strip()
    if not text:
        raise RuntimeError(f"no secret: {name}")
    return text.encode()


def token(seconds, **claims):
    def b64(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    claims.update(tenant_id="example", exp=int(time.time()) + seconds)
    text = b64(b'{"alg":"HS256"}') + b"." + b64(json.dumps(claims).encode())
    mac = hmac.digest(secret("token"), text, "sha256")
    return (text + b"." + b64(mac)).decode()


# --- what the gateway asks and tells ---

def is_gateways(headers, body):
    """Signed with our secret, and not long ago: what somebody has kept for later is not."""
    signed = re.fullmatch(r"t=(\d{1,12}),v1=([0-9a-f]{64})", headers.get("X-Ragline-Signature", ""), re.A)
    if not signed or abs(time.time() - int(signed[1])) > 300:
        return False
    mac = hmac.new(secret("gateway"), signed[1].encode() + b"." + body, "sha256").hexdigest()
    return hmac.compare_digest(mac, signed[2])


def is_new(key):
    """Ends are told at least once. In your application: a row of a table, in the transaction that
    does what has to be done."""
    try:
        (PLACE / "told" / hashlib.sha256(key.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def answer(call, key):
    """The status. Who wants to connect may be refused, by 403."""
    user = call["request"]["headers"].get("x-user")
    if call["action"] == "connect":
        return 200 if user in MAY_COME else 403
    if call["action"] == "disconnect" and is_new(key or call["token"]):
        print(f"{user} left: {call['reason']}", flush=True)
    return 200


class Gateway(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,6}", length, re.A):
            self.close_connection = True
            return self.say(413)
        body = self.rfile.read(int(length))
        if self.path != "/callback":
            return self.say(404)
        try:
            if is_gateways(self.headers, body):
                status = answer(json.loads(body), self.headers.get("Idempotency-Key"))
            else:
                status = 401
        except (KeyError, TypeError, AttributeError, ValueError):
            status = 400
        except (OSError, RuntimeError) as error:
            print(error, file=sys.stderr, flush=True)
            status = 500  # an end is told again
        self.say(status)

    def say(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # after a restart of httpd all come back at once


# --- what we tell ---

def post(path, body):
    httpd = http.client.HTTPConnection(HTTPD, timeout=5)
    try:
        httpd.request("POST", path, json.dumps(body), {
            "Content-Type": "application/json",
            "Authorization": "Bearer " + token(60, scope="publish")})
        reply = httpd.getresponse()
        return reply.status, reply.read().decode()
    finally:
        httpd.close()


def say(user, text):
    event = {"to": user, "text": text}
    status, reply = post("/send", {"identity": user, "event": {"name": "said", "data": json.dumps(event)}})
    if status != 200:
        raise RuntimeError(f"not sent: {status} {reply}")
    # It is written once, however often the same request is made: repeat it until it is answered.
    status, reply = post("/publish", {"stream": "news", "event_type": "said", "payload": event,
                                      "event_id": str(uuid.uuid4())})
    if status != 201:
        raise RuntimeError(f"not published: {status} {reply}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["token"] and len(sys.argv) == 3:
        print(token(3600, sub=sys.argv[2]))
    elif sys.argv[1:2] == ["say"] and len(sys.argv) == 4:
        say(*sys.argv[2:])
    elif len(sys.argv) == 1:
        Server(("127.0.0.1", PORT), Gateway).serve_forever()
    else:
        sys.exit(__doc__)
