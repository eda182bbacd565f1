"""What keepalived reads from top to bottom: a name must be defined above the block that uses it (seen with 2.2.7).

YAML knows no such order. So definitions are moved up to where they must be, when keepalived.conf is read, so that it
comes back the same, and when it is written. What keepalived did not find where it stood has to stay without effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from kactl.keepalived_conf.account import walk
from kactl.keepalived_conf.tree import Directive
from kactl_agent.config.document import Document, Key, Origin
from kactl_agent.config.schema.keyword import table_of
from kactl_agent.config.schema.root import DEFINED_FIRST, Config
from kactl_agent.config.schema.shapes import or_default

Path = tuple[Key, ...]

_TRACKERS = {
    "track_script": "vrrp_script",
    "track_file": "track_file",
    "track_process": "vrrp_track_process",
    "track_bfd": "bfd_instance",
}
"""Value block of an instance or a group -> the block that its entries name."""


def definitions_first(keys: Sequence[Key]) -> list[Key]:
    """The same keys, each definition moved up to right before the first block that may name it."""
    ordered = list(keys)
    for definition, users in DEFINED_FIRST.items():
        if definition not in ordered:
            continue
        first = min((ordered.index(user) for user in users if user in ordered), default=len(ordered))
        at = ordered.index(definition)
        if at > first:
            ordered.insert(first, ordered.pop(at))
    return ordered


def carried_definitions(texts: Sequence[str]) -> list[int]:
    """Indices of carried texts that are definitions: their names are found even where the block is then left out."""
    by_word = table_of(Config).by_word
    words = [text.split(None, 1)[0] if text.strip() else "" for text in texts]
    return [index for index, word in enumerate(words) if word in by_word and by_word[word].name in DEFINED_FIRST]


def sort_carried(texts: list[str], origin: Origin) -> None:
    """Definitions first, in place: where the writer puts them, above the blocks that name them."""
    first = carried_definitions(texts)
    if not first or first == list(range(len(first))):
        return
    order = first + [index for index in range(len(texts)) if index not in set(first)]
    texts[:] = [texts[index] for index in order]
    items = origin.child("x-keepalived")
    items.children = {new: items.child(old) for new, old in enumerate(order)}


@dataclass(frozen=True)
class Reference:
    """`name`, of a `kind` block, is used at `path`; as an `option`, its line means something without it."""

    path: Path
    kind: str
    name: str
    option: bool = False


def early_references(
    document: Document, made_from: dict[int, Directive], roots: Sequence[Directive]
) -> Iterator[Reference]:
    """The references to what is defined further down; `made_from` is by id() of the origin."""
    if not _may_be_early(roots):
        return
    order = {id(part): index for index, root in enumerate(roots) for part in walk(root)}

    def position(path: Path) -> int | None:
        made = made_from.get(id(document.origin.find(path)))
        return None if made is None else order.get(id(made))

    for reference in _references(document.config):
        defined, used = position((reference.kind, reference.name)), position(reference.path[:2])
        if defined is not None and used is not None and defined > used:
            yield reference


def _may_be_early(roots: Sequence[Directive]) -> bool:
    """Whether any definition stands behind a block that may name it."""
    seen: set[str] = set()
    for root in roots:
        if not seen.isdisjoint(DEFINED_FIRST.get(root.keyword, ())):
            return True
        seen.add(root.keyword)
    return False


def _references(config: Config) -> Iterator[Reference]:
    for keyword in ("vrrp_sync_group", "vrrp_instance"):
        owners: dict[str, Any] = or_default(getattr(config, keyword), {})
        for name, owner in owners.items():
            for block, kind in _TRACKERS.items():
                for index, entry in enumerate(or_default(getattr(owner, block), ())):
                    yield Reference((keyword, name, block, index), kind, entry.name)
    for number, server in enumerate(or_default(config.virtual_server, ())):
        for real_number, real in enumerate(or_default(server.real_server, ())):
            path: Path = ("virtual_server", number, "real_server", real_number)
            for index, bfd in enumerate(or_default(real.bfd_check, ())):
                yield Reference((*path, "BFD_CHECK", index), "bfd_instance", str(bfd.name))
            for index, file in enumerate(or_default(real.file_check, ())):
                yield Reference((*path, "FILE_CHECK", index), "track_file", str(file.track_file))
    for keyword in ("static_ipaddress", "static_routes", "static_rules"):
        for index, entry in enumerate(or_default(getattr(config, keyword), ())):
            if entry.track_group is not UNSET:
                yield Reference((keyword, index), "track_group", entry.track_group, option=True)
