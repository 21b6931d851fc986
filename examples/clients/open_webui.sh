#!/bin/sh
# The environment of Open WebUI: our index as its OpenAI connection. Give it to `open-webui serve` or to the container.
export ENABLE_OPENAI_API=true
export OPENAI_API_BASE_URL="${OPENAI_API_BASE_URL:-http://127.0.0.1:8000/v1}"
export OPENAI_API_KEY="${LANGGRAPH_RLM_KEY:?set it to one of the keys of the server}"
