from __future__ import annotations

from kactl_agent.process_settings import ProcessSettings
from kactl_agent.runtime.chance import random_bytes


def test_a_seed_gives_the_same_each_time_and_others_give_others() -> None:
    def drawn(seed: int | None) -> list[bytes]:
        source = random_bytes(ProcessSettings(random_seed=seed))
        return [source(number) for number in (8, 4, 8)]

    assert drawn(7) == drawn(7)
    assert drawn(0) == drawn(0), "0 is a seed"
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)
    assert [len(each) for each in drawn(7)] == [len(each) for each in drawn(None)] == [8, 4, 8]
