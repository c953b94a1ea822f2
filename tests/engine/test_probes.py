"""A catalogue that finds nothing must never give a PASS: it tests itself through the whole engine."""

from engine.lab import places
from support.catalogues import app, build, company, endpoint, sample

from netwatch.engine.probes import self_test
from netwatch.runtime import signatures


def test_every_app_of_the_shipped_catalogue_comes_back_as_itself() -> None:
    catalogue = signatures.load()
    tested = self_test(catalogue, places())
    assert tested.missed == ()
    assert tested.probes == len({match.app.id for match in catalogue.endpoints()}) + 3


def test_only_what_is_asked_about_is_tried() -> None:
    tested = self_test(sample(), places(), lambda match: match.role == "telemetry")
    assert (tested.probes, tested.missed) == (1 + 3, ())


def test_all_four_ways_are_tried() -> None:
    assert self_test(sample(), places()).missed == ()


def test_an_empty_catalogue_fails() -> None:
    tested = self_test(build([company("nobody")], []), places())
    assert (tested.probes, tested.missed) == (0, ("nothing that is asked about has an endpoint in the catalogue",))


def test_a_name_that_is_another_apps_is_missed() -> None:
    """A broken catalogue: the exact name of one app stands in front of what the other one's endpoint is."""
    catalogue = build(
        [company("one"), company("two")],
        [app("first", "one", endpoint("=shared.example")), app("second", "two", endpoint("shared.example"))],
    )
    tested = self_test(catalogue, places())
    assert tested.missed == ("shared.example (tls) came back as first, not as second",)
