import assert from "node:assert/strict";
import { test } from "node:test";
import { serve } from "./sandbox.mjs";
import { Analytics } from "./shop.mjs";

const sandbox = await serve();
const analytics = new Analytics(sandbox);

test("a product in the cart does not disturb the shopper", async () => {
  await analytics.addedToCart("example-sku");
});

// The last test, after all others have sent their events.
test("all events were accepted, and none has hints", async () => {
  const { status, types, invalid } = await sandbox.stop();
  assert.deepEqual(invalid.flatMap(({ reason, problems, hints }) => [reason, ...problems, ...hints]), []);
  assert.deepEqual(types, { click: { events: 1, invalid: 0 } });
  assert.equal(status, 0);
});
