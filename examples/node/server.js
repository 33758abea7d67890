// A service that meets the contract of docs/image.md, without any package: `node server.js run`.
"use strict";

const fs = require("node:fs");
const http = require("node:http");

const RELEASE = process.env.RELEASE || "development";
const SOCKET = process.env.SOCKET;
const LAST = 25000; // ms until connections without a complete request are closed: the contract allows 30 s
const QUEUE = 100; // ms to accept connections made before the socket was removed

const answers = {
  "/readyz": () => [200, "application/json", JSON.stringify({ release: RELEASE })],
  "/": () => [200, "text/plain", `hello from ${RELEASE}\n`],
};
const missing = () => [404, "text/plain", "not found\n"];

function answer(request, response) {
  const path = request.url.split("?")[0];
  const [status, type, body] = (Object.hasOwn(answers, path) ? answers[path] : missing)();
  response.writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(request.method === "HEAD" ? undefined : body);
}

function run() {
  const server = http.createServer(answer);
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => stop(server)); // as PID 1, node would ignore both
  if (!SOCKET) {
    server.listen(process.env.PORT || 8000);
    return;
  }
  process.umask(0); // nginx runs as another user and must write to the socket
  fs.rmSync(SOCKET, { force: true }); // left by a killed process
  server.listen(SOCKET);
}

// Refuse new connections and answer the open ones; then node has nothing left to do and exits.
function stop(server) {
  if (SOCKET) fs.rmSync(SOCKET, { force: true });
  setTimeout(() => server.close(), QUEUE);
  setTimeout(() => server.closeAllConnections(), LAST).unref();
}

const [command = "run"] = process.argv.slice(2);
const commands = {
  run,
  migrate() {}, // there is no database to migrate
  manage() {}, // showmigrations --plan: none is pending
};

if (Object.hasOwn(commands, command)) {
  commands[command]();
} else {
  console.error(`server.js: there is no command '${command}'; there are: ${Object.keys(commands).join(" ")}`);
  process.exitCode = 64;
}
