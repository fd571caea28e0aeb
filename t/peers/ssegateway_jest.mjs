// SPDX-License-Identifier: Apache-2.0
//
// jest's settings for SSEGateway's suite with httpd in the place of its server: its own, and what
// stands where its modules were. RabbitMQ's cases are left out.
import path from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));

export default async function settings() {
    const rootDir = process.env.RAGLINE_SUITE;
    const {default: theirs} = await import(pathToFileURL(path.join(rootDir, "jest.config.js")));
    return {
        ...theirs,
        rootDir,
        moduleFileExtensions: [...theirs.moduleFileExtensions, "mjs"],
        moduleNameMapper: {
            "/src/(server|connections|sse)\\.js$": path.join(here, "ssegateway.mjs"),
            ...theirs.moduleNameMapper,
        },
        setupFiles: [path.join(here, "ssegateway_slow.cjs")],
        setupFilesAfterEnv: [path.join(here, "ssegateway_skipped.cjs")],
        testPathIgnorePatterns: ["/node_modules/", "rabbitmq"],
    };
}
