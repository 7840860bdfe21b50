// A shop that sends what its shoppers do to the Buy with Prime API.
import { randomUUID } from "node:crypto";

const MUTATION = "mutation ($input: SendUserEventInput!) { sendUserEvents(input: $input) { status } }";

export class Analytics {
  constructor({ endpoint, token_endpoint, credentials }) {
    Object.assign(this, { endpoint, token_endpoint, credentials, token: "", renewed: -Infinity });
  }

  // A shopper has put a product into the cart.
  async addedToCart(sku) {
    await this.send("click", { product_sku: sku });
  }

  // A failure is logged, and does not keep a shopper from shopping.
  async send(eventType, properties) {
    const event = {
      eventType,
      eventId: randomUUID(),
      eventTime: new Date().toISOString(),
      clientType: "SERVER_CLIENT",
      clientVersion: "1.0",
      additionalProperties: {
        additionalProperties: Object.entries(properties).map(([property, value]) => ({ property, value })),
      },
    };
    const body = JSON.stringify({ query: MUTATION, variables: { input: { events: [event] } } });
    try {
      const response = await fetch(this.endpoint, { method: "POST", headers: await this.headers(), body });
      if (!response.ok) console.warn(`An event was not sent: HTTP ${response.status}`);
    } catch (error) {
      console.warn(`An event was not sent: ${error.message}`);
    }
  }

  async headers() {
    const { client_id, client_secret, target_id } = this.credentials;
    // A token is valid for 15 minutes.
    if (performance.now() > this.renewed + 14 * 60 * 1000) {
      const form = new URLSearchParams({ grant_type: "client_credentials", client_id, client_secret });
      const response = await fetch(this.token_endpoint, { method: "POST", body: form });
      this.token = (await response.json()).access_token;
      this.renewed = performance.now();
    }
    return {
      Authorization: `Bearer ${this.token}`,
      "Content-Type": "application/json",
      "x-api-target-id": target_id,
      "x-api-version": "2024-11-01",
    };
  }
}
