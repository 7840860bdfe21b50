// Send a GraphQL text with graphql-request and print the answer, as JSON: node request.js ADDRESS HEADERS TEXT.
import { GraphQLClient } from "graphql-request";

const [url, headers, text] = process.argv.slice(2);
const client = new GraphQLClient(url, { headers: JSON.parse(headers) });
try {
  console.log(JSON.stringify({ data: await client.request(text) }));
} catch (error) {
  console.log(JSON.stringify({ status: error.response.status, errors: error.response.errors }));
}
