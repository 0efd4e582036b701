// The service that the lab's hosts run. What it does wrong, if anything, stands in the commit's file "release".
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import greet from "greet";

const release = Object.fromEntries(
  readFileSync("release", "utf8").trim().split("\n").map((line) => line.split("=", 2) as [string, string]),
);
const seconds = Number(release.serve_seconds ?? 0);
const started = Date.now();

function answer(page: string): [number, string] {
  if (page === "/version") return [200, release.label];
  if (page === "/installed") return [200, greet()];
  if (page !== "/health") return [404, "no such page"];
  if (release.serve === "sick") return [500, "sick"];
  if (release.serve === "sick-after" && Date.now() - started > seconds * 1000) return [500, "sick by now"];
  // The code of one commit with the dependencies of another is a fault that the lab must show.
  if (greet() !== release.label) return [500, `code of ${release.label}, dependencies of ${greet()}`];
  return [200, "ok"];
}

// HTTP by hand, since Bun's own server cannot listen on a socket that systemd hands over.
const server = createServer((socket) => {
  let asked = "";
  socket.on("error", () => socket.destroy());
  socket.on("data", (data) => {
    asked += data;
    if (!asked.includes("\r\n\r\n")) return;
    const page = asked.split(" ", 2)[1];
    const [status, text] = answer(page);
    const head = `HTTP/1.1 ${status} ${status === 200 ? "OK" : "Not OK"}\r\nContent-Type: text/plain`;
    const say = () => socket.end(`${head}\r\nContent-Length: ${text.length + 1}\r\nConnection: close\r\n\r\n${text}\n`);
    asked = "";
    if (release.serve === "slow-health" && page === "/health") setTimeout(say, seconds * 1000);
    else say();
  });
});

process.on("SIGTERM", () => setTimeout(() => process.exit(0), release.serve === "slow-stop" ? seconds * 1000 : 0));

function listening() {
  console.log(`serving ${release.label}`);
  if (process.env.NOTIFY_SOCKET && release.serve !== "never-ready") execFileSync("systemd-notify", ["--ready"]);
  if (release.serve === "dies") setTimeout(() => die("as asked"), seconds * 1000);
}

function die(why: string): never {
  console.error(`dying: ${why}`);
  process.exit(1);
}

if (release.serve === "exits") die("at once");
if (release.serve === "deaf") {
  console.log("running, but listening to nothing");
  setInterval(() => {}, 1000);
} else if (process.env.LISTEN_FDS) {
  // Where systemd listens, the first descriptor it passes is 3.
  server.listen({ fd: 3 }, listening);
} else {
  server.listen(Number(process.env.PORT), process.env.APP_ADDR, listening);
}
