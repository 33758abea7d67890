"""Django's Redis cache, with calls that fail at once while Redis hangs (see breaker.py)."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.core.cache.backends.redis import RedisCache as DjangoRedisCache

from .breaker import Breaker

P = ParamSpec("P")
T = TypeVar("T")
breaker = Breaker("cache")


def guarded(method: Callable[P, T]) -> Callable[P, T]:
    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with breaker.attempt():
            return method(*args, **kwargs)
    return call


class RedisCache(DjangoRedisCache):
    add = guarded(DjangoRedisCache.add)
    get = guarded(DjangoRedisCache.get)
    set = guarded(DjangoRedisCache.set)
    touch = guarded(DjangoRedisCache.touch)
    delete = guarded(DjangoRedisCache.delete)
    get_many = guarded(DjangoRedisCache.get_many)
    has_key = guarded(DjangoRedisCache.has_key)
    incr = guarded(DjangoRedisCache.incr)
    set_many = guarded(DjangoRedisCache.set_many)
    delete_many = guarded(DjangoRedisCache.delete_many)
    clear = guarded(DjangoRedisCache.clear)
