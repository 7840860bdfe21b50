// Print the results of graphql-http's audits of a server, as JSON: node audit.js ADDRESS HEADERS.
import { serverAudits } from "graphql-http";

const [url, headers] = process.argv.slice(2);
const given = JSON.parse(headers);
const fetchFn = (address, init = {}) => fetch(address, { ...init, headers: { ...given, ...init.headers } });

const results = [];
for (const audit of serverAudits({ url, fetchFn })) {
  const { status, reason } = await audit.fn();
  results.push({ id: audit.id, name: audit.name, status, reason });
}
console.log(JSON.stringify(results));
