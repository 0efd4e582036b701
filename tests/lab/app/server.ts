// The service that the lab's hosts run. What it does wrong, if anything, stands in the commit's file "release".
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import greet from "greet";

const release = Object.fromEntries(
  readFileSync("release", "utf8").trim().split("\n").map((line) => line.split("=", 2) as [string, string]),
);
const seconds = Number(release.serve_seconds ?? 0);
const started = Date.now();

const server = createServer((request, response) => {
  const answer = (status: number, text: string) => {
    const body = `${text}\n`;
    response.writeHead(status, { "content-type": "text/plain", "content-length": body.length, connection: "close" });
    response.end(body);
  };
  if (request.url === "/version") return answer(200, release.label);
  if (request.url === "/installed") return answer(200, greet());
  if (request.url !== "/health") return answer(404, "no such page");
  if (release.serve === "sick") return answer(500, "sick");
  if (release.serve === "slow-health") return void setTimeout(() => answer(200, "ok"), seconds * 1000);
  if (release.serve === "sick-after" && Date.now() - started > seconds * 1000) return answer(500, "sick by now");
  // The code of one commit with the dependencies of another is a fault that the lab must show.
  if (greet() !== release.label) return answer(500, `code of ${release.label}, dependencies of ${greet()}`);
  return answer(200, "ok");
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
  server.listen({ fd: 3 }, listening);
} else {
  server.listen(Number(process.env.PORT), process.env.APP_ADDR, listening);
}
