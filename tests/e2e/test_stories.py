"""What the simulation foretells is what the gateway does. Waits are compared by `python -m bench.stories`."""

from __future__ import annotations

from bench.stories import abc, batch, drip, mean_waits, order, play
from penstock.core.model import Priority


def test_calls_for_three_models_of_which_one_fits_are_served_in_the_simulated_order() -> None:
    played = play(abc())
    assert order(played.real) == order(played.simulated) == "AABBCC"


def test_people_pass_a_batch_on_the_gateway_as_in_the_simulation() -> None:
    story = batch(60)
    played = play(story)
    for waits in (played.real, played.simulated):
        means_s = mean_waits(waits)
        assert len(waits) == len(story.arrivals)
        assert means_s[Priority.HIGH] < means_s[Priority.LOW]


def test_those_who_wait_beside_a_drip_are_served_while_it_goes_on_as_in_the_simulation() -> None:
    played = play(drip(8.0))  # B and C are begun after 3 s or so; a busy machine takes longer
    for waits in (played.real, played.simulated):
        assert {wait.model for wait in waits} == set("abc")
        assert waits[-1].model == "a"
