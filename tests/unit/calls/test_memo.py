"""The memo: recorded results, bounded, and keys that count equal requests."""

from __future__ import annotations

import threading

from langgraph_rlm.calls.memo import MemoryMemo, Occurrences, digest_of


def test_what_was_put_is_found() -> None:
    memo = MemoryMemo()
    memo.put("a", {"value": [1, "é", None]})
    assert memo.get("a") == {"value": [1, "é", None]}
    assert memo.get("b") is None


def test_a_result_can_be_replaced() -> None:
    memo = MemoryMemo()
    memo.put("a", {"value": 1})
    memo.put("a", {"value": 2})
    assert memo.get("a") == {"value": 2}


def test_the_results_used_longest_ago_go_first() -> None:
    memo = MemoryMemo(max_chars=100)
    memo.put("a", {"value": "x" * 30})
    memo.put("b", {"value": "x" * 30})
    assert memo.get("a")
    memo.put("c", {"value": "x" * 30})
    assert memo.get("b") is None
    assert memo.get("a")
    assert memo.get("c")


def test_one_result_larger_than_everything_is_still_kept() -> None:
    memo = MemoryMemo(max_chars=10)
    memo.put("a", {"value": "x" * 100})
    assert memo.get("a") == {"value": "x" * 100}


def test_the_bound_counts_a_replaced_result_once() -> None:
    memo = MemoryMemo(max_chars=100)
    memo.put("keep", {"value": "k"})
    for _ in range(50):
        memo.put("a", {"value": "x" * 30})
    assert memo.get("keep")


def test_equal_requests_are_counted_apart() -> None:
    occurrences = Occurrences()
    keys = [occurrences.key("cell", "same") for _ in range(3)] + [occurrences.key("cell", "other")]
    assert len(set(keys)) == 4
    again = Occurrences()
    assert [again.key("cell", "same") for _ in range(3)] == keys[:3]


def test_threads_never_get_the_same_number() -> None:
    occurrences, keys, lock = Occurrences(), list[str](), threading.Lock()

    def draw() -> None:
        mine = [occurrences.key("cell", "same") for _ in range(200)]
        with lock:
            keys.extend(mine)

    threads = [threading.Thread(target=draw) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(keys)) == 1600


def test_digests_do_not_depend_on_the_order_of_keys_but_on_every_part() -> None:
    assert digest_of("f", {"a": 1, "b": 2}) == digest_of("f", {"b": 2, "a": 1})
    different = {
        digest_of("f", "ab", "c"),
        digest_of("f", "a", "bc"),
        digest_of("fa", "b", "c"),
        digest_of("f", ["ab", "c"]),
    }
    assert len(different) == 4


def test_a_lone_surrogate_has_a_digest_too() -> None:
    assert digest_of("\ud800") != digest_of("\ud801")
