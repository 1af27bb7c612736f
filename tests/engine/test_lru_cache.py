"""The cache discards what was used least recently, by number and by bytes, and tells its owner."""

import pytest

from compression import paths
from compression.engine.lru_cache import LruCache, forget_all


def fill(cache: LruCache[str, str], keys: str) -> LruCache[str, str]:
    for key in keys:
        cache.put(key, key)
    return cache


def test_the_value_used_least_recently_is_removed_first() -> None:
    cache = fill(LruCache[str, str](most_values=2), "ab")
    assert cache.use("a", lambda: "made again") == "a"
    cache.put("c", "c")
    assert cache.values() == ("a", "c")
    assert cache.use("b", lambda: "made again") == "made again"


def test_get_does_not_count_as_a_use() -> None:
    cache = fill(LruCache[str, str](most_values=2), "ab")
    assert cache.get("a") == "a"
    cache.put("c", "c")
    assert cache.get("a") is None
    assert len(cache) == 2


def test_bytes_are_those_that_values_have_now() -> None:
    cache: LruCache[str, list[int]] = LruCache(most_bytes=4, nbytes=len)
    cache.put("a", [1])
    cache.put("b", [1, 2])
    cache.use("b", list).extend([3, 4])
    assert len(cache) == 2
    cache.make_room()
    assert cache.values() == ([1, 2, 3, 4],)


def test_one_value_stays_even_if_it_alone_is_too_large() -> None:
    cache = fill(LruCache[str, str](most_bytes=0, nbytes=len), "ab")
    assert cache.values() == ("b",)


def test_a_value_that_is_not_removable_stays_until_it_is() -> None:
    in_use = {"a"}
    cache: LruCache[str, str] = LruCache(most_values=1, is_removable=lambda value: value not in in_use)
    assert fill(cache, "ab").values() == ("a", "b")
    in_use.clear()
    cache.make_room()
    assert cache.values() == ("b",)


def test_on_removal_is_called_only_for_values_removed_for_lack_of_room() -> None:
    removed: list[str] = []
    cache: LruCache[str, str] = LruCache(most_values=2, on_removal=removed.append)
    fill(cache, "abc")
    assert removed == ["a"]
    assert cache.discard("b") == "b"
    assert cache.discard("b") is None
    cache.clear()
    assert (removed, len(cache)) == (["a"], 0)


def test_caches_of_the_modules_of_the_package_are_emptied_together(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, of_an_object = fill(LruCache[str, str](), "ab"), fill(LruCache[str, str](), "a")
    monkeypatch.setattr(paths, "kept_for_tests", ours, raising=False)
    forget_all()
    assert (len(ours), len(of_an_object)) == (0, 1)
