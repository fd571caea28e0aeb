<?php
// SPDX-License-Identifier: Apache-2.0
//
// An application behind the gateway: httpd.conf and README.md are beside it. PHP 8.
//
// php -S 127.0.0.1:8000 app.php  answers the gateway (or php-fpm, or mod_php: it is a page like others)
// php app.php token USER         a token, as its login would put it into the cookie "session"
// php app.php say USER TEXT      tells USER, and publishes it for all
declare(strict_types=1);

define('PLACE', getenv('RAGLINE_EXAMPLE')            // secrets, and what was told already
    ?: throw new RuntimeException('RAGLINE_EXAMPLE is not set'));
define('HTTPD', getenv('RAGLINE_HTTPD') ?: '127.0.0.1:8001');
const MAY_COME = ['alice', 'bob'];                   // your own rule

function secret(string $name): string
{
    $text = file_get_contents(PLACE . "/$name");
    if ($text === false || trim($text) === '') {
        throw new RuntimeException("no secret: $name");
    }
    return trim($text);
}

function token(int $seconds, array $claims): string
{
    $b64 = fn(string $data) => rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
    $claims += ['tenant_id' => 'example', 'exp' => time() + $seconds];
    $text = $b64('{"alg":"HS256"}') . '.' . $b64(json_encode($claims, JSON_THROW_ON_ERROR));
    return "$text." . $b64(hash_hmac('sha256', $text, secret('token'), true));
}

// --- what the gateway asks and tells ---

// Signed with our secret, and not long ago: what somebody has kept for later is not.
function is_gateways(string $signature, string $body): bool
{
    return preg_match('/^t=(\d{1,12}),v1=([0-9a-f]{64})$/D', $signature, $signed)
        && abs(time() - (int) $signed[1]) <= 300
        && hash_equals(hash_hmac('sha256', "$signed[1].$body", secret('gateway')), $signed[2]);
}

// Ends are told at least once. In your application: a row of a table, in the transaction that does
// what has to be done.
function is_new(string $key): bool
{
    $file = PLACE . '/told/' . hash('sha256', $key);
    if (@fopen($file, 'x')) {
        return true;
    }
    return file_exists($file) ? false : throw new RuntimeException("$file cannot be written");
}

// The status. Who wants to connect may be refused, by 403.
function answer(string $body): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST' || $_SERVER['REQUEST_URI'] !== '/callback') {
        return 404;
    }
    if (!is_gateways($_SERVER['HTTP_X_RAGLINE_SIGNATURE'] ?? '', $body)) {
        return 401;
    }
    $call = json_decode($body, true, 8, JSON_THROW_ON_ERROR);
    $user = $call['request']['headers']['x-user'] ?? '';
    if ($call['action'] === 'connect') {
        return in_array($user, MAY_COME, true) ? 200 : 403;
    }
    if ($call['action'] === 'disconnect' && is_new($_SERVER['HTTP_IDEMPOTENCY_KEY'] ?? $call['token'])) {
        error_log("$user left: $call[reason]");
    }
    return 200;
}

// --- what we tell ---

function post(string $path, array $body): array
{
    $reply = @fopen('http://' . HTTPD . $path, 'r', false, stream_context_create(['http' => [
        'method' => 'POST', 'timeout' => 5, 'ignore_errors' => true, 'follow_location' => 0,
        'header' => ['Content-Type: application/json',
            'Authorization: Bearer ' . token(60, ['scope' => 'publish'])],
        'content' => json_encode($body, JSON_THROW_ON_ERROR),
    ]]));
    if (!$reply) {
        throw new RuntimeException('no answer of ' . HTTPD);
    }
    $status = (int) explode(' ', stream_get_meta_data($reply)['wrapper_data'][0])[1];
    return [$status, stream_get_contents($reply)];
}

function say(string $user, string $text): void
{
    $event = ['to' => $user, 'text' => $text];
    [$status, $reply] = post('/send', ['identity' => $user,
        'event' => ['name' => 'said', 'data' => json_encode($event, JSON_THROW_ON_ERROR)]]);
    if ($status !== 200) {
        throw new RuntimeException("not sent: $status $reply");
    }
    // It is written once, however often the same request is made: repeat it until it is answered.
    [$status, $reply] = post('/publish', ['stream' => 'news', 'event_type' => 'said',
        'payload' => $event, 'event_id' => bin2hex(random_bytes(16))]);
    if ($status !== 201) {
        throw new RuntimeException("not published: $status $reply");
    }
}

if (PHP_SAPI !== 'cli') {
    ini_set('display_errors', '0');
    http_response_code(500);            // what stays if something is thrown
    http_response_code(answer(file_get_contents('php://input')));
} elseif ($argc === 3 && $argv[1] === 'token') {
    echo token(3600, ['sub' => $argv[2]]), "\n";
} elseif ($argc === 4 && $argv[1] === 'say') {
    say($argv[2], $argv[3]);
} else {
    fwrite(STDERR, "app.php token USER | say USER TEXT\n");
    exit(2);
}
