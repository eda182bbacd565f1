# Copyright: (c) The kactl maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of a kactl agent for Event-Driven Ansible, none twice and none left out.

Arguments:
  run_dir      the agent's run directory (/run/kactl)
  cursor_file  where the cursor is kept, so that a restarted rulebook goes on where it was; without one it begins with new events
  types        only events of these types, such as [transition, reload]; all without it
  retry        seconds between two tries to reach the agent (2)

Example:
  - name: Tell somebody about failovers
    hosts: all
    sources:
      - kactl.agent.events:
          cursor_file: /var/lib/kactl/eda.cursor
          types: [transition]
    rules:
      - name: A new master
        condition: event.new == "MASTER"
        action:
          debug:
            msg: "{{ event.instance }}: {{ event.detail }}"

Each event is what `kactl events --output json` shows. One of type `gap` says that the agent no longer had all events behind
the cursor, or never had it. An agent that is away, or refuses for now, is asked again from where the stream was.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

DOCUMENTATION = r"""
short_description: Events of a kactl agent, with a cursor to go on from
description:
  - Streams the events of an agent's journal from its control socket.
"""

_LONGEST_LINE = 1 << 24
_NO_SUCH_CURSOR = "bad-params"  # it never was one of this agent's


async def main(queue: asyncio.Queue, args: dict[str, Any]) -> None:
    """Put events into the queue for ever; an agent that is away is waited for."""
    path = os.path.join(args.get("run_dir", "/run/kactl"), "agent.sock")
    cursor_file, types = args.get("cursor_file"), set(args.get("types") or ())
    cursor = _read(cursor_file)
    while True:
        try:
            async for event, cursor in _events(path, cursor):
                if event is not None and (not types or event["type"] in types or event["type"] == "gap"):
                    await queue.put(event)
                _write(cursor_file, cursor)
        except (OSError, ValueError, KeyError):
            pass  # it ended, or is not there yet
        await asyncio.sleep(float(args.get("retry", 2)))


async def _events(path: str, cursor: str):
    """(event, cursor behind it), for as long as the agent answers; None for where the stream begins."""
    reader, writer = await asyncio.open_unix_connection(path, limit=_LONGEST_LINE)
    try:
        request = {"id": 1, "method": "subscribe", "params": {"cursor": cursor} if cursor else {}}
        writer.write(json.dumps(request).encode() + b"\n")
        await writer.drain()
        answer = json.loads(await reader.readline())
        if "error" in answer:
            error = answer["error"]
            if error.get("code") != _NO_SUCH_CURSOR or not cursor:
                raise ValueError(error.get("message", ""))
            yield {"type": "gap", "detail": error.get("message", "")}, ""  # begin anew
            return
        begin = answer["result"]
        if begin.get("gap"):
            yield {"type": "gap", "detail": "events before these are not kept any more"}, begin["cursor"]
        yield None, begin["cursor"]
        while line := await reader.readline():
            event = json.loads(line).get("event")
            if event is not None:
                yield event, event["cursor"]
    finally:
        writer.close()


def _read(path: str | None) -> str:
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _write(path: str | None, cursor: str) -> None:
    """Whole or not at all."""
    if not path:
        return
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(cursor)
    os.replace(path + ".new", path)


if __name__ == "__main__":

    class _Printer:
        async def put(self, event: dict[str, Any]) -> None:
            print(json.dumps(event), flush=True)

    asyncio.run(main(_Printer(), json.loads(os.environ.get("KACTL_EVENTS_ARGS", "{}"))))
