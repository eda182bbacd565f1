from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kactl_agent.kernel.addresses import AddressPlan, plan
from kactl_agent.vrrp.settings import VirtualAddress

POOL = [VirtualAddress(bytes((192, 0, 2, n)), 24, "eth0") for n in range(8)]
subsets = st.sets(st.sampled_from(POOL))


def test_removals_are_the_reverse_of_additions() -> None:
    first, second = POOL[:2]
    assert plan((), (first, second), lambda _a: True) == AddressPlan(remove=(second, first))
    assert plan((first, second), (first, second), lambda _a: False) == AddressPlan(add=(first, second))


@given(desired=subsets, managed=subsets, actual=subsets)
def test_after_the_plan_managed_addresses_are_exactly_the_desired_ones(
    desired: set[VirtualAddress], managed: set[VirtualAddress], actual: set[VirtualAddress]
) -> None:
    made = plan(desired, managed, actual.__contains__)
    after = (actual - set(made.remove)) | set(made.add)
    assert after & (managed | desired) == desired
    assert after - managed - desired == actual - managed - desired
    assert plan(desired, managed, after.__contains__) == AddressPlan()
    assert not set(made.add) & actual
    assert set(made.remove) <= actual
