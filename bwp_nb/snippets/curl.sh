# @@{note}
BWP_ACCESS_TOKEN=$(printf %s "@@{client_secret}" | curl --silent --show-error --fail "@@{token_endpoint}" \
  --data grant_type=client_credentials --data-urlencode "client_id=@@{client_id}" --data-urlencode client_secret@- \
  | sed 's/.*"access_token" *: *"\([^"]*\)".*/\1/')
curl "@@{endpoint}" \
  --header "Authorization: Bearer $BWP_ACCESS_TOKEN" \
  --header "@@{target_header}: @@{target_id}" \
  --header "x-api-access-key: @@{access_key}" \
  --header 'x-api-version: @@{api_version}' \
  --header 'Content-Type: application/json' \
  --data-raw @@{body}
