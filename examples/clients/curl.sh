#!/bin/sh
# One question by curl. ADDRESS and LANGGRAPH_RLM_KEY are those of the server.
curl --silent --show-error --fail-with-body "${ADDRESS:-http://127.0.0.1:8000/v1}/chat/completions" \
  --header "Authorization: Bearer ${LANGGRAPH_RLM_KEY:?set it to one of the keys of the server}" \
  --header "Content-Type: application/json" \
  --data '{"model": "langgraph-rlm", "messages": [{"role": "user", "content": "How many weeks is parental leave?"}]}'
