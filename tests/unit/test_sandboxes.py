"""Which engine runs cells: the safest that can run here, never silently one without a jail."""

import pytest

from langgraph_rlm.errors import InvalidInput, SandboxUnavailable, UnsafeSandboxWarning
from langgraph_rlm.repl import ProcessFactory, ReplLimits
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.runs import runtime as runtime_module
from langgraph_rlm.runs import sandboxes as sandboxes_module
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.runs.sandboxes import factory_for

has_jail = pytest.mark.skipif(available() is not None, reason="no jail here")


@pytest.fixture
def nothing_safe(monkeypatch):
    """A system with neither the jail nor Monty, and a runtime that has not looked yet."""
    for module in (runtime_module, sandboxes_module):
        monkeypatch.setattr(module, "available", lambda: "it has no seccomp")
    monkeypatch.setattr(runtime_module, "find_spec", lambda name: None)
    runtime_module._default.cache_clear()
    yield monkeypatch
    runtime_module._default.cache_clear()


@has_jail
def test_auto_is_the_jail_where_it_can_run():
    runtime = Runtime()
    assert runtime.safest() == "jail"
    runtime.warm()
    assert isinstance(runtime.factory("jail"), JailFactory)
    repl = factory_for("auto").start(None, [], ReplLimits())
    assert "PermissionError" in repl.execute("open('/etc/passwd')", lambda *call: None)["error"]
    repl.close()
    runtime.close()


def test_auto_never_falls_back_to_unsafe_and_says_what_to_install(nothing_safe):
    with pytest.raises(SandboxUnavailable, match=r"it has no seccomp.*langgraph-rlm\[monty\]"):
        factory_for("auto")
    with pytest.raises(SandboxUnavailable, match="it has no seccomp"):
        factory_for("jail")


def test_auto_is_monty_where_only_that_is_installed(nothing_safe):
    nothing_safe.setattr(runtime_module, "find_spec", lambda name: object())
    assert Runtime().safest() == "monty"


def test_unsafe_is_warned_about_and_one_of_the_runtime():
    with pytest.warns(UnsafeSandboxWarning, match="without a kernel-enforced jail"):
        factory_for("unsafe")
    runtime = Runtime()
    assert isinstance(runtime.factory("unsafe"), ProcessFactory)
    assert runtime.factory("unsafe") is runtime.factory("unsafe")
    runtime.close()


@pytest.mark.parametrize("wrong", ["docker", "", 5, object()])
def test_what_is_no_sandbox_is_refused(wrong):
    with pytest.raises(InvalidInput, match=r"sandbox: .*'auto', 'jail', 'monty', 'unsafe'"):
        factory_for(wrong)
