"""The reference of the configuration: Markdown pages, made from the keyword table alone.

`python -m kactl_agent.config.reference DIR` writes them; a test holds the committed pages to it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from kactl_agent.config.jsonschema import INCLUDE_DOC, all_structs, names_of, unit_of
from kactl_agent.config.schema.keyword import BlockKeywords, Field, table_of
from kactl_agent.config.schema.root import Config
from kactl_agent.config.schema.shapes import (
    Block,
    Bool,
    Duration,
    Entries,
    Line,
    Named,
    NamedEntries,
    Optional,
    Repeated,
    Shape,
    WordList,
    is_secret,
    shape_of_one,
)
from kactl_agent.config.suggest import structs_of

_HEAD = "<!-- Generated from the schema by `python -m kactl_agent.config.reference`: do not edit. -->\n"
_PROCESSES = {"global": "supervisor", "vrrp": "vrrp", "checker": "checkers", "bfd": "bfd"}


def pages() -> dict[str, str]:
    """File name -> text of every page; `index.md` lists all keywords."""
    names = names_of(all_structs())
    users = _users(names)
    by_page: dict[str, list[type[Struct]]] = defaultdict(list)
    for struct in names:
        by_page[_page(struct)].append(struct)
    written = {name: _render_page(name, structs, names, users) for name, structs in by_page.items()}
    written["index.md"] = _render_index(names)
    return dict(sorted(written.items()))


def write(directory: Path) -> None:
    """Write the pages into a directory, and remove pages that are no more."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in directory.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (directory / name).write_text(text, encoding="utf-8")


def _page(struct: type[Struct]) -> str:
    return f"{struct.__module__.rpartition('.')[2]}.md"


def _users(structs: Iterable[type[Struct]]) -> dict[type[Struct], list[tuple[type[Struct], str]]]:
    """Where each struct is used: the block or line, and the keyword in it."""
    users: dict[type[Struct], list[tuple[type[Struct], str]]] = defaultdict(list)
    for struct in structs:
        for field in table_of(struct).fields:
            for inner in structs_of(field.keyword.shape):
                users[inner].append((struct, field.name))
    return users


def _title(struct: type[Struct], users: dict[type[Struct], list[tuple[type[Struct], str]]]) -> str:
    """A block is called by its keyword, a line by its keywords."""
    if struct is Config:
        return "The root"
    words = list(dict.fromkeys(word for _, word in users[struct]))
    return ", ".join(words[:4]) + (" and others" if len(words) > 4 else "")


def _render_page(
    name: str,
    structs: list[type[Struct]],
    names: dict[type, str],
    users: dict[type[Struct], list[tuple[type[Struct], str]]],
) -> str:
    lines = [_HEAD, f"# {name.removesuffix('.md').replace('_', ' ')}\n"]
    for struct in sorted(structs, key=lambda s: not issubclass(s, BlockKeywords)):
        table = table_of(struct)
        lines.append(f'<a id="{names[struct]}"></a>\n')
        lines.append(f"## {_code(_title(struct, users)) if struct is not Config else 'The root'}\n")
        lines.append(f"{_paragraph(struct.__doc__ or '')}\n")
        places = list(dict.fromkeys(user for user, _ in users[struct]))
        if places:
            lines.append(f"In: {', '.join(_link(place, users, names) for place in places)}.\n")
        if struct is Config:
            lines.append(f"- **`include`**: {INCLUDE_DOC}. *Only in YAML.*")
            lines.append("- **`x-...`**: a place for anchors; ignored. *Only in YAML.*")
        lines += [_entry(field, names) for field in table.fields]
        lines.append("")
        if table.legacy:
            lines.append("Of keepalived 1.2 and 1.3, understood when a keepalived.conf is converted:\n")
            for word, legacy in table.legacy.items():
                instead = f" Use {legacy.replaced_by}." if legacy.replaced_by else ""
                lines.append(f"- `{word}`: {legacy.doc.rstrip('.')}.{instead}")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _entry(field: Field, names: dict[type, str]) -> str:
    keyword = field.keyword
    facts = [f"{keyword.doc.rstrip('.')}."]
    form = yaml_form(keyword.shape)
    if form:
        facts.append(f"YAML: {form}.")
    linked = [f"[{names[s]}]({_page(s)}#{names[s]})" for s in structs_of(keyword.shape)]
    if linked:
        facts.append(f"See {', '.join(linked)}.")
    if keyword.required:
        facts.append("Required.")
    if keyword.default:
        facts.append(f"Default: {keyword.default}.")
    unit = unit_of(keyword.shape)
    if unit:
        suffix = "; `us`, `ms`, `s`, `m` or `h` may follow" if _is_duration(keyword.shape) else ""
        facts.append(f"A bare number is {unit}{suffix}.")
    if is_secret(keyword.shape):
        facts.append("A secret: `{file: PATH}` or `{env: NAME}` may stand instead.")
    if keyword.synonyms:
        facts.append(f"Also {_words(keyword.synonyms)} in keepalived.conf.")
    if keyword.deprecated:
        facts.append(f"Formerly {_words(keyword.deprecated)}.")
    if keyword.since:
        facts.append(f"Since keepalived {keyword.since}.")
    if keyword.extension:
        facts.append("*Only in YAML.*")
    if keyword.replaced_by:
        facts.append(f"**Deprecated:** use {keyword.replaced_by}.")
    if keyword.process != "global":
        facts.append(f"Worker: {_PROCESSES[keyword.process]}.")
    return f"- **`{field.name}`** {_code(keyword.shape.describe())}: {' '.join(facts)}"


def yaml_form(shape: Shape) -> str:
    """How a value of the shape is written in YAML, where the argument does not say it."""
    match shape:
        case Optional(shape=inner):
            form = yaml_form(inner) or "the value"
            return f"`{str(shape.bare).lower()}`, or {form}"
        case Bool():
            return "`true` or `false`"
        case Line(struct=struct):
            short = table_of(struct).short
            return "a map" if short is None else f"a map, or `{short.name}` alone"
        case WordList():
            return "a list, or one value"
        case Repeated(item=inner) | Entries(item=inner):
            form = yaml_form(inner)
            return f"a list; each item is {form}" if form else "a list"
        case Block(many=True, single_form=True):
            return "a map, or a list of maps"
        case Block(many=True):
            return "a list of maps"
        case Block():
            return "a map"
        case Named():
            return "a map from name to map"
        case NamedEntries():
            return "a map from name to list"
    return ""


def _is_duration(shape: Shape) -> bool:
    return isinstance(shape_of_one(shape), Duration)


def _render_index(names: dict[type, str]) -> str:
    users = _users(names)
    homes: dict[str, list[str]] = defaultdict(list)
    for struct in names:
        for field in table_of(struct).fields:
            for word in field.spellings:
                homes[word].append(_link(struct, users, names))
    lines = [
        _HEAD,
        "# Reference\n",
        "Every keyword of the configuration, and where it stands. YAML keys are keepalived's own keywords.\n",
        *(f"- `{word}`: {', '.join(links)}" for word, links in sorted(homes.items(), key=lambda i: i[0].lower())),
    ]
    return "\n".join(lines) + "\n"


def _link(
    struct: type[Struct], users: dict[type[Struct], list[tuple[type[Struct], str]]], names: dict[type, str]
) -> str:
    return f"[{_title(struct, users)}]({_page(struct)}#{names[struct]})"


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _code(text: str) -> str:
    return f"`{text}`"


def _paragraph(doc: str) -> str:
    return "\n".join(line.strip() for line in doc.strip().splitlines())


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
