#!/bin/sh
# Adds an index to Claude Code, for the current project.
claude mcp add docs -- langgraph-rlm mcp --index "${INDEX:-/home/me/index}"
