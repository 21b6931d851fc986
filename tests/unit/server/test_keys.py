"""Keys of a server: who is let in, as whom, and what a wrong key or a wrong file is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.limits import Limits
from langgraph_rlm.server.keys import ENVIRONMENT, Caller, Keys, RequireKey, caller_of

ANNA, BERT = "anna-has-a-long-key", "bert-has-a-long-key"


async def says_who(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": caller_of(scope).tenant.encode()})


def client(keys: Keys) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=RequireKey(says_who, keys)), base_url="http://127.0.0.1")


@pytest.mark.parametrize(
    "headers", [{"Authorization": f"Bearer {ANNA}"}, {"authorization": f"bearer {ANNA}"}, {"X-Api-Key": ANNA}]
)
async def test_a_key_says_whose_a_request_is(headers: dict[str, str]) -> None:
    async with client(Keys({ANNA: Caller("anna"), BERT: Caller("bert")})) as asked:
        response = await asked.get("/", headers=headers)
    assert (response.status_code, response.text) == (200, "anna")


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer ", "Basic abc", f"Bearer {ANNA}x", f"Bearer {ANNA[:-1]}", "Bearer \xff"]
)
async def test_without_a_right_key_nobody_is_let_in(given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("latin-1")}
    async with client(Keys({ANNA: Caller("anna")})) as asked:
        response = await asked.get("/", headers=headers)  # type: ignore[arg-type]
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert ANNA not in response.text
        assert (await asked.get("/health", headers=headers)).status_code == 200  # type: ignore[arg-type]


async def test_without_any_keys_everybody_is_the_local_user() -> None:
    async with client(Keys({})) as asked:
        assert (await asked.get("/")).text == "local"


def test_keys_of_the_environment_have_a_tenant_each() -> None:
    keys = Keys.from_environment({ENVIRONMENT: f" {ANNA} ,{BERT},"})
    anna, bert = keys.find(ANNA), keys.find(BERT)
    assert anna is not None
    assert bert is not None
    assert (len(keys), anna.tenant != bert.tenant, ANNA in anna.tenant) == (2, True, False)
    assert len(Keys.from_environment({})) == 0


def test_keys_of_a_file_have_the_tenant_and_the_limits_that_stand_there(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({ANNA: {"tenant": "anna", "limits": {"max_calls": 5}}, BERT: {}}))
    path.chmod(0o600)
    keys = Keys.from_file(path)
    assert keys.find(ANNA) == Caller("anna", Limits(max_calls=5))
    found = keys.find(BERT)
    assert found is not None
    assert found.options() == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nothing", "holds no keys"),
        (f'["{ANNA}"]', "holds no keys"),
        (f'{{"{ANNA}": {{"tenant": 5}}}}', "holds no keys"),
        (f'{{"{ANNA}": {{"tenent": "a"}}}}', "tenent: Extra"),
        (f'{{"{ANNA}": {{"limits": {{"max_call": 5}}}}}}', "max_call"),
        ('{"short": {}}', "at least 16 characters"),
        ('{"a key with some spaces": {}}', "no spaces"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_showing_keys(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match=says) as refused:
        Keys.from_file(path)
    assert ANNA not in str(refused.value)


def test_a_file_that_others_may_read_or_that_is_missing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(InvalidInput, match="cannot be read"):
        Keys.from_file(path)
    path.write_text("{}")
    path.chmod(0o644)
    with pytest.raises(InvalidInput, match="chmod 600"):
        Keys.from_file(path)
