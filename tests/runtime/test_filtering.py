"""`-f` on records: its words are checked against the catalogue, then it keeps flows and lookups alike."""

import pytest
from support.catalogues import sample
from support.flows import Flow, batch, tiktok_flow

from netwatch.filters.parse import parse
from netwatch.model.errors import UsageError
from netwatch.model.records import Release
from netwatch.runtime.filtering import Filter


def chosen(text: str) -> Filter:
    return Filter(parse(text), sample())


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("app:tiktok", [7]),
        ("app:TikTok", [7]),
        ("not app:tiktok", [8]),
        ("owner:bytedance", [7]),
        ("control:cn", [7]),
        ("app:facebook", []),
        ("port 443", [7, 8]),
        ("kind:app and role:telemetry", [7]),
        ("role:telemetry or host 203.0.113.9", [7, 8]),
    ],
)
def test_it_keeps_the_flows_that_match(text: str, kept: list[int]) -> None:
    flows = batch([tiktok_flow(flow_id=7), Flow(flow_id=8, server="203.0.113.9")])
    release = chosen(text).keep(Release(flows, []))
    assert release.flows.flow_id.tolist() == kept
    assert sorted(release.flows.evidence) == ([kept.index(7)] if 7 in kept else [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("app:tiktoc", "near: tiktok"),
        ("not (port 1 or app:nothing)", "no app is called nothing"),
        ("owner:zzz", "no owner is called zzz"),
        ("kind:games", "there are app, sdk, platform, infra"),
        ("role:games", "no role is called games"),
        ("control:C", "no country code"),
        ("control:C1", "no country code"),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_a_hint(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=r"^-f: ") as error:
        chosen(text)
    assert told in str(error.value)
