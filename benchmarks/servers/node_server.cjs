// npm's smtp-server with a handler that keeps each message. Rule: it talks with the harness as
// servers/control.py does.
"use strict";

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { createInterface } = require("node:readline");
const { SMTPServer } = require(process.argv[2]);

const certificate = process.argv[3];
const stored = [];
const options = {
    authOptional: true,
    disabledCommands: ["AUTH"],
    disableReverseLookup: true,
    onData(stream, session, callback) {
        const parts = [];
        stream.on("data", (part) => parts.push(part));
        stream.on("end", () => {
            stored.push(Buffer.concat(parts));
            callback();
        });
    },
};
if (certificate) {
    const pem = readFileSync(certificate);
    Object.assign(options, { cert: pem, key: pem });
} else {
    options.disabledCommands.push("STARTTLS");
}

const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");
const server = new SMTPServer(options);
server.on("error", () => {}); // of one connection; the count shows whether mail was lost
server.listen(0, "127.0.0.1", () => say({ port: server.server.address().port }));

const questions = createInterface({ input: process.stdin });
questions.on("line", (line) => {
    if (line === "count") {
        say({ count: stored.length });
    } else if (line === "sizes") {
        const sizes = stored.map((message) => message.length);
        const hash = stored.length ? createHash("sha256").update(stored.at(-1)).digest("hex") : "";
        const by = (choose) => sizes.reduce((a, b) => choose(a, b), sizes[0] ?? 0);
        say({ smallest: by(Math.min), largest: by(Math.max), sha256: hash });
    } else if (line === "clear") {
        stored.length = 0;
        say({ count: 0 });
    } else {
        say({ unknown: true });
    }
});
questions.on("close", () => process.exit(0));
