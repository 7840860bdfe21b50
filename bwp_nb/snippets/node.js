// @@{note} Needs Node.js 18 or newer.
const request = @@{body};

async function send() {
  const answer = await fetch("@@{token_endpoint}", {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_id: @@{client_id},
      client_secret: @@{client_secret},
    }),
  });
  if (!answer.ok) throw new Error(`HTTP ${answer.status} from the token endpoint`);
  const token = (await answer.json()).access_token;
  const response = await fetch("@@{endpoint}", {
    method: "POST",
    headers: {
      "Authorization": `Bearer ${token}`,
      "@@{target_header}": @@{target_id},
      "x-api-access-key": @@{access_key},
      "x-api-version": "@@{api_version}",
      "Content-Type": "application/json",
    },
    body: JSON.stringify(request),
  });
  console.log(JSON.stringify(await response.json()));
}

send();
