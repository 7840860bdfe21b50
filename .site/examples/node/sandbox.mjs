// Starts the sandbox of bwp_nb for a file of tests.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

// Resolves to the addresses and credentials; `stop` resolves to what arrived, and the exit status.
export async function serve(...options) {
  const given = ["serve", "--json", "--fail-on-invalid", ...options];
  const server = spawn("bwp-nb", given, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(server, "close");
  const lines = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
  const settings = JSON.parse((await lines.next()).value);

  async function stop() {
    server.kill("SIGTERM");
    const arrived = JSON.parse((await lines.next()).value);
    const [status] = await ended;
    return { status, ...arrived };
  }

  return { ...settings, stop };
}
